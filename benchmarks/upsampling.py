"""Upsampling: test pictures made smaller and enlarged again, by the paper's settings, by ours, and by resampling."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import UPSAMPLE_PAPER, UPSAMPLE_PRESET, Mix, UpsampleSettings, upsample

from .judge import accuracy, frechet_distance
from .measures import Pictures, Table, climbed, psnr, ssim

FACTORS = (2, 4, 8)
COLUMNS = {
    "steps": "d",
    "PSNR": ".2f",
    "SSIM": ".3f",
    "judge": ".1%",
    "Frechet": ".2f",
    "off the input": ".5f",
    "s a picture": ".3f",
}
RESAMPLERS = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}


def resampled(images: Tensor, factor: int, method: Image.Resampling) -> Tensor:
    """Pictures `[N, 3, H, W]` enlarged by Pillow, without rounding to 8 bits, in [0, 1]."""
    size = (images.shape[3] * factor, images.shape[2] * factor)
    planes = [np.asarray(Image.fromarray(plane.numpy()).resize(size, method)) for plane in images.flatten(0, 1)]
    enlarged = torch.from_numpy(np.stack(planes)).view(*images.shape[:2], size[1], size[0])
    return enlarged.clamp(0, 1)


def off_input(images: Tensor, low: Tensor) -> float:
    """The largest difference between pictures averaged back down and the small pictures they came from."""
    return float((F.avg_pool2d(images, images.shape[2] // low.shape[2]) - low).abs().max())


def upsampling(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, paper_each: int) -> None:
    """Print how enlarged pictures compare with the originals; the paper's settings on so many of each class."""
    ours = {
        "our default, class given": (UPSAMPLE_PRESET, True),
        "our default, own guess": (UPSAMPLE_PRESET, False),
    }
    both = {"the paper's settings": (UPSAMPLE_PAPER, True), **ours}
    _table("Upsampling", judge, classifier, test, ours)
    _table("Upsampling beside the paper's settings", judge, classifier, test[test.each(paper_each)], both)


def _table(
    title: str,
    judge: RobustClassifier,
    classifier: RobustClassifier,
    test: Pictures,
    climbs: dict[str, tuple[UpsampleSettings, bool]],
) -> None:
    table = Table(f"{title}, {len(test)} test pictures", COLUMNS, width=30)
    real = accuracy(judge, test.images, test.classes)
    table.row("the test pictures themselves", 0, None, None, real, None, None, None)
    for factor in FACTORS:
        low = F.avg_pool2d(test.images, factor)

        for name, method in RESAMPLERS.items():
            table.row(f"{factor}x {name}", 0, *_values(judge, resampled(low, factor, method), low, test), None)
        for name, (settings, given) in climbs.items():
            images, seconds = climbed(partial(_climb, classifier, low, factor, settings), test.classes, given)
            table.row(f"{factor}x {name}", settings.steps, *_values(judge, images, low, test), seconds)


def _values(judge: RobustClassifier, images: Tensor, low: Tensor, test: Pictures) -> tuple[float, ...]:
    return (
        psnr(images, test.images),
        ssim(images, test.images),
        accuracy(judge, images, test.classes),
        frechet_distance(judge, images, test.images),
        off_input(images, low),
    )


def _climb(
    classifier: RobustClassifier, low: Tensor, factor: int, settings: UpsampleSettings, rows: Tensor, mix: Mix | None
) -> Tensor:
    return upsample(classifier, low[rows], factor, mix, settings)
