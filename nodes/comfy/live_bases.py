"""What a painting of the Live Canvas begins with: a file, a plain colour, or a seed of a class."""

from __future__ import annotations

import sys

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ...models import RobustClassifier
from ...synthesis import automatic_start, parse_class_expression, photo_noise
from ...synthesis.live.files import LARGEST_SIDE
from ..live_requests import SMALLEST_SIDE, Base, BlankBase, FileBase, SeedBase
from ..tensors import images_from_comfy
from .folders import served_file


def base_picture(base: Base, classifier: RobustClassifier) -> Tensor:
    """The picture `uint8 [3, H, W]` to paint on.

    Raises:
        ValueError: there is no such file, it is no picture, its sides are out of range, or there is no such class.
    """
    if isinstance(base, FileBase):
        return _file(base)
    if isinstance(base, BlankBase):
        return blank(base.width, base.height, base.colour)
    return eight_bits(_seed(base, classifier))


def blank(width: int, height: int, colour: tuple[int, int, int] = (128, 128, 128)) -> Tensor:
    """A picture `uint8 [3, height, width]` of one colour."""
    return torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1).expand(3, height, width).contiguous()


def eight_bits(images: Tensor) -> Tensor:
    """The first of pictures `[B, 3, H, W]` in [0, 1], `uint8 [3, H, W]` on the CPU."""
    return (images[0].float().cpu() * 255).round().byte()


def check_sides(width: int, height: int) -> None:
    """Raises: ValueError: a side is too short or too long to paint on."""
    if not (SMALLEST_SIDE <= width <= LARGEST_SIDE and SMALLEST_SIDE <= height <= LARGEST_SIDE):
        raise ValueError(
            f"The picture is {width} x {height} pixels. The Live Canvas paints on {SMALLEST_SIDE} to {LARGEST_SIDE} "
            "pixels a side: scale it first."
        )


def _file(base: FileBase) -> Tensor:
    path = served_file(base.filename, base.subfolder, base.folder)
    try:
        # Only the head of the file is read: a picture that is too large is not decoded.
        with Image.open(path) as picture:
            check_sides(*picture.size)
        return eight_bits(images_from_comfy(_load_image(base)[:1]))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"'{base.filename}' is no picture that can be read: {error}") from None


def _load_image(base: FileBase) -> Tensor:
    """The IMAGE that ComfyUI's own Load Image makes of a file, so that a wired one has the same pixels."""
    # The module by its name in ComfyUI: there, `nodes` is the core's, and here this package's.
    place = f"{base.subfolder}/{base.filename}" if base.subfolder else base.filename
    loaded: Tensor = sys.modules["nodes"].LoadImage().load_image(f"{place} [{base.folder}]")[0]
    return loaded


def _seed(base: SeedBase, classifier: RobustClassifier) -> Tensor:
    """As Class-Conditional Seed's method automatic, and noise where no class is named."""
    if not base.what.strip():
        return photo_noise(base.height, base.width, [base.seed])
    mix = parse_class_expression(base.what, classifier.card.labels)
    return automatic_start(classifier, mix, base.height, base.width, [base.seed])
