"""Pictures of the Live Canvas as files for a browser."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor

JPEG_QUALITY = 92
FAST = 1
"""The level of PNG's compression: the browser is near, and waits."""


def jpeg(pixels: Tensor) -> bytes:
    """A JPEG file of `uint8 [3, h, w]`."""
    return jpeg_file(_image(pixels))


def jpeg_file(image: Image.Image) -> bytes:
    """A JPEG file of a picture."""
    return _file(image, "JPEG", quality=JPEG_QUALITY)


def png(pixels: Tensor) -> bytes:
    """A PNG file of `uint8 [3, h, w]`, with exactly these pixels."""
    return _file(_image(pixels), "PNG", compress_level=FAST)


def thumbnail(pixels: Tensor, longest: int) -> bytes:
    """A JPEG file of `uint8 [3, h, w]`, no side longer than `longest`."""
    image = _image(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return jpeg_file(image)


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _file(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
