"""Where a class is in pictures: gradient and activation maps, then the picture's own colours and edges."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback, jitter_shift, loss_and_gradient
from ..coarse_to_fine import counted_from
from ..mix import Mix
from ..objectives import class_loss
from ..views import resized, whole
from .classify import target_weights

SCALES = (4 / 3, 11 / 6)
"""Of the copies whose activation maps are taken, beside what the classifier usually sees."""
SAMPLES = 8
"""How many noisy, shifted copies of a picture the gradient is averaged over."""
NOISE = 0.15
SHIFT = 1 / 12
"""Of a copy, at most, as a share of its sides."""
STEPS = SAMPLES + 4 * len(SCALES)
BLUR = 1 / 32
"""Of the gradient's length: the deviation, as a share of the side of a square of the picture's area."""
FINENESS = 2
"""Colours and edges are learned on a copy of at most so many times the side that the classifier sees."""
RADIUS, EDGE = 1 / 16, 1e-3
"""Of the guided filter: its windows, as a share of the side, and the variance below which a window has no edge."""
BINS, ROUNDS = 12, 5
STEEPNESS = 6.0
"""How sure the evidence alone is: log odds between its weakest and its strongest."""
THRESHOLD, SOFTNESS = 0.5, 0.2
"""Of a mask, usually."""
SURE = 0.01
"""No probability is closer to 0 or 1 before the odds are multiplied."""


def class_map(
    classifier: RobustClassifier, images: Tensor, mix: Mix | None, callback: Callback | None = None
) -> Tensor:
    """Find a class in pictures: how probably each pixel belongs to it.

    The evidence is a product: class activation maps (Zhou et al., arXiv 1512.04150) of enlarged and shifted copies,
    and the root of the gradient's length, averaged over noisy and shifted copies (SmoothGrad, arXiv 1706.03825). The
    first is coarse and seldom wrong, the second fine, and of a robust classifier it lies on the thing itself. Both are
    relative: some part of any picture is the likeliest. Then two colour histograms, of what is in and what is out, vote
    on every pixel, as in GrabCut (Rother et al., 2004), and a guided filter (He et al., 2010) lays the map on the
    picture's edges.

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W. Each is seen whole, at about the classifier's size.
        mix: the classes; None for the likeliest class of each picture.
        callback: see `ascent.Callback`; called `STEPS` times. The picture is the map so far, `[B, 3, h, w]`.

    Returns:
        `[B, 1, H, W]` in [0, 1]; about 0.5 at the rim of the thing.
    """
    height, width = images.shape[2:]
    weights = target_weights(classifier, mix, images)
    seen = whole(height, width, classifier.input_size).look(images)
    evidence = gradient_map(classifier, seen, weights, callback).sqrt()
    for index, scale in enumerate(SCALES):
        report = None if callback is None else counted_from(SAMPLES + 4 * index, callback)
        evidence = evidence * activation_map(classifier, seen, weights, scale, report)
    return on_edges(images, evidence, FINENESS * classifier.input_size)


def on_edges(images: Tensor, evidence: Tensor, side: float) -> Tensor:
    """Evidence `[B, 1, h, w]`, by colours and edges of pictures `[B, 3, H, W]`, as a probability `[B, 1, H, W]`.

    Colours are learned on a copy of at most `side` x `side` pixels in area.
    """
    height, width = images.shape[2:]
    scale = min(side / math.sqrt(height * width), 1.0)
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    small = resized(images, size)
    evidence = _spread(resized(evidence, size))
    odds = STEEPNESS * (evidence - _otsu(evidence))
    inside = odds.sigmoid()
    for _ in range(ROUNDS):
        line = _line(small, (odds + _colour_odds(small, inside)).sigmoid())
        inside = _along(line, small)
    return _along(F.interpolate(line, (height, width), mode="bilinear", align_corners=False), images)


def cut_mask(probability: Tensor, threshold: float = THRESHOLD, softness: float = SOFTNESS) -> Tensor:
    """A mask of the pixels above a threshold.

    Args:
        probability: of any shape, in [0, 1].
        threshold: in [0, 1]; the mask is 0.5 there.
        softness: over how much of the probability the mask rises from 0 to 1; 0 for a hard mask. Less near a threshold
            of 0 or 1, so that all of the rise is within [0, 1]: 0 masks all that has any probability, 1 nothing.
    """
    softness = min(softness, 2 * threshold, 2 * (1 - threshold))
    if softness == 0:
        return (probability > threshold).to(probability)
    return ((probability - threshold) / softness + 0.5).clamp(0, 1)


def heat_picture(images: Tensor, probability: Tensor) -> Tensor:
    """Grey pictures `[B, 3, H, W]` with a map `[B, 1, H, W]` over them, from black over red and yellow to white."""
    hot = (3 * probability - torch.arange(3.0).to(images).view(1, 3, 1, 1)).clamp(0, 1)
    grey = images.mean(1, keepdim=True)
    return 0.4 * grey + 0.6 * hot


def gradient_map(classifier: RobustClassifier, seen: Tensor, weights: Tensor, callback: Callback | None) -> Tensor:
    """The blurred length of the averaged gradient of what is seen, `[B, 1, h, w]` in [0, 1]."""
    loss = class_loss(classifier, weights, "margin")
    # The same for each picture, so that none depends on its place in the batch.
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(seen)
    most = round(SHIFT * min(seen.shape[2:]))
    for sample in range(SAMPLES):
        noise = NOISE * torch.randn(1, *seen.shape[1:], generator=generator).to(seen)
        losses, gradient = loss_and_gradient(seen + noise, loss, jitter_shift(sample, most))
        total.add_(gradient)
        if callback is not None:
            callback(sample, losses, lambda: _spread(_lengths(total)).expand_as(seen))
    return _spread(_lengths(total))


@torch.no_grad()
def activation_map(
    classifier: RobustClassifier, seen: Tensor, weights: Tensor, scale: float, callback: Callback | None
) -> Tensor:
    """The class activation map of what is seen, enlarged, the mean over four shifts, `[B, 1, h, w]` in [0, 1]."""
    height, width = round(scale * seen.shape[2]), round(scale * seen.shape[3])
    larger = resized(seen, (height, width))
    effects = weights.expand(len(seen), -1) @ classifier.feature_effects.to(seen)
    total = larger.new_zeros(len(seen), 1, height, width)
    half_cell = 0
    for index, (down, right) in enumerate(itertools.product((0, 1), repeat=2)):
        down, right = down * half_cell, right * half_cell
        padded = F.pad(larger, (right, right, down, down), mode="reflect")
        cells = torch.einsum("bf,bfhw->bhw", effects, classifier.feature_maps(padded))[:, None]
        if index == 0:
            half_cell = round(height / cells.shape[2]) // 2
        own = F.interpolate(cells, padded.shape[2:], mode="bilinear", align_corners=False)
        total.add_(own[:, :, down : down + height, right : right + width])
        if callback is not None:
            callback(index, -cells.mean((1, 2, 3)), lambda: _spread(total).expand_as(larger))
    return _spread(F.interpolate(total, seen.shape[2:], mode="bilinear", align_corners=False))


def _lengths(gradient: Tensor) -> Tensor:
    """How long a gradient `[B, 3, h, w]` is at each pixel, blurred: `[B, 1, h, w]`."""
    return _blurred(gradient.norm(dim=1, keepdim=True))


def _blurred(maps: Tensor) -> Tensor:
    """Maps `[B, 1, h, w]` through a Gaussian."""
    sigma = BLUR * math.sqrt(maps.shape[2] * maps.shape[3])
    reach = min(math.ceil(3 * sigma), maps.shape[2], maps.shape[3])
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1.0).to(maps) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(maps, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _spread(maps: Tensor) -> Tensor:
    """Maps `[B, 1, h, w]` stretched to [0, 1], but for their extreme hundredths."""
    low, high = (maps.flatten(1).quantile(share, 1).view(-1, 1, 1, 1) for share in (0.01, 0.99))
    return ((maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)).clamp(0, 1)


def _otsu(maps: Tensor) -> Tensor:
    """The threshold `[B, 1, 1, 1]` that parts the values of each map best (Otsu, 1979)."""
    bins = 64
    counts = torch.stack([torch.histc(own, bins, 0, 1) for own in maps])
    shares = counts / counts.sum(1, keepdim=True)
    below = shares.cumsum(1)
    mean = (shares * torch.arange(bins).to(maps)).cumsum(1)
    between = (mean[:, -1:] * below - mean).square() / (below * (1 - below)).clamp(min=1e-6)
    return (between.argmax(1).view(-1, 1, 1, 1) + 1) / bins


def _colour_odds(images: Tensor, inside: Tensor) -> Tensor:
    """Log odds `[B, 1, H, W]` that a pixel's colour is one of what is inside."""
    bins = (images * BINS).long().clamp(max=BINS - 1)
    index = (bins[:, 0] * BINS + bins[:, 1]) * BINS + bins[:, 2]
    histograms = []
    for weights in (inside, 1 - inside):
        counts = images.new_zeros(len(images), BINS**3).scatter_add_(1, index.flatten(1), weights.flatten(1))
        # Not as a 3D pool, which older versions of torch have not on Apple's GPUs.
        cube = F.avg_pool2d(counts.view(-1, BINS, BINS, BINS), 3, 1, 1).transpose(1, 2)
        smooth = F.avg_pool2d(cube, (3, 1), 1, (1, 0)).transpose(1, 2).flatten(1)
        histograms.append(smooth / smooth.sum(1, keepdim=True).clamp(min=torch.finfo(smooth.dtype).tiny))
    share = histograms[0] / (histograms[0] + histograms[1]).clamp(min=torch.finfo(images.dtype).tiny)
    return share.clamp(SURE, 1 - SURE).gather(1, index.flatten(1)).view_as(inside).logit()


def _line(images: Tensor, values: Tensor) -> Tensor:
    """The guided filter's linear model of values `[B, 1, H, W]` in the colours of pictures, `[B, 4, H, W]`."""
    count, _, height, width = images.shape
    radius = max(round(RADIUS * math.sqrt(height * width)), 1)
    colour, value = _mean(images, radius), _mean(values, radius)
    together = _mean(images * values, radius) - colour * value
    pairs = (images[:, :, None] * images[:, None]).flatten(1, 2)
    covariance = _mean(pairs, radius).view(count, 3, 3, height, width) - colour[:, :, None] * colour[:, None]
    matrices = covariance.permute(0, 3, 4, 1, 2) + EDGE * torch.eye(3).to(images)
    # By Cramer's rule, because older versions of torch cannot solve on Apple's GPUs.
    a, b, c = matrices.unbind(-2)
    bc, ca, ab = torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)
    covered = together.permute(0, 2, 3, 1)
    slope = covered[..., :1] * bc + covered[..., 1:2] * ca + covered[..., 2:] * ab
    slope = (slope / (a * bc).sum(-1, keepdim=True)).permute(0, 3, 1, 2)
    return _mean(torch.cat([slope, value - (slope * colour).sum(1, keepdim=True)], 1), radius)


def _along(line: Tensor, images: Tensor) -> Tensor:
    """What the linear model says of the pixels of pictures."""
    return ((line[:, :3] * images).sum(1, keepdim=True) + line[:, 3:]).clamp(0, 1)


def _mean(maps: Tensor, radius: int) -> Tensor:
    """The mean over squares, as far as the picture goes."""
    height, width = maps.shape[2:]
    means: Tensor = _window(height, radius).to(maps) @ maps @ _window(width, radius).to(maps).mT
    return means


def _window(length: int, radius: int) -> Tensor:
    """The matrix of a mean over windows of `2 * radius + 1`, as far as the axis goes, `[length, length]`."""
    places = torch.arange(length)
    near = ((places[:, None] - places).abs() <= radius).float()
    return near / near.sum(1, keepdim=True)
