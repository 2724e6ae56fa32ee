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
        colours = spectrum = None
        if self.decorrelation > 0:
            power = _matrix_power(photo_covariance() if covariance is None else covariance, self.decorrelation)
            colours = power.to(images).expand(len(images), 3, 3)
        if self.filters:
            spectrum = _decay(images, self.side) ** self.decay_power

        def precondition(gradient: Tensor) -> Tensor:
            if colours is not None:
                gradient = torch.einsum("bcd,bdhw->bchw", colours, gradient)
            return gradient if spectrum is None else _filtered(gradient, spectrum, self.whitening)

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
    """How much of each frequency is left at a power of 1, for `rfft2` of images beside their mirror images."""
    height, width = images.shape[2:]
    # The same wavelength counts the same in both directions, in a picture that is not square as well.
    across = side or math.sqrt(height * width)
    vertical = torch.fft.fftfreq(2 * height, 1 / across, device=images.device)[:, None]
    horizontal = torch.fft.rfftfreq(2 * width, 1 / across, device=images.device)
    frequency = (vertical.square() + horizontal.square()).sqrt().clamp(min=LOWEST_FREQUENCY)
    share: Tensor = LOWEST_FREQUENCY / frequency
    return share


def _filtered(gradient: Tensor, spectrum: Tensor, whitening: float) -> Tensor:
    height, width = gradient.shape[2:]
    # A picture beside its mirror image has no edge at its border, which would have all frequencies.
    mirrored = torch.cat([gradient, gradient.flip(3)], 3)
    mirrored = torch.cat([mirrored, mirrored.flip(2)], 2)
    frequencies = torch.fft.rfft2(mirrored)
    if whitening > 0:
        spectrum = spectrum * _amplitude(frequencies) ** -whitening
    filtered: Tensor = torch.fft.irfft2(frequencies * spectrum, s=mirrored.shape[2:])
    return filtered[:, :, :height, :width]


def _amplitude(frequencies: Tensor) -> Tensor:
    """The amplitude around each frequency, `[B, 1, 2H, W + 1]`, for `rfft2` of images beside their mirror images."""
    rows = torch.arange(frequencies.shape[2], device=frequencies.device)
    rows = torch.minimum(rows, len(rows) - rows)
    # The rows of negative frequencies are the same, because of the mirror image.
    power = frequencies[:, :, : len(rows) // 2 + 1].abs().square().mean(1, keepdim=True)
    cells = F.adaptive_avg_pool2d(power, SPECTRUM_CELLS)
    cells = cells.clamp(min=SMALLEST_POWER * cells.amax((2, 3), keepdim=True)).clamp(min=torch.finfo(cells.dtype).tiny)
    around = F.interpolate(cells, power.shape[2:], mode="bilinear", align_corners=False)
    amplitude: Tensor = around.sqrt()[:, :, rows]
    return amplitude
