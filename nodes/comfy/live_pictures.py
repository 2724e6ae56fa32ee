"""Pictures of the Live Canvas as files for a browser."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from ...synthesis.live.files import FAST

JPEG_QUALITY = 92


def jpeg(pixels: Tensor) -> bytes:
    """A JPEG file of `uint8 [3, h, w]`."""
    return jpeg_file(to_pil_image(pixels))


def jpeg_file(image: Image.Image) -> bytes:
    """A JPEG file of a picture."""
    return _file(image, "JPEG", quality=JPEG_QUALITY)


def png(pixels: Tensor) -> bytes:
    """A PNG file of `uint8 [3, h, w]`, with exactly these pixels."""
    return _file(to_pil_image(pixels), "PNG", compress_level=FAST)


def thumbnail(pixels: Tensor, longest: int) -> bytes:
    """A JPEG file of `uint8 [3, h, w]`, no side longer than `longest`."""
    image = to_pil_image(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return jpeg_file(image)


def _file(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
