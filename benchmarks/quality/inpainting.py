"""Inpainting: a square hole in each test picture, filled by the paper's settings, by ours, and without a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import InpaintSettings, inpaint, preset, surround
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import in_batches
from .judge import Judge
from .metrics import frechet_distance, kernel_distance, psnr

RADIUS = 3
"""Telea's, in pixels, as in OpenCV's tutorial."""


def square_holes(count: int, size: int, side: int, random_seed: int = 0) -> Tensor:
    """Masks `[count, 1, size, size]` with one square of `side` pixels each, somewhere inside."""
    generator = torch.Generator().manual_seed(random_seed)
    corners = torch.randint(size - side + 1, (count, 2), generator=generator).tolist()
    masks = torch.zeros(count, 1, size, size)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[:, top : top + side, left : left + side] = 1
    return masks


def black(images: Tensor, masks: Tensor) -> Tensor:
    """Images `[N, 3, H, W]` without what is inside the masks `[N, 1, H, W]`."""
    return images * (1 - masks)


def mean_color(images: Tensor, masks: Tensor) -> Tensor:
    """The holes in the mean colour of the visible pixels."""
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


BASELINES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a black hole": black,
    "mean colour": mean_color,
    "OpenCV's Telea": telea,
    "the smooth fill alone": surround,
}


def inpainting(judge: Judge, classifier: RobustClassifier, test: Pictures, with_paper: bool) -> None:
    """Compare filled pictures with the originals."""
    variants = {
        "`inpaint`, class given": (preset(InpaintSettings, "inpaint").settings, True),
        "`inpaint`, class predicted": (preset(InpaintSettings, "inpaint").settings, False),
    }
    if with_paper:
        variants["the paper's settings, class given"] = (preset(InpaintSettings, "paper").settings, True)
    size, images = test.images.shape[2], as_float(test)
    masks = square_holes(len(test), size, size // 2)
    table = Table(
        f"Inpainting, {len(test)} test pictures, a hole of {size // 2} x {size // 2} ({masks.mean():.0%})",
        {"steps": "d", "PSNR": ".2f", "PSNR in the hole": ".2f", "judge": ".1%", "KID": ".1f", "Frechet": ".1f"},
    )
    real = judge.features(images)
    table.row("the test pictures themselves", 0, None, None, judge.agreement(real, test.classes), None, None)

    def row(name: str, steps: int, filled: Tensor) -> None:
        features = judge.features(filled)
        distances = kernel_distance(features, real), frechet_distance(features, real)
        agreed = judge.agreement(features, test.classes)
        table.row(name, steps, psnr(filled, images), psnr(filled, images, masks), agreed, *distances)

    def fill(settings: InpaintSettings, class_given: bool) -> Tensor:
        holed = black(images, masks)
        return in_batches(
            lambda rows, mix: inpaint(classifier, holed[rows], masks[rows], mix, settings, rows.tolist()),
            test.classes,
            class_given,
        )

    for name, baseline in BASELINES.items():
        row(name, 0, baseline(images, masks))
    for name, (settings, class_given) in variants.items():
        row(name, settings.ascent.steps, fill(settings, class_given))
