"""How close pictures are to others, and how natural their frequencies are."""

from __future__ import annotations

import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch_fidelity.metric_fid import (  # type: ignore[import-untyped]
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_kid import (  # type: ignore[import-untyped]
    KEY_METRIC_KID_MEAN,
    kid_features_to_metric,
)

KID_SUBSETS = 50


def frechet_distance(features: Tensor, real: Tensor) -> float:
    """Frechet distance of two sets of features `[N, F]` (the FID of Heusel et al., arXiv 1706.08500).

    It is too large for few pictures, so it is only compared between sets of the same size.
    """
    made, true = (fid_features_to_statistics(x.double().cpu()) for x in (features, real))
    return float(fid_statistics_to_metric(made, true, False)[KEY_METRIC_FID])


def kernel_distance(features: Tensor, real: Tensor) -> float:
    """A thousand times the squared kernel distance of features `[N, F]` (KID: Binkowski et al., arXiv 1801.01401).

    The estimate is unbiased: it can be compared between sets of different size, and good pictures may score a little
    below zero. It is the mean over random subsets of the larger set, each as large as the smaller set.
    """
    size = min(len(features), len(real))
    found = kid_features_to_metric(
        features.double(), real.double(), kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False
    )
    return 1000 * float(found[KEY_METRIC_KID_MEAN])


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
    power = _power(images)
    highest = images.shape[-1] // 2
    ratios = [p[highest] / p[highest - 4 : highest - 2].mean() for p in (power.sum(0), power.sum(1))]
    return float((ratios[0] * ratios[1]).sqrt())


def spectrum_slope(images: Tensor) -> float:
    """The slope of the power spectrum of square images `[N, 3, S, S]` over frequency, both logarithmic.

    About -2 in photographs (Field 1987); nearer to 0 where fine patterns were added, lower where pictures are blurred.
    """
    power = _power(images)
    side = images.shape[-1]
    frequency = torch.fft.fftfreq(side, 1 / side).abs()
    radius = (frequency.square()[:, None] + frequency.square()).sqrt().round().long()
    radii = torch.arange(3, side // 2)
    mean = torch.stack([power[radius == r].mean() for r in radii]).log()
    x = radii.double().log()
    x = x - x.mean()
    return float((x * mean).sum() / x.square().sum())


def _power(images: Tensor) -> Tensor:
    """The mean power spectrum `[S, S]` of the grey values, under a Hann window."""
    grey = images.mean(1).double()
    grey = grey - grey.mean((1, 2), keepdim=True)
    # Without a window, the step from one border to the other has power at every frequency.
    window = torch.hann_window(grey.shape[-1], periodic=False, dtype=grey.dtype)
    power: Tensor = torch.fft.fft2(grey * window * window[:, None]).abs().square().mean(0)
    return power
