"""The one loop: step along the gradient, project, keep the best, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .constraints import Constraint, composite
from .objectives import Loss

Picture = Callable[[], Tensor]
"""Gives pictures `[B, 3, H, W]`; asked seldom, because it may have to make them first."""

Callback = Callable[[int, Tensor, Picture], None]
"""Called before each step with (step from 0, losses `[B]`, the pictures so far); may raise to stop the climb."""


def through(callback: Callback, whole: Callable[[Tensor], Tensor]) -> Callback:
    """A callback for a climb of pictures that stand for others: `whole` makes those of them."""
    return lambda step, losses, picture: callback(step, losses, lambda: whole(picture()))


def later(callback: Callback, before: int) -> Callback:
    """A callback for a climb that goes on after some steps of others."""
    return lambda step, losses, picture: callback(step + before, losses, picture)


@dataclass(frozen=True)
class AscentSettings:
    """How to climb. Step size and epsilon are in the norm of the constraint, for pictures of the size at hand."""

    steps: int
    step_size: float
    constraint: Constraint
    final_step: float = 1.0
    """The last step's size as a share of the first's; between them the size falls linearly. 1: all the same."""
    jitter: int = 0
    """The classifier sees the picture shifted by up to this many pixels, elsewhere at each step, so that its
    strides leave no grid behind. The shifts are a fixed sequence: they depend on neither seed nor batch."""
    keep_best: bool = True
    """Return the iterate with the lowest loss, per picture, as the paper does; else the last one. With jitter an
    iterate's loss is that of the view it was seen in."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Steps is {self.steps}; it must be at least 1.")
        if not 0 < self.step_size < float("inf"):
            raise ValueError(f"The step size is {self.step_size}; it must be a number above 0.")
        if not 0 <= self.final_step <= 1:
            raise ValueError(f"The final step is {self.final_step}; it must be from 0 to 1.")
        if self.jitter < 0:
            raise ValueError(f"Jitter is {self.jitter}; it must be 0 or more.")


def ascend(
    start: Tensor,
    loss: Loss,
    settings: AscentSettings,
    mask: Tensor | None = None,
    callback: Callback | None = None,
    scale: Tensor | None = None,
    projection: Callable[[Tensor], Tensor] | None = None,
    initial: Tensor | None = None,
) -> Tensor:
    """Projected gradient descent of a loss over pictures (arXiv 1906.09453, section 3).

    `x <- project(x - step_size * direction(gradient))`, per picture; see `Constraint` for the two functions. Each
    picture climbs on its own: what stands beside it in the batch makes no difference.

    Args:
        start: `[B, 3, H, W]` in [0, 1], float.
        loss: what to descend.
        settings: how.
        mask: `[B, 1, H, W]` in [0, 1]: where the picture may change, and how much of the change shows.
        callback: see `Callback`.
        scale: `[B, 1, 1, 1]`: multiplies step size and epsilon of each picture.
        projection: a further projection of the pictures after each step, into [0, 1].
        initial: `[B, 3, H, W]`: where the ascent begins, inside the constraint around `start`; None: at `start`.

    Returns:
        Pictures like `start`, detached; bit for bit the start where the mask is 0.
    """
    start = start.detach()
    free = start if initial is None else initial.detach()
    best, best_loss = start, torch.full((len(start),), torch.inf, device=start.device, dtype=start.dtype)
    for step in range(settings.steps):
        images = composite(start, free, mask)
        losses, gradient = _loss_and_gradient(images, loss, _shift(step, settings.jitter))
        if settings.keep_best:
            best, best_loss = _better(images, losses, best, best_loss)
        if callback is not None:
            callback(step, losses, images.detach)
        if mask is not None:
            gradient = gradient * mask
        progress = step / max(settings.steps - 1, 1)
        size = settings.step_size * (1 - progress * (1 - settings.final_step))
        move = size * settings.constraint.direction(gradient)
        free = free - (move if scale is None else scale * move)
        free = settings.constraint.project(free, start, scale)
        if projection is not None:
            free = projection(free)
    images = composite(start, free, mask)
    if not settings.keep_best:
        return images
    with torch.no_grad():
        return _better(images, loss(images), best, best_loss)[0]


def _loss_and_gradient(images: Tensor, loss: Loss, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        losses = loss(leaf if shift == (0, 0) else _shifted(leaf, shift))
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), gradient


def _better(images: Tensor, losses: Tensor, best: Tensor, best_loss: Tensor) -> tuple[Tensor, Tensor]:
    better = losses < best_loss
    return torch.where(better.view(-1, 1, 1, 1), images, best), torch.where(better, losses, best_loss)


def _shift(step: int, jitter: int) -> tuple[int, int]:
    """The step's shift: the R2 low-discrepancy sequence covers the positions more evenly than chance."""
    side = 2 * jitter + 1
    return int((0.5 + step * 0.7548776662) % 1 * side) - jitter, int((0.5 + step * 0.5698402910) % 1 * side) - jitter


def _shifted(images: Tensor, shift: tuple[int, int]) -> Tensor:
    down, right = shift
    # Reflection shows the classifier plausible content where the shift uncovers an edge.
    pad = max(abs(down), abs(right))
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad), mode="reflect")
    return padded[:, :, pad - down : pad - down + images.shape[2], pad - right : pad - right + images.shape[3]]
