"""What a hole shows, going by what is around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 12


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


def _halved(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)
