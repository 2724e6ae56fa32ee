"""Where to start: pictures drawn from a class's Gaussian, and noise with the spectrum of photographs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import ClassSeeds
from .mix import Mix

# Square root of the covariance of colours in photographs (Olah et al., "Feature Visualization", Distill 2017).
COLOUR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
CONTRAST = 0.2
# The paper's average-pooling at 224 px; more components than this are noise for a blurry start.
GRAIN, RANK = 4, 24


def class_seeds(seeds: ClassSeeds, mix: Mix, height: int, width: int, random_seeds: Sequence[int]) -> Tensor:
    """Class-conditional seeds (arXiv 1906.09453, section 3.1): one picture for each random seed.

    A mix blends its classes' Gaussians in proportion to the weights that attract. The low-rank form draws from
    the same distribution as the paper's Cholesky factor. Pictures of another shape than the seeds' are stretched.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the CPU.

    Raises:
        ValueError: the mix has no class that attracts, or one that has no seeds.
    """
    attracting = [(index, weight) for index, weight in mix.weights if weight > 0]
    if not attracting:
        raise ValueError("A seed starts from a class, and here every class has a minus. Add one without.")
    for index, _ in attracting:
        if index not in seeds.classes:
            raise ValueError(
                f"This classifier has no seeds for class number {index}: fit some to pictures of it first."
            )
    total = sum(weight for _, weight in attracting)
    pictures = []
    for random_seed in random_seeds:
        generator = torch.Generator().manual_seed(random_seed)
        picture = torch.zeros_like(seeds.mean[0])
        for index, weight in attracting:
            z = torch.randn(seeds.factors.shape[1], generator=generator)
            row = seeds.classes.index(index)
            drawn = seeds.mean[row] + torch.tensordot(z, seeds.factors[row], dims=1)
            picture += weight / total * drawn
        pictures.append(picture.clamp(0, 1))
    enlarged = F.interpolate(torch.stack(pictures), (height, width), mode="bicubic", align_corners=False)
    return enlarged.clamp(0, 1)


def fit_seeds(images: Tensor, index: int, before: ClassSeeds | None, input_size: int) -> ClassSeeds:
    """Fit the Gaussian of one class to pictures of it (arXiv 1906.09453, section 3.1).

    The covariance is kept as a low-rank factor: the strongest principal components, scaled so that drawing with
    standard normal weights gives the pictures' own spread.

    Args:
        images: `[N, 3, H, W]` in [0, 1]; stretched to the shape of the seeds, as `class_seeds` stretches them back.
        index: the class.
        before: the seeds of other classes, which stay; the new ones take their size, grain and rank.
        input_size: of the classifier, for the size of the seeds where there are none before.

    Returns:
        The seeds of before, with those of the class replaced or added.
    """
    if before is None:
        side = input_size // GRAIN
        before = ClassSeeds(torch.empty(0, 3, side, side), torch.empty(0, RANK, 3, side, side), GRAIN, ())
    small = F.interpolate(images.float().cpu(), before.mean.shape[2:], mode="area")
    mean = small.mean(0)
    _, scales, components = torch.linalg.svd((small - mean).flatten(1), full_matrices=False)
    factors = torch.zeros(before.factors.shape[1:])
    kept = min(len(factors), len(components))
    spread = scales[:kept, None] / math.sqrt(len(images)) * components[:kept]
    factors[:kept] = spread.view(kept, *mean.shape)
    others = [row for row, of in enumerate(before.classes) if of != index]
    return ClassSeeds(
        torch.cat([before.mean[others], mean[None]]),
        torch.cat([before.factors[others], factors[None]]),
        before.grain,
        (*(before.classes[row] for row in others), index),
    )


def natural_noise(height: int, width: int, random_seeds: Sequence[int]) -> Tensor:
    """Noise whose amplitude falls with frequency, and whose colours vary together, as in photographs.

    The spectrum is 1/f (Field 1987, "Relations between the statistics of natural images and the response
    properties of cortical cells"), the colours are `COLOUR`'s, the mean is middle grey.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the CPU.
    """
    vertical = torch.fft.fftfreq(height)[:, None] * height
    horizontal = torch.fft.rfftfreq(width)[None, :] * width
    frequency = (vertical**2 + horizontal**2).sqrt()
    amplitude = torch.where(frequency > 0, 1 / frequency.clamp(min=1), 0.0)
    colour = torch.tensor(COLOUR)
    pictures = []
    for random_seed in random_seeds:
        generator = torch.Generator().manual_seed(random_seed)
        white = torch.randn(3, height, width, generator=generator)
        shaped = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(height, width))
        picture = torch.einsum("cd,dhw->chw", colour, shaped)
        pictures.append(0.5 + CONTRAST * picture / picture.std().clamp(min=1e-6))
    return torch.stack(pictures).clamp(0, 1)
