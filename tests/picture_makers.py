"""Pictures with shapes in them, and copies of them as people and programs make them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def scene(number: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Soft shapes in many colours, others for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def saved_again(picture: Image.Image, image_format: str = "JPEG", quality: int = 60) -> Image.Image:
    """The picture as it comes back from a lossy file."""
    file = io.BytesIO()
    picture.save(file, image_format, quality=quality)
    return Image.open(file).convert("RGB")


def make_scenes(folder: Path, count: int, first: int = 0) -> None:
    """A folder of so many scenes, of this number and the following ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        scene(number).save(folder / f"{number:02}.png")
