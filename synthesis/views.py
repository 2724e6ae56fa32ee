"""How a classifier looks at a picture that is not its own size.

Run on a larger picture as it is, a convolutional classifier sees a mosaic of small motifs. So the climb happens on a
copy of about the classifier's own area, in the picture's own shape, and the *change* is put back at full resolution:
what the climb leaves alone keeps every detail of the original.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

SHORTEST_SIDE = 32
NATIVE_AREA = (0.5, 1.6)


def working_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    """Height and width at which a classifier of `input_size` works on a picture of `height` x `width`.

    The same, where the area is near the classifier's own; else the size of equal area and shape. No side is
    shorter than `SHORTEST_SIDE`, below which a classifier of several strides sees nothing: a thin strip is widened.
    """
    low, high = NATIVE_AREA
    if low <= height * width / input_size**2 <= high and min(height, width) >= SHORTEST_SIDE:
        return height, width
    scale = input_size / math.sqrt(height * width)
    return max(round(height * scale), SHORTEST_SIDE), max(round(width * scale), SHORTEST_SIDE)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `[B, C, H, W]` at another (height, width), antialiased, values clamped to [0, 1]."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def with_change(images: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """`images` plus what changed between two small versions of them, enlarged; clamped to [0, 1]."""
    if images.shape == after.shape:
        return after
    change = F.interpolate(after - before, images.shape[2:], mode="bicubic", align_corners=False, antialias=True)
    return (images + change).clamp(0, 1)
