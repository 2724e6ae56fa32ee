"""Many pictures of a folder, each reduced at once, so that a thousand photos take little memory."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

PICTURE_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


def pictures_in(folder: Path, height: int, width: int) -> Tensor:
    """The pictures directly in a folder, by name, stretched to a size. Transparency is flattened onto white.

    Returns:
        `[N, 3, height, width]` in [0, 1], float32, on the CPU.

    Raises:
        ValueError: there is no such folder, it has no picture, or one of its pictures cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder '{folder.name}' in ComfyUI's input folder.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"The folder '{folder.name}' has no pictures ({', '.join(sorted(SUFFIXES))}).")
    return torch.stack([_reduced(path, height, width) for path in files])


def _reduced(path: Path, height: int, width: int) -> Tensor:
    try:
        with path.open("rb") as file:
            picture = opaque_picture(file)
    except PICTURE_ERRORS as error:
        raise ValueError(f"'{path.name}' is not a picture that can be read ({error}): take it out.") from error
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)


def opaque_picture(file: IO[bytes], enough: int | None = None) -> Image.Image:
    """A picture file as RGB, upright, its transparency flattened onto white; of a moving one the first frame.

    Args:
        file: its content.
        enough: the number of pixels of its shorter side that will do, so that a large JPEG need not be decoded whole.

    Raises:
        PICTURE_ERRORS: it is no picture, or damaged.
    """
    with Image.open(file) as opened:
        if enough is not None:
            opened.draft("RGB", (enough, enough))
        picture = ImageOps.exif_transpose(opened)
        picture.load()
    if picture.mode.startswith("I"):
        # 16 bits, which Pillow would cut off at 255.
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
