"""Many pictures of a folder, each reduced at once, so that a thousand photos take little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

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
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"'{path.name}' is not a picture that can be read ({error}): take it out.") from error
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    pixels = np.asarray(flat.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)
