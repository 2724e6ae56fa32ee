"""Upsampling: test pictures made smaller and enlarged again, by the paper's settings, by ours, and by resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import UpsampleSettings, preset, upsample
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import in_batches
from .judge import Judge
from .metrics import frechet_distance, kernel_distance, psnr, ssim

FACTORS = (2, 4, 8)
RESAMPLERS = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
VARIANTS: Mapping[str, tuple[UpsampleSettings, bool]] = {
    "the paper's settings, class given": (preset(UpsampleSettings, "paper").settings, True),
    "`upsample`, class given": (preset(UpsampleSettings, "upsample").settings, True),
    "`upsample`, class predicted": (preset(UpsampleSettings, "upsample").settings, False),
}


def resampled(images: Tensor, factor: int, method: Image.Resampling) -> Tensor:
    """Images `[N, 3, H, W]` enlarged by Pillow, without rounding to 8 bits, in [0, 1]."""
    size = (images.shape[3] * factor, images.shape[2] * factor)
    planes = [np.asarray(Image.fromarray(plane.numpy()).resize(size, method)) for plane in images.flatten(0, 1)]
    enlarged = torch.from_numpy(np.stack(planes)).view(*images.shape[:2], size[1], size[0])
    return enlarged.clamp(0, 1)


def inconsistency(images: Tensor, low: Tensor) -> float:
    """The largest difference between images averaged back down and the small images they came from."""
    return float((F.avg_pool2d(images, images.shape[2] // low.shape[2]) - low).abs().max())


def upsampling(judge: Judge, classifier: RobustClassifier, test: Pictures, factors: Sequence[int]) -> None:
    """Compare enlarged pictures with the originals."""
    images = as_float(test)
    table = Table(
        f"Upsampling, {len(test)} test pictures; off: the largest difference to the input, once averaged back down",
        {"steps": "d", "PSNR": ".2f", "SSIM": ".3f", "judge": ".1%", "KID": ".1f", "Frechet": ".1f", "off": ".5f"},
    )
    real = judge.features(images)
    table.row("the test pictures themselves", 0, None, None, judge.agreement(real, test.classes), None, None, None)

    def row(name: str, steps: int, enlarged: Tensor, low: Tensor) -> None:
        features = judge.features(enlarged)
        distances = kernel_distance(features, real), frechet_distance(features, real)
        kept, off = ssim(enlarged, images), inconsistency(enlarged, low)
        table.row(name, steps, psnr(enlarged, images), kept, judge.agreement(features, test.classes), *distances, off)

    def enlarge(low: Tensor, factor: int, settings: UpsampleSettings, class_given: bool) -> Tensor:
        return in_batches(
            lambda rows, mix: upsample(classifier, low[rows], factor, mix, settings), test.classes, class_given
        )

    for factor in factors:
        low = F.avg_pool2d(images, factor)
        for name, method in RESAMPLERS.items():
            row(f"{factor}x {name}", 0, resampled(low, factor, method), low)
        for name, (settings, class_given) in VARIANTS.items():
            row(f"{factor}x {name}", settings.ascent.steps, enlarge(low, factor, settings, class_given), low)
