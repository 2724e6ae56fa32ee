"""Where a picture may go: a ball around its start, always inside [0, 1], and only where the mask allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

NormName = Literal["l2", "linf", "free"]
NORMS: tuple[NormName, ...] = get_args(NormName)


@dataclass(frozen=True)
class Constraint:
    """A ball around the start picture, and the steepest step in its norm (Madry et al., arXiv 1706.06083)."""

    norm: NormName
    """`l2`: steps of a given length, inside a ball of Euclidean radius epsilon. `linf`: every value moves by the
    step size, at most epsilon away. `free`: steps as in `l2`, no ball."""
    epsilon: float = 0.0
    """The radius: for `l2` of the whole picture, in pixel values (0 to 1); for `linf` of one pixel value."""

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"Unknown norm {self.norm!r}: choose one of {', '.join(NORMS)}.")
        if self.norm != "free" and not 0 < self.epsilon < float("inf"):
            raise ValueError(f"Epsilon is {self.epsilon}; it must be a number above 0 (or choose the norm 'free').")

    def direction(self, gradient: Tensor) -> Tensor:
        """The unit step of steepest ascent for a gradient `[B, 3, H, W]`; zero where the gradient is zero."""
        if self.norm == "linf":
            return gradient.sign()
        tiny = torch.finfo(gradient.dtype).tiny
        # Scaled to 1 first: the squares of very small or very large numbers are 0 or infinite.
        gradient = gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=tiny)
        length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        unit: Tensor = gradient / length.clamp(min=tiny)
        return unit

    def project(self, images: Tensor, start: Tensor) -> Tensor:
        """The nearest images to `images` that are in the ball around `start`, then clamped to [0, 1]."""
        if self.norm == "linf":
            images = start + (images - start).clamp(-self.epsilon, self.epsilon)
        elif self.norm == "l2":
            change = images - start
            length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            images = start + change * (self.epsilon / length.clamp(min=self.epsilon))
        return images.clamp(0, 1)


def composite(start: Tensor, images: Tensor, mask: Tensor | None) -> Tensor:
    """`images` where the mask is 1, `start` bit for bit where it is 0, a blend between.

    Args:
        start: `[B, 3, H, W]`.
        images: `[B, 3, H, W]`.
        mask: `[B, 1, H, W]` in [0, 1], or None for `images` everywhere.
    """
    if mask is None:
        return images
    # lerp is exact at a weight of 1, and `where` keeps what it is not to touch from any rounding.
    return torch.where(mask == 0, start, torch.lerp(start, images, mask))
