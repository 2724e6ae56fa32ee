"""Inpainting: a square hole in each test picture, filled by the paper's settings, by ours, and without a classifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import INPAINT_PAPER, INPAINT_PRESET, InpaintSettings, Mix, inpaint, surround

from .judge import accuracy, frechet_distance
from .measures import Pictures, Table, climbed, psnr

COLUMNS = {
    "steps": "d",
    "PSNR": ".2f",
    "PSNR in the hole": ".2f",
    "judge": ".1%",
    "Frechet": ".2f",
    "s a picture": ".3f",
}
RADIUS = 3
"""Telea's, in pixels: that of OpenCV's tutorial."""


def square_holes(count: int, size: int, side: int, random_seed: int = 0) -> Tensor:
    """Masks `[count, 1, size, size]` with one square of `side` pixels each, somewhere inside."""
    generator = torch.Generator().manual_seed(random_seed)
    corners = torch.randint(size - side + 1, (count, 2), generator=generator).tolist()
    masks = torch.zeros(count, 1, size, size)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[:, top : top + side, left : left + side] = 1
    return masks


def black(images: Tensor, masks: Tensor) -> Tensor:
    """The corrupted pictures."""
    return images * (1 - masks)


def mean_colour(images: Tensor, masks: Tensor) -> Tensor:
    """The holes in the mean colour of what is visible."""
    visible = 1 - masks
    mean = (images * visible).sum((2, 3), keepdim=True) / visible.sum((2, 3), keepdim=True)
    return torch.where(masks == 0, images, mean)


def telea(images: Tensor, masks: Tensor) -> Tensor:
    """The holes filled by OpenCV's fast marching method (Telea 2004)."""
    filled = []
    for image, mask in zip(images, masks, strict=True):
        pixels = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        hole = np.ascontiguousarray(mask[0].byte().numpy())
        filled.append(torch.from_numpy(cv2.inpaint(pixels, hole, RADIUS, cv2.INPAINT_TELEA)).permute(2, 0, 1))
    return torch.where(masks == 0, images, torch.stack(filled).float() / 255)


BASELINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "corrupted (black hole)": black,
    "mean colour": mean_colour,
    "OpenCV's Telea": telea,
    "our fill `surround` without a climb": surround,
}


def inpainting(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, paper_each: int) -> None:
    """Print how filled pictures compare with the originals; the paper's settings on so many of each class."""
    size = test.images.shape[2]
    masks = square_holes(len(test), size, size // 2)
    ours = {
        "our default, class given": (INPAINT_PRESET, True),
        "our default, the classifier's own guess": (INPAINT_PRESET, False),
    }
    both, few = {"the paper's settings": (INPAINT_PAPER, True), **ours}, test.each(paper_each)
    _table("Inpainting", judge, classifier, test, masks, ours)
    _table("Inpainting beside the paper's settings", judge, classifier, test[few], masks[few], both)


def _table(
    title: str,
    judge: RobustClassifier,
    classifier: RobustClassifier,
    test: Pictures,
    masks: Tensor,
    climbs: dict[str, tuple[InpaintSettings, bool]],
) -> None:
    side = round(float(masks[0].sum()) ** 0.5)
    table = Table(f"{title}, {len(test)} test pictures, a hole of {side} x {side} ({masks.mean():.0%})", COLUMNS)
    table.row("the test pictures themselves", 0, None, None, accuracy(judge, test.images, test.classes), None, None)

    def row(name: str, steps: int, images: Tensor, seconds: float | None) -> None:
        right, distance = accuracy(judge, images, test.classes), frechet_distance(judge, images, test.images)
        table.row(name, steps, psnr(images, test.images), psnr(images, test.images, masks), right, distance, seconds)

    for name, fill in BASELINES.items():
        row(name, 0, fill(test.images, masks), None)
    holed = black(test.images, masks)
    for name, (settings, given) in climbs.items():
        images, seconds = climbed(partial(_climb, classifier, holed, masks, settings), test.classes, given)
        row(name, settings.steps, images, seconds)


def _climb(
    classifier: RobustClassifier,
    images: Tensor,
    masks: Tensor,
    settings: InpaintSettings,
    rows: Tensor,
    mix: Mix | None,
) -> Tensor:
    return inpaint(classifier, images[rows], masks[rows], mix, settings, rows.tolist())
