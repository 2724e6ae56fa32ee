"""What the images of an ascent are projected onto: a ball, [0, 1], a mask, consistency with a smaller image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

ConstraintName = Literal["l2", "linf", "none"]
CONSTRAINTS: tuple[ConstraintName, ...] = get_args(ConstraintName)
BACK_PROJECTIONS = 3


@dataclass(frozen=True)
class Constraint:
    """A ball around the start image, and the steepest step in its norm (Madry et al., arXiv 1706.06083)."""

    name: ConstraintName
    """`l2`: steps of a given length, inside a ball of Euclidean radius epsilon. `linf`: every value moves by the
    step size, at most epsilon away. `none`: steps as in `l2`, no ball."""
    epsilon: float = 0.0
    """The radius: for `l2` of the whole image, in pixel values (0 to 1); for `linf` of one pixel value. `none`
    ignores it."""

    def __post_init__(self) -> None:
        if self.name not in CONSTRAINTS:
            raise ValueError(f"Unknown constraint {self.name!r}: choose one of {', '.join(CONSTRAINTS)}.")
        if self.name != "none" and not 0 < self.epsilon < float("inf"):
            raise ValueError(
                f"Epsilon is {self.epsilon}; it must be a number above 0 (or choose the constraint 'none')."
            )

    def direction(self, gradient: Tensor) -> Tensor:
        """The unit step of steepest ascent for a gradient `[B, 3, H, W]`; zero where the gradient is zero."""
        if self.name == "linf":
            return gradient.sign()
        tiny = torch.finfo(gradient.dtype).tiny
        # Scaled to 1 first: the squares of very small or very large numbers are 0 or infinite.
        gradient = gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=tiny)
        length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        unit: Tensor = gradient / length.clamp(min=tiny)
        return unit

    def project(self, images: Tensor, start: Tensor, scale: Tensor | None = None) -> Tensor:
        """The nearest images to `images` that are in the ball around `start`, then clamped to [0, 1].

        `scale` `[B, 1, 1, 1]` multiplies the epsilon of each picture.
        """
        if self.name == "none":
            return images.clamp(0, 1)
        change = images - start
        epsilon = torch.full_like(change[:, :1, :1, :1], self.epsilon)
        if scale is not None:
            epsilon = epsilon * scale
        if self.name == "linf":
            return (start + change.clamp(-epsilon, epsilon)).clamp(0, 1)
        length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        tiny = torch.finfo(length.dtype).tiny
        return (start + change * (epsilon / torch.maximum(length, epsilon).clamp(min=tiny))).clamp(0, 1)


@dataclass(frozen=True)
class Consistency:
    """The pictures that, averaged over blocks of pixels, equal a smaller picture."""

    low: Tensor
    """The smaller picture, `[B, 3, h, w]` in [0, 1]."""
    factor: int
    """The width and the height of a block."""

    def project(self, images: Tensor) -> Tensor:
        """Consistent pictures near `images`; a block that would leave [0, 1] keeps its pattern at less contrast.

        Most of the way is made in smooth corrections (the iterative back-projection of Irani and Peleg, 1991): the
        last one, which is exact, moves whole blocks, and by itself would leave their outlines behind.

        Args:
            images: `[B, 3, h * factor, w * factor]`, any finite values.

        Returns:
            Pictures in [0, 1] whose blocks average to `low` within 1e-5.
        """
        for _ in range(BACK_PROJECTIONS):
            missing = self.low - F.avg_pool2d(images, self.factor)
            images = images + F.interpolate(missing, images.shape[2:], mode="bicubic", align_corners=False)
        detail = images - self._enlarged(F.avg_pool2d(images, self.factor))
        # The largest share of a block's detail that fits into [0, 1] around its mean.
        above = F.max_pool2d(detail, self.factor)
        below = F.max_pool2d(-detail, self.factor)
        tiny = torch.finfo(images.dtype).tiny
        share = torch.minimum((1 - self.low) / above.clamp(min=tiny), self.low / below.clamp(min=tiny)).clamp(max=1)
        return (self._enlarged(self.low) + detail * self._enlarged(share)).clamp(0, 1)

    def _enlarged(self, small: Tensor) -> Tensor:
        return small.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)


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
