"""How close pictures are to others, and what a judge sees in them."""

from __future__ import annotations

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from robust_synthesis.models import RobustClassifier

BATCH_SIZE = 128


@torch.no_grad()
def agreement(judge: RobustClassifier, images: Tensor, classes: Tensor) -> float:
    """The fraction of images `[N, 3, H, W]` in [0, 1] that the judge classifies as `classes`, `[N]`."""
    predicted = torch.cat([judge(batch).argmax(1) for batch in images.split(BATCH_SIZE)])
    return float((predicted == classes).float().mean())


@torch.no_grad()
def frechet_distance(judge: RobustClassifier, images: Tensor, real: Tensor) -> float:
    """Frechet distance of two sets of images in the judge's features (the FID of Heusel et al., arXiv 1706.08500)."""
    a, b = (torch.cat([judge.features(batch) for batch in x.split(BATCH_SIZE)]).double() for x in (images, real))
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    # tr sqrt(AB) = the sum of the square roots of AB's eigenvalues, which are real and not negative.
    root = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return float(mean + cov_a.trace() + cov_b.trace() - 2 * root)


def psnr(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, the mean over images `[N, 3, H, W]`; inside a mask `[N, 1, H, W]` if given."""
    squares = (images - truth).square().double()
    weights = torch.ones_like(squares) if mask is None else mask.double().expand_as(squares)
    error = (squares * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    return float((-10 * error.log10()).mean())


def ssim(images: Tensor, truth: Tensor) -> float:
    """Structural similarity (Wang et al., 2004), the mean over colour images `[N, 3, H, W]`."""
    pairs = zip(images.double().numpy(), truth.double().numpy(), strict=True)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values = [
        structural_similarity(a, b, data_range=1.0, channel_axis=0, **options)  # type: ignore[no-untyped-call]
        for a, b in pairs
    ]
    return float(sum(values) / len(values))


def grid(images: Tensor) -> float:
    """The strength of a grid with a period of two pixels in square images `[N, 3, S, S]`; 1: none.

    It is the power at that frequency over the power three and four frequencies below it, which is as high in
    photographs; the geometric mean of both directions.
    """
    grey = images.mean(1).double()
    grey = grey - grey.mean((1, 2), keepdim=True)
    # Without a window, the step from one border to the other has power at every frequency.
    window = torch.hann_window(grey.shape[-1], periodic=False, dtype=grey.dtype)
    power = torch.fft.fft2(grey * window * window[:, None]).abs().square().mean(0)
    highest = grey.shape[-1] // 2
    ratios = [p[highest] / p[highest - 4 : highest - 2].mean() for p in (power.sum(0), power.sum(1))]
    return float((ratios[0] * ratios[1]).sqrt())
