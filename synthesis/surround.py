"""What a hole shows, going by what is around it, and what a picture shows beyond its edges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .seeds import natural_noise

SMOOTHING = 12
DETAIL = 0.4
"""Of the contrast around a hole, for the noise in it: an ascent adds contrast of its own."""
WHOLE = 0.99
"""Of a mask this much counts as all: resizing leaves a little less than 1."""
BAND_TOP, BAND_BOTTOM, BAND_SIDE = 0.1, 0.2, 0.34
"""How far one mirror reaches, as a share of the picture's height, and to the sides of its width. One that reaches
higher above the top puts the ground into the sky."""
SWAY_ABOVE, SWAY_BESIDE = 0.6, 0.15
"""How far the mirror image is shifted along the edge, at most, as a share of the distance from it: above and below, and
to the sides, where more would bend the horizon. Without it the symmetry shows."""
STRETCH_ABOVE, STRETCH_BESIDE = 0.3, 0.5
"""How much longer or shorter the mirror image gets across the edge, at most, against the symmetry as well."""
WAVE_TURN = 2.4
"""Sway and stretch vary along the edge in a wave as long as the picture's longer side. Its phase moves on from band to
band by so many radians."""
RIM = 0.15
"""How wide the change fades in from the picture's edge, as a share of the picture's shorter side."""

Box = tuple[int, int, int, int]
"""Top, left, bottom and right, in pixels; the last two exclusive."""


def surround(images: Tensor, mask: Tensor) -> Tensor:
    """Pictures with what a mask covers replaced by a smooth continuation of what it leaves.

    Solves Laplace's equation in the hole, about: coarser and coarser averages of the visible pixels fill it (the
    push-pull of Gortler et al., "The Lumigraph", 1996), and a few Jacobi steps at each resolution smooth it. Grey
    where all is covered.

    Args:
        images: `[B, 3, H, W]`.
        mask: `[B, 1, H, W]` in [0, 1].
    """
    visible = (mask == 0).to(images)
    return torch.where(mask == 0, images, _filled(images * visible, visible))


def with_detail(filled: Tensor, mask: Tensor) -> Tensor:
    """Holes that `surround` has filled, with noise in them like the detail around them.

    An ascent hardly adds detail where there is none. The noise is grey, has the spectrum of photographs, and is as
    strong as `DETAIL` of what is around the hole, so that a sky stays smooth beside a rock. It is the same for all
    pictures of a size, so that the frames of a film do not flicker.

    Args:
        filled: `[B, 3, H, W]` in [0, 1].
        mask: `[B, 1, H, W]` in [0, 1], as `surround` had it.

    Returns:
        `[B, 3, H, W]` in [0, 1]; what the mask does not cover stays bit for bit.
    """
    height, width = filled.shape[2:]
    noise = natural_noise(height, width, [0]).mean(1, keepdim=True).to(filled)
    result = filled.clone()
    for index, covered in enumerate((mask > 0).to(filled)):
        one, visible = slice(index, index + 1), 1 - covered[None]
        rim = covered.diff(dim=1).abs().sum() + covered.diff(dim=2).abs().sum()
        if rim == 0:
            continue
        # About a fourth of the hole's width, however many parts it has.
        cell = max(2, round(float(covered.sum() / rim)))
        fine = _fine(filled[one].mean(1, keepdim=True), visible, cell)
        contrast = _coarse(fine.abs(), visible, cell)
        own = _fine(noise, torch.ones_like(visible), cell)
        detail = DETAIL * contrast * (own / own.abs().mean().clamp(min=torch.finfo(own.dtype).tiny))
        result[one] = torch.where(visible > 0, filled[one], (filled[one] + detail).clamp(0, 1))
    return result


def visible_box(mask: Tensor) -> Box | None:
    """The smallest box around what a mask `[1, H, W]` does not cover whole; None where it covers everything."""
    visible = mask[0] < WHOLE
    rows, columns = (visible.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else None


def extended(images: Tensor, box: Box) -> Tensor:
    """Pictures continued beyond a box by their mirror image, in bands from the box outwards.

    Args:
        images: `[B, 3, H, W]`; nothing outside the box is looked at.
        box: what stays.
    """
    result = images.clone()
    height, width = images.shape[2:]
    count = 0
    while box != (0, 0, height, width):
        top, left, bottom, right = box
        above, below = (math.ceil(share * (bottom - top)) for share in (BAND_TOP, BAND_BOTTOM))
        beside = math.ceil(BAND_SIDE * (right - left))
        larger = (max(top - above, 0), max(left - beside, 0), min(bottom + below, height), min(right + beside, width))
        part = result[:, :, larger[0] : larger[2], larger[1] : larger[3]]
        part.copy_(_mirrored(result, box, larger, WAVE_TURN * count))
        box, count = larger, count + 1
    return result


def fade_in(box: Box, like: Tensor) -> Tensor:
    """A weight for each pixel of `like`, `[1, 1, H, W]`: 0 in the box, rising to 1 with the distance from it."""
    down, across = _beyond(box, (0, 0, *like.shape[2:]), like)
    width = RIM * min(box[2] - box[0], box[3] - box[1])
    return (torch.maximum(down.abs(), across.abs()) / max(width, 1.0)).clamp(0, 1)[None, None]


def _mirrored(images: Tensor, box: Box, larger: Box, phase: float) -> Tensor:
    """A larger box of images, whose part beyond the box mirrors the box."""
    top, left, bottom, right = box
    down, across = _beyond(box, larger, images)
    y = torch.arange(larger[0], larger[2]).to(images)[:, None]
    x = torch.arange(larger[1], larger[3]).to(images)[None]
    length = max(bottom - top, right - left) / (2 * math.pi)
    along_x, along_y = x / length + phase, y / length + phase + 1
    shifted_y = y + STRETCH_ABOVE * along_x.cos() * down + SWAY_BESIDE * along_y.cos() * across.abs()
    shifted_x = x + STRETCH_BESIDE * along_y.sin() * across + SWAY_ABOVE * along_x.sin() * down.abs()
    source_y, source_x = _reflected(shifted_y, top, bottom), _reflected(shifted_x, left, right)
    inside = images[:, :, top:bottom, left:right]
    height, width = inside.shape[2:]
    grid = torch.stack([(source_x - left) / max(width - 1, 1), (source_y - top) / max(height - 1, 1)], -1) * 2 - 1
    grid = grid.expand(len(images), -1, -1, -1)
    # Bilinear samples would be a haze where the picture has fine detail.
    sampled = F.grid_sample(inside, grid, mode="bicubic", padding_mode="border", align_corners=True).clamp(0, 1)
    same = images[:, :, larger[0] : larger[2], larger[1] : larger[3]]
    return torch.where((down == 0) & (across == 0), same, sampled)


def _beyond(box: Box, larger: Box, like: Tensor) -> tuple[Tensor, Tensor]:
    """How far each pixel of the larger box lies beyond the box, down and across, `[h, w]` each."""
    steps = []
    for axis in (0, 1):
        places = torch.arange(larger[axis], larger[axis + 2]).to(like)
        steps.append(places - places.clamp(box[axis], box[axis + 2] - 1))
    down, across = torch.broadcast_tensors(steps[0][:, None], steps[1][None])
    return down, across


def _reflected(places: Tensor, low: int, high: int) -> Tensor:
    """Places reflected at `low` and `high - 1` until they lie between them."""
    length = max(high - 1 - low, 1)
    turned = (places - low).remainder(2 * length)
    return (low + torch.where(turned <= length, turned, 2 * length - turned)).clamp(max=high - 1)


def _filled(images: Tensor, visible: Tensor) -> Tensor:
    """`images`, in which each pixel is multiplied by its share `visible`, with what is not visible at all filled."""
    height, width = images.shape[2:]
    known = images / visible.clamp(min=torch.finfo(visible.dtype).tiny)
    if bool((visible > 0).all()):
        return known
    if height == width == 1:
        return torch.full_like(known, 0.5)
    coarse = _filled(_halved(images), _halved(visible))
    result = torch.where(
        visible > 0, known, F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    )
    for _ in range(SMOOTHING):
        smooth = F.avg_pool2d(result, 3, 1, 1, count_include_pad=False)
        result = torch.where(visible > 0, known, smooth)
    return result


def _fine(images: Tensor, visible: Tensor, cell: int) -> Tensor:
    """What is finer than cells of so many pixels."""
    return images - _coarse(images, visible, cell)


def _coarse(images: Tensor, visible: Tensor, cell: int) -> Tensor:
    """Means of what is visible in cells of so many pixels, continued into what is not, at the size of the images."""
    means = [F.avg_pool2d(each, cell, ceil_mode=True, count_include_pad=False) for each in (images * visible, visible)]
    return F.interpolate(_filled(*means), images.shape[2:], mode="bilinear", align_corners=False)


def _halved(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)
