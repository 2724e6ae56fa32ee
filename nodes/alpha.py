"""Carry the transparency of pictures through an operation that works on them flattened onto white."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..synthesis import surround
from .tensors import flattened


def with_alpha(made: Tensor, image: Tensor) -> Tensor:
    """The transparency of an IMAGE for what was made of it.

    Args:
        made: IMAGE `[N, H, W, 3]`, for each picture of the batch as many in a row.
        image: IMAGE `[B, H, W, C]`.

    Returns:
        `made` without transparency (C is not 4), else `[N, H, W, 4]`: alpha is that of `image`, and flattened onto
        white the colours are those of `made`. Where nothing has changed they are bit for bit those of `image`.
    """
    if image.shape[-1] != 4:
        return made
    source = _repeated(image.to(made.device).float().clamp(0, 1).permute(0, 3, 1, 2), len(made))
    pictures = made.float().permute(0, 3, 1, 2)
    alpha = source[:, 3:]
    # Nothing of a colour shows where alpha is 0: the node's own is as good as any.
    own = torch.where(alpha > 0, (pictures - (1 - alpha)) / alpha.clamp(min=torch.finfo(alpha.dtype).tiny), pictures)
    same = pictures == flattened(source).to(made.dtype)
    return _joined(torch.where(same, source[:, :3], own.clamp(0, 1)), alpha, made)


def with_enlarged_alpha(made: Tensor, image: Tensor) -> Tensor:
    """The transparency of an IMAGE, enlarged, for what was enlarged of it.

    Args:
        made: IMAGE `[N, H * factor, W * factor, 3]`, for each picture of the batch as many in a row.
        image: IMAGE `[B, H, W, C]`.

    Returns:
        `made` without transparency (C is not 4), else `[N, H * factor, W * factor, 4]`: alpha is the bicubic
        enlargement. To divide by it, as `with_alpha` does, would give the edges a fringe, because they are sharper
        in `made`. So the colours are the enlarged ones plus what `made` adds to them; opaque pixels are those of
        `made`.
    """
    if image.shape[-1] != 4:
        return made
    source = image.to(made.device).float().clamp(0, 1).permute(0, 3, 1, 2)
    colours, alpha = source[:, :3], source[:, 3:]
    # What is hidden must not bleed into the edges.
    source = torch.cat([surround(colours, (alpha == 0).float()), alpha], 1)
    source = F.interpolate(source, made.shape[1:3], mode="bicubic", align_corners=False).clamp(0, 1)
    source = _repeated(source, len(made))
    # Interpolating 1 rounds to a little less.
    pictures, alpha = made.float().permute(0, 3, 1, 2), source[:, 3:].round(decimals=5)
    changed = (source[:, :3] + pictures - flattened(source)).clamp(0, 1)
    return _joined(torch.where(alpha == 1, pictures, changed), alpha, made)


def _repeated(source: Tensor, count: int) -> Tensor:
    return source.repeat_interleave(count // len(source), 0)


def _joined(colours: Tensor, alpha: Tensor, like: Tensor) -> Tensor:
    return torch.cat([colours, alpha], 1).permute(0, 2, 3, 1).contiguous().to(like.dtype)
