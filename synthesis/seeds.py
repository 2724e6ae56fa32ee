"""Where to start: pictures drawn from a class's Gaussian, and noise with the spectrum of photographs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import ClassSeeds, bundled_classifiers, load_classifier
from .ascent import Callback
from .mix import Mix
from .objectives import Loss
from .preconditioning import COLOUR

CONTRAST = 0.2
# Of 1500 training photographs of `canvas` at 96 px: how steeply amplitude falls with frequency, the deviation inside a
# picture, and the mean colour of a picture, with how each varies from picture to picture.
PHOTO_SLOPE = 1.2
PHOTO_CONTRAST, PHOTO_CONTRAST_SPREAD = 0.23, 0.055
PHOTO_MEAN = (0.454, 0.461, 0.443)
# A factor of the covariance of mean colours: brightness, warmth, green against magenta.
PHOTO_MEAN_FACTOR = ((0.118, 0.062, 0.017), (0.132, 0.012, -0.030), (0.159, -0.056, 0.012))
CANDIDATES = 8
"""Where a class has no seeds, a start is chosen among so many `natural_pictures`."""
# Neighbouring seeds are neighbouring pictures of a batch: their candidates must not be the same pictures.
CANDIDATE_STRIDE = 0x9E3779B97F4A7C15
SEED_COUNT = 2**64
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
    return _resized(torch.stack(pictures), (height, width)).clamp(0, 1)


def detailed_class_seeds(seeds: ClassSeeds, mix: Mix, height: int, width: int, random_seeds: Sequence[int]) -> Tensor:
    """`class_seeds` with the fine detail of `photo_noise`: an ascent hardly adds detail where there is none.

    Returns and raises the same.
    """
    return _detailed(class_seeds(seeds, mix, height, width, random_seeds), seeds, random_seeds)


def has_seeds(seeds: ClassSeeds | None, mix: Mix | None) -> bool:
    """Whether there are seeds for every class that attracts, and one that does."""
    wanted = {index for index, weight in mix.weights if weight > 0} if mix else set()
    return seeds is not None and bool(wanted) and wanted <= set(seeds.classes)


def seed_size(seeds: ClassSeeds | None, input_size: int) -> tuple[int, int]:
    """Height and width of the seeds of a classifier, or of those it would get if it has none."""
    side = input_size // GRAIN
    return (side, side) if seeds is None else (seeds.mean.shape[2], seeds.mean.shape[3])


def fit_seeds(images: Tensor | Sequence[Tensor], index: int, before: ClassSeeds | None, input_size: int) -> ClassSeeds:
    """Fit the Gaussian of one class to pictures of it (arXiv 1906.09453, section 3.1).

    The covariance is kept as a low-rank factor: the strongest principal components, scaled so that drawing with
    standard normal weights gives the pictures' own spread.

    Args:
        images: `[N, 3, H, W]` in [0, 1], or several such batches of any sizes; stretched to the shape of the seeds, as
            `class_seeds` stretches them back.
        index: the class.
        before: the seeds of other classes, which stay; the new ones take their size, grain and rank.
        input_size: of the classifier, for the size of the seeds where there are none before.

    Returns:
        The seeds of before, with those of the class replaced or added.
    """
    if before is None:
        height, width = seed_size(None, input_size)
        before = ClassSeeds(torch.empty(0, 3, height, width), torch.empty(0, RANK, 3, height, width), GRAIN, ())
    batches = [images] if isinstance(images, Tensor) else images
    small = torch.cat([F.interpolate(batch.float().cpu(), before.mean.shape[2:], mode="area") for batch in batches])
    mean = small.mean(0)
    _, scales, components = torch.linalg.svd((small - mean).flatten(1), full_matrices=False)
    factors = torch.zeros(before.factors.shape[1:])
    kept = min(len(factors), len(components))
    spread = scales[:kept, None] / math.sqrt(len(small)) * components[:kept]
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
    properties of cortical cells"), the colours are `COLOUR`'s, the mean is middle grey: no picture is lighter than
    another.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the CPU.
    """
    pictures = []
    for random_seed in random_seeds:
        generator = torch.Generator().manual_seed(random_seed)
        pictures.append(0.5 + CONTRAST * _coloured_noise(height, width, 1.0, generator))
    return torch.stack(pictures).clamp(0, 1)


def photo_noise(height: int, width: int, random_seeds: Sequence[int]) -> Tensor:
    """Noise with the statistics of photographs: their spectrum, contrast and mean colours, each as it varies.

    A start for generating a class of which there are no seeds. The numbers (see `PHOTO_SLOPE` and below it) were
    measured on 1500 of the photographs that `canvas` was trained on.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the CPU.
    """
    pictures = []
    for random_seed in random_seeds:
        generator = torch.Generator().manual_seed(random_seed)
        contrast = PHOTO_CONTRAST + PHOTO_CONTRAST_SPREAD * torch.randn((), generator=generator).clamp(-2, 2)
        mean = torch.tensor(PHOTO_MEAN) + torch.tensor(PHOTO_MEAN_FACTOR) @ torch.randn(3, generator=generator)
        noise = _coloured_noise(height, width, PHOTO_SLOPE, generator)
        pictures.append(mean.view(3, 1, 1) + contrast * noise)
    return torch.stack(pictures).clamp(0, 1)


def natural_pictures(
    height: int, width: int, random_seeds: Sequence[int], classes: Sequence[int] | None = None
) -> Tensor:
    """Pictures of any of the bundled `canvas`'s classes, as blurry as their seeds, with the detail of `photo_noise`.

    A start for generating a class of which there are no seeds: its colours and its composition are those of something
    that was photographed.

    Args:
        height: of the pictures, in pixels.
        width: the same.
        random_seeds: one for each picture.
        classes: numbers of the classes of `canvas` to draw from; all by default.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the CPU.
    """
    seeds, blurry = _seeds_of_canvas(), []
    known = seeds.classes if classes is None else classes
    for random_seed in random_seeds:
        choice = torch.randint(len(known), (), generator=torch.Generator().manual_seed(random_seed))
        blurry.append(class_seeds(seeds, Mix.single(known[int(choice)]), height, width, [random_seed]))
    return _detailed(torch.cat(blurry), seeds, random_seeds)


def _detailed(blurry: Tensor, seeds: ClassSeeds, random_seeds: Sequence[int]) -> Tensor:
    """Pictures `[B, 3, H, W]` drawn from seeds, with what the seeds are too small to show: that of `photo_noise`.

    It is as fine as the pictures that the seeds were fitted to, and grey: finer or coloured, it would stay as grain.
    """
    small, size = seeds.mean.shape[2:], blurry.shape[2:]
    height, width = (min(side, seeds.grain * own) for side, own in zip(size, small, strict=True))
    noise = photo_noise(height, width, random_seeds).mean(1, keepdim=True)
    detail = _resized(noise, size) - _resized(F.interpolate(noise, small, mode="area"), size)
    return (blurry + detail).clamp(0, 1)


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(images, tuple(size), mode="bicubic", align_corners=False)


@cache
def _seeds_of_canvas() -> ClassSeeds:
    seeds = load_classifier(bundled_classifiers()["canvas"]).seeds
    assert seeds is not None
    return seeds


def _coloured_noise(height: int, width: int, slope: float, generator: torch.Generator) -> Tensor:
    """Noise `[3, height, width]` of mean 0 and deviation 1, with amplitudes of 1 / frequency ** slope."""
    vertical = torch.fft.fftfreq(height)[:, None] * height
    horizontal = torch.fft.rfftfreq(width)[None, :] * width
    frequency = (vertical**2 + horizontal**2).sqrt()
    amplitude = torch.where(frequency > 0, frequency.clamp(min=1) ** -slope, 0.0)
    white = torch.randn(3, height, width, generator=generator)
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(height, width))
    picture = torch.einsum("cd,dhw->chw", torch.tensor(COLOUR), shaped)
    return picture / picture.std().clamp(min=1e-6)


def best_of(
    count: int,
    draw: Callable[[Sequence[int]], Tensor],
    loss: Loss,
    random_seeds: Sequence[int],
    callback: Callback | None = None,
) -> Tensor:
    """Of `count` pictures drawn for each random seed, the one with the lowest loss.

    Args:
        count: 1 or more; with 1 it is the picture of the seed itself.
        draw: from random seeds to pictures `[B, 3, H, W]`.
        loss: to be low, `[B]`: what a classifier says.
        random_seeds: one for each picture; each draws from a sequence of its own.
        callback: see `ascent.Callback`; called after each round with the best so far.

    Returns:
        `[len(random_seeds), 3, H, W]`.
    """
    best, best_loss = draw(random_seeds), torch.full((len(random_seeds),), torch.inf)
    for candidate in range(count):
        drawn = draw([(seed + candidate * CANDIDATE_STRIDE) % SEED_COUNT for seed in random_seeds])
        with torch.no_grad():
            losses = loss(drawn).to(best_loss)
        better = losses < best_loss
        best = torch.where(better.view(-1, 1, 1, 1).to(drawn.device), drawn, best)
        best_loss = torch.where(better, losses, best_loss)
        if callback is not None:
            callback(candidate, best_loss, best.detach)
    return best
