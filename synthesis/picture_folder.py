"""Many pictures of a folder, each reduced at once, so that a thousand photos take little memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .picture_files import Entry, ReadReport, find_files, listed, not_read

PICTURE_ERRORS = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    # Of a damaged AVIF, and of what a decoder does not support.
    RuntimeError,
    struct.error,
)
WHITES = (1, 2**8 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1)
"""What white may be in a picture whose file does not say it."""
OVERSHOOT = 1.1
"""Sharpening and resizing leave values that are so much above white."""
DARK = 16
"""A whole picture that is darker than white divided by this is more likely one of another range."""


class PictureRangeError(ValueError):
    """The values of a picture may mean several things; the message says what they are."""


@dataclass(frozen=True)
class FolderPictures:
    """The pictures of a folder."""

    images: Tensor
    """`[N, 3, height, width]` in [0, 1], float32, on the CPU."""
    left_out: str
    """Which files were left out, and why, in words; empty: none."""


def pictures_in(folder: Path, height: int, width: int, report: ReadReport | None = None) -> FolderPictures:
    """The pictures of a folder, at any depth, by name, stretched to a size. Transparency is flattened onto white.

    Raises:
        ValueError: there is no such folder, or it has no picture that can be read.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder '{folder.name}' in ComfyUI's input folder.")
    files = find_files(folder, report)
    images: list[Tensor] = []
    unreadable: list[str] = []
    for done, (path, entry) in enumerate(files.pictures.items(), 1):
        try:
            images.append(_reduced(entry, height, width))
        except PICTURE_ERRORS as error:
            unreadable.append(f"{path} ({error})")
        if report is not None:
            report(done, len(files.pictures))
    damaged = f"Left out, because they cannot be read ({len(unreadable)}): {listed(unreadable)}." if unreadable else ""
    left_out = "\n".join(filter(None, (damaged, not_read(files.others))))
    if not images:
        raise ValueError(
            f"The folder '{folder.name}' has no picture that can be read (PNG, JPEG, WebP, TIFF and others can). "
            f"{left_out}".strip()
        )
    return FolderPictures(torch.stack(images), left_out)


def _reduced(entry: Entry, height: int, width: int) -> Tensor:
    with entry.open("rb") as file:
        picture = opaque_picture(file)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)


def opaque_picture(file: IO[bytes], enough: int | None = None) -> Image.Image:
    """A picture file as RGB, upright, its transparency flattened onto white; of a moving one the first frame.

    Grey pictures of more than 8 bits are scaled to 8: those of floating-point numbers or 32-bit integers by the
    smallest white of `WHITES` that holds their values.

    Args:
        file: its content.
        enough: the number of pixels of its shorter side that will do, so that a large JPEG need not be decoded whole.

    Raises:
        PictureRangeError: nothing says what is white in it.
        PICTURE_ERRORS: it is no picture, or damaged.
    """
    with Image.open(file) as opened:
        if enough is not None:
            opened.draft("RGB", (enough, enough))
        # Before Pillow 11 the mode of a 16-bit PNG was I, too.
        sixteen_bits = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in {"PNG", "PPM"})
        # It reads the orientation from what was remembered, and writes the rest again, which fails for odd tags.
        opened.getexif()
        opened.info.pop("exif", None)
        picture = ImageOps.exif_transpose(opened)
        picture.load()
    if sixteen_bits:
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode in {"I", "F"}:
        whites = WHITES[1:] if picture.mode == "I" else WHITES
        return Image.fromarray(_eight_bits(np.asarray(picture, dtype=np.float64), whites)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _eight_bits(values: NDArray[Any], whites: tuple[int, ...]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    white = next((white for white in whites if high <= OVERSHOOT * white), None)
    # Comparisons with NaN are false.
    if white is None or not low >= (1 - OVERSHOOT) * white or (white > 1 and 0 < high < white / DARK):
        raise PictureRangeError(
            f"its values go from {low:g} to {high:g}, and nothing says what is white: save it as an 8-bit PNG"
        )
    return (values * (255 / white)).clip(0, 255).round().astype(np.uint8)
