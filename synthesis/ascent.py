"""The one loop: step along the gradient, project, keep the best, report."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .constraints import Constraint, composite
from .objectives import Loss
from .preconditioning import Preconditioning
from .random_views import random_view, view_weight

Picture = Callable[[], Tensor]
"""Gives images `[B, 3, H, W]`. Computed on demand, because it can be expensive."""

Callback = Callable[[int, Tensor, Picture], None]
"""Called before each step with (step from 0, losses `[B]`, the images so far); where a step is averaged over views,
after each of them, too. It may raise to stop the ascent."""

REFERENCE_SIDE = 224
"""Height and width of the images that step sizes and epsilons are given for, as in the paper."""


def on_full_images(callback: Callback, to_full: Callable[[Tensor], Tensor]) -> Callback:
    """A callback that sees full-resolution images: `to_full` maps the images of the ascent to them."""
    return lambda step, losses, picture: callback(step, losses, lambda: to_full(picture()))


@dataclass(frozen=True, kw_only=True)
class AscentSettings:
    """Settings of an ascent.

    Step size and epsilon are in the norm of the constraint, for an image of 224 x 224 pixels; see `at_size`.
    """

    steps: int
    step_size: float
    constraint: Constraint = field(default_factory=lambda: Constraint("none"))
    final_step: float = 1.0
    """The last step's size as a share of the first's; between them the size falls linearly. 1: all the same."""
    jitter: int = 0
    """The network sees the image shifted by up to this many pixels, differently at each step, so that its strides
    leave no grid. The shifts are a fixed sequence: they depend on neither seed nor batch."""
    views: int = 1
    """The gradient is averaged over so many views of the image, whole and cropped (see `random_views`), at so many
    times the work; 1: the image itself, with jitter."""
    preconditioning: Preconditioning = field(default_factory=Preconditioning)
    """The metric in which a step is the steepest."""
    keep_best: bool = True
    """Return the iterate with the lowest loss, per image, as the paper does; else the last one. With jitter the loss
    of an iterate is that of the shifted image."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Steps is {self.steps}; it must be at least 1.")
        if not 0 < self.step_size < float("inf"):
            raise ValueError(f"The step size is {self.step_size}; it must be a number above 0.")
        if not 0 <= self.final_step <= 1:
            raise ValueError(f"The final step is {self.final_step}; it must be from 0 to 1.")
        if self.jitter < 0:
            raise ValueError(f"Jitter is {self.jitter}; it must be 0 or more.")
        if self.views < 1:
            raise ValueError(f"Views is {self.views}; it must be at least 1.")

    def at_size(self, height: int, width: int) -> AscentSettings:
        """The same settings with step size and epsilon for an image of `height` x `width` pixels.

        L2 lengths grow with the square root of the pixel count. `linf` lengths are pixel values, the same at every
        size.
        """
        if self.constraint.name == "linf":
            return self
        scale = math.sqrt(height * width) / REFERENCE_SIDE
        constraint = replace(self.constraint, epsilon=self.constraint.epsilon * scale)
        return replace(self, step_size=self.step_size * scale, constraint=constraint)


def ascend(
    start: Tensor,
    loss: Loss,
    settings: AscentSettings,
    mask: Tensor | None = None,
    callback: Callback | None = None,
    scale: Tensor | None = None,
    projection: Callable[[Tensor], Tensor] | None = None,
    initial: Tensor | None = None,
    covariance: Tensor | None = None,
) -> Tensor:
    """Projected gradient descent of a loss over pictures (arXiv 1906.09453, section 3).

    `x <- project(x - step_size * direction(gradient))`, per picture; see `Constraint` for the two functions, and
    `Preconditioning` for what may be done to the gradient first. Each image is optimised on its own: the other images
    of the batch make no difference.

    Args:
        start: `[B, 3, H, W]` in [0, 1], float.
        loss: what to descend.
        settings: step size and epsilon are for images of the size of `start` (see `AscentSettings.at_size`).
        mask: `[B, 1, H, W]` in [0, 1]: where the picture may change, and how much of the change shows.
        callback: see `Callback`.
        scale: `[B, 1, 1, 1]`: multiplies step size and epsilon of each picture.
        projection: a further projection of the images after each step, into [0, 1].
        initial: `[B, 3, H, W]`: where the ascent begins, inside the constraint around `start`; None: at `start`.
        covariance: of the channels, `[B, 3, 3]` or `[1, 3, 3]`, for the preconditioning; None: that of photographs.

    Returns:
        Pictures like `start`, detached; bit for bit the start where the mask is 0.
    """
    start = start.detach()
    free = start if initial is None else initial.detach()
    precondition = settings.preconditioning.for_images(start, covariance)
    # A shift uncovers what is reflected at the edge: less than a side.
    jitter = min(settings.jitter, min(start.shape[2:]) - 1)
    best, best_loss = start, torch.full((len(start),), torch.inf, device=start.device, dtype=start.dtype)
    for step in range(settings.steps):
        images = composite(start, free, mask)
        if settings.views > 1:
            losses, gradient = _mean_over_views(images, loss, step, settings.views, callback)
        else:
            losses, gradient = loss_and_gradient(images, loss, jitter_shift(step, jitter))
        if settings.keep_best:
            best, best_loss = _better(images, losses, best, best_loss)
        if callback is not None:
            callback(step, losses, images.detach)
        if mask is not None:
            gradient = gradient * mask
        gradient = precondition(gradient)
        if mask is not None and settings.preconditioning.filters:
            # Filtered frequencies reach beyond the mask, and the step's length counts only what is inside.
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


def _mean_over_views(
    images: Tensor, loss: Loss, step: int, count: int, callback: Callback | None
) -> tuple[Tensor, Tensor]:
    """Losses `[B]` and their gradient over the views of a step: one after the other, in the memory of one."""
    total, losses, gradient = 0.0, images.new_zeros(len(images)), torch.zeros_like(images)
    for number in range(step * count, (step + 1) * count):
        weight = view_weight(number)
        of_view = loss_and_gradient(images, _seen(loss, number))
        total += weight
        losses.add_(of_view[0], alpha=weight)
        gradient.add_(of_view[1], alpha=weight)
        if callback is not None:
            callback(step, losses / total, images.detach)
    return losses / total, gradient / total


def _seen(loss: Loss, number: int) -> Loss:
    return lambda images: loss(random_view(images, number))


def loss_and_gradient(images: Tensor, loss: Loss, shift: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
    """Losses `[B]` of images `[B, 3, H, W]`, shifted by so many pixels (down, right), and their gradient."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        losses = loss(leaf if shift == (0, 0) else _shifted(leaf, shift))
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), gradient


def _better(images: Tensor, losses: Tensor, best: Tensor, best_loss: Tensor) -> tuple[Tensor, Tensor]:
    better = losses < best_loss
    return torch.where(better.view(-1, 1, 1, 1), images, best), torch.where(better, losses, best_loss)


def jitter_shift(step: int, jitter: int) -> tuple[int, int]:
    """The step's shift: the R2 low-discrepancy sequence covers the positions more evenly than chance."""
    side = 2 * jitter + 1
    return int((0.5 + step * 0.7548776662) % 1 * side) - jitter, int((0.5 + step * 0.5698402910) % 1 * side) - jitter


def _shifted(images: Tensor, shift: tuple[int, int]) -> Tensor:
    down, right = shift
    # Reflection gives the network plausible content where the shift uncovers an edge.
    pad = max(abs(down), abs(right))
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad), mode="reflect")
    return padded[:, :, pad - down : pad - down + images.shape[2], pad - right : pad - right + images.shape[3]]
