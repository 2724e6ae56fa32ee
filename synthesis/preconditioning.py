"""Preconditioning: the steepest step where photographs vary, in place of the steepest step in plain RGB pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import ClassSeeds

SPECTRUM_CELLS = 16
"""A gradient's spectrum is averaged over so many bands along each axis, from 0 to the highest frequency."""
SMALLEST_POWER = 1e-6
"""Of a band, as a fraction of the strongest one's."""
LOWEST_FREQUENCY = 3.0
"""Cycles in what the network sees at once. Below it no frequency is preferred: the composition is the start's."""
# Square root of the covariance of colours in photographs (Olah et al., "Feature Visualization", Distill 2017).
COLOUR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True)
class Preconditioning:
    """How far a gradient is brought into the metric of photographs (Olah et al., Distill 2017, "Preconditioning").

    In photographs the channels vary together and amplitude falls with frequency. A plain gradient ignores both, and
    so makes colour noise and fine patterns. Both exponents 0: the plain gradient.

    A gradient step on the paper's parameters (decorrelated colours, a spectrum scaled by 1/f) moves the pixels as
    exponents of 1 and 2 do: the parameters scale the gradient on its way to them and the step on its way back.
    """

    decorrelation: float = 0.0
    """From 0 to 2. The gradient's colours are multiplied by the covariance of the channels to this power."""
    decay_power: float = 0.0
    """From 0 to 2. The gradient's frequencies f are multiplied by 1/f to this power."""
    whitening: float = 0.0
    """From 0 to 1. Before that, the gradient's frequencies are divided by its own amplitude around them to this power.
    A network asks for some frequencies more than for others, which leaves dots and hatching. At 1 with a decay power
    of about 1.2 each step has the spectrum of photographs."""
    side: int = 0
    """Height and width of what the network sees at once, in pixels; 0: the whole image, whatever its shape."""

    def __post_init__(self) -> None:
        limits = {"decorrelation": 2, "decay_power": 2, "whitening": 1}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise ValueError(f"{name} is {value}; it must be from 0 to {limit}.")

    @property
    def filters(self) -> bool:
        """Whether frequencies are changed, which reaches beyond a mask around the gradient."""
        return self.decay_power > 0 or self.whitening > 0

    def for_images(self, images: Tensor, covariance: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """What brings the gradients of images into the metric; prepared once, because an ascent has many steps.

        Args:
            images: `[B, 3, H, W]`; only shape, precision and device count.
            covariance: of the channels, `[B, 3, 3]` or `[1, 3, 3]`; None: that of photographs.

        Returns:
            A function from gradients `[B, 3, H, W]` to the same, of no particular length.
        """
        colours = filtered = None
        if self.decorrelation > 0:
            power = _matrix_power(photo_covariance() if covariance is None else covariance, self.decorrelation)
            colours = power.to(images).expand(len(images), 3, 3)
        if self.filters:
            filtered = _SpectralFilter(images, _decay(images, self.side) ** self.decay_power, self.whitening)

        def precondition(gradient: Tensor) -> Tensor:
            if colours is not None:
                gradient = torch.einsum("bcd,bdhw->bchw", colours, gradient)
            return gradient if filtered is None else filtered(gradient)

        return precondition


def photo_covariance() -> Tensor:
    """The covariance of the channels in photographs, `[1, 3, 3]`."""
    factor = torch.tensor(COLOUR, dtype=torch.float64)
    return (factor @ factor.T)[None]


def class_covariance(seeds: ClassSeeds, weights: Tensor) -> Tensor:
    """The covariance of the channels in the pictures that some classes' seeds were fitted to, at the seeds' resolution.

    Args:
        seeds: of the classifier.
        weights: of all classes, `[B, K]`; those that repel do not count.

    Returns:
        `[B, 3, 3]`, float64 on the CPU; that of photographs where no class with seeds attracts.
    """
    own = weights.detach().cpu().double().clamp(min=0)[:, list(seeds.classes)]
    # One class of a thousand, usually: the factors of all would fill gigabytes.
    used = own.sum(0).nonzero().flatten()
    own = own[:, used]
    mean, factors = (part.cpu()[used].double() for part in (seeds.mean, seeds.factors))
    values = torch.cat([(mean - mean.mean((2, 3), keepdim=True))[:, None], factors], 1)
    each = torch.einsum("nrchw,nrdhw->ncd", values, values) / math.prod(mean.shape[2:])
    total = own.sum(1).view(-1, 1, 1)
    mixed = torch.einsum("bn,ncd->bcd", own, each) / total.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(total > 0, mixed, photo_covariance())


def _matrix_power(covariance: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance.double().cpu())
    # Relative to the largest: a class whose pictures are grey still gets steps in every colour.
    values = (values / values[:, -1:].clamp(min=torch.finfo(torch.float64).tiny)).clamp(min=1e-4)
    power: Tensor = vectors @ torch.diag_embed(values**exponent) @ vectors.mT
    return power


def _decay(images: Tensor, side: int) -> Tensor:
    """How much of each frequency of the cosine transform is left at a power of 1, `[H, W]`."""
    height, width = images.shape[2:]
    # The same wavelength counts the same in both directions, in a picture that is not square as well.
    across = side or math.sqrt(height * width)
    vertical, horizontal = (torch.arange(n, device=images.device) * (across / (2 * n)) for n in (height, width))
    frequency = (vertical[:, None].square() + horizontal.square()).sqrt().clamp(min=LOWEST_FREQUENCY)
    share: Tensor = LOWEST_FREQUENCY / frequency
    return share.to(images.dtype)


class _SpectralFilter:
    """Scales the frequencies of images of one size.

    They are those of the cosine transform (DCT-II), in which a picture goes on as its own mirror image: an edge at the
    border would have all frequencies. As a product of matrices it takes a fraction of an FFT's time at the sizes that
    networks see.
    """

    def __init__(self, images: Tensor, share: Tensor, whitening: float) -> None:
        """Prepare it for images like `[B, 3, H, W]`: each frequency is multiplied by its share, `[H, W]`."""
        self._rows, self._columns = (_cosines(length).to(images) for length in images.shape[2:])
        self._share, self._whitening = share, whitening
        if whitening > 0:
            (self._pool_rows, self._spread_rows), (self._pool_columns, self._spread_columns) = (
                tuple(part.to(images) for part in _bands(length)) for length in images.shape[2:]
            )

    def __call__(self, images: Tensor) -> Tensor:
        spectrum = self._rows @ images @ self._columns.mT
        share = self._share
        if self._whitening > 0:
            share = share * self._power(spectrum) ** (-self._whitening / 2)
        filtered: Tensor = self._rows.mT @ (spectrum * share) @ self._columns
        return filtered

    def _power(self, spectrum: Tensor) -> Tensor:
        """The power around each frequency, `[B, 1, H, W]`."""
        power = spectrum.square().mean(1, keepdim=True)
        cells = self._pool_rows @ power @ self._pool_columns.mT
        least = SMALLEST_POWER * cells.amax((2, 3), keepdim=True)
        cells = cells.clamp(min=least).clamp(min=torch.finfo(cells.dtype).tiny)
        around: Tensor = self._spread_rows @ cells @ self._spread_columns.mT
        return around


def _cosines(length: int) -> Tensor:
    """The orthonormal matrix of the cosine transform (DCT-II), `[length, length]`, float64."""
    numbers = torch.arange(length, dtype=torch.float64)
    cosines = torch.cos(math.pi / length * numbers[:, None] * (numbers + 0.5)) * math.sqrt(2 / length)
    cosines[0] *= math.sqrt(0.5)
    return cosines


def _bands(length: int) -> tuple[Tensor, Tensor]:
    """Matrices that average the power of an axis over its bands, `[bands, length]`, and spread it again, back."""
    # With the frequency after the last, of which an image and its mirror image have nothing.
    pool = F.adaptive_avg_pool1d(torch.eye(length + 1), SPECTRUM_CELLS).mT[:, :length].clone()
    # Frequency 0 occurs once in the spectrum of the mirrored image and the others twice, so it has half of their
    # weight here.
    pool[:, 0] *= 2
    spread = F.interpolate(torch.eye(SPECTRUM_CELLS)[None], length + 1, mode="linear", align_corners=False)[0]
    return pool, spread.mT[:length].contiguous()
