"""Where the thing in a photograph is, by two methods that know nothing of each other."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .judge import Judge

MARGIN = 0.04
"""GrabCut begins with a rectangle this fraction of the side from the border: everything beyond it is background."""
ITERATIONS = 5
MIN_OVERLAP = 0.4
"""Two masks whose intersection is at least this fraction of their union agree."""


def object_masks(judge: Judge, images: Tensor, class_index: int) -> tuple[Tensor, Tensor]:
    """Where the things of a class are in photographs that show one each.

    GrabCut (Rother et al., 2004) sees colours only, class activation mapping (Zhou et al., arXiv 1512.04150) classes
    only.

    Args:
        judge: that knows the class.
        images: `[N, 3, H, W]` in [0, 1].
        class_index: a row of the judge's labels.

    Returns:
        GrabCut's masks, bool `[N, 1, H, W]`, and with which of them the activation map agrees, bool `[N]`.
    """
    cut = torch.stack([_grab_cut(image) for image in images])
    heat = F.interpolate(judge.activation_map(images, class_index), images.shape[-2:], mode="bicubic")
    low, high = heat.amin((2, 3), keepdim=True), heat.amax((2, 3), keepdim=True)
    active = heat > (low + high) / 2
    overlap = (cut & active).sum((1, 2, 3)) / (cut | active).sum((1, 2, 3)).clamp_min(1)
    return cut, overlap >= MIN_OVERLAP


def _grab_cut(image: Tensor) -> Tensor:
    """The mask `[1, H, W]` of one image `[3, H, W]`."""
    pixels = np.ascontiguousarray((image.permute(1, 2, 0) * 255).round().byte().numpy())
    height, width, _ = pixels.shape
    left, top = round(MARGIN * width), round(MARGIN * height)
    found = np.zeros((height, width), np.uint8)
    box = (left, top, width - 2 * left, height - 2 * top)
    cv2.setRNGSeed(0)
    cv2.grabCut(pixels, found, box, np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, cv2.GC_INIT_WITH_RECT)
    return torch.from_numpy((found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD))[None]
