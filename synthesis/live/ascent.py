"""The ascent under a brush: its images stay from tick to tick, and finer detail is added tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import REFERENCE_SIDE, AscentSettings, jitter_shift, loss_and_gradient
from ..class_expression import parse_class_expression
from ..constraints import composite
from ..feature_expression import parse_feature_expression
from ..objectives import Loss, class_loss, feature_loss
from ..presets import preset
from ..settings import DetailSettings
from ..tasks.classify import target_covariance, target_weights
from ..tasks.paint import PaintSettings
from ..tasks.translate import TranslateSettings
from .brush import Brush
from .geometry import Grid, resample
from .pixels import Change

PRESET = "live"
PATIENCE, CALMING = 4.0, 1.5
"""After n steps under the brush a place's steps are (1 + n / PATIENCE) ** -CALMING as long as its first one."""


@dataclass(frozen=True)
class Goal:
    """What a brush ascends, and how boldly."""

    loss: Loss
    ascent: AscentSettings
    """The step size is for images of `REFERENCE_SIDE`."""
    detail: DetailSettings
    covariance: Tensor | None = None
    """See `ascent.ascend`."""


def goal_of(classifier: RobustClassifier, brush: Brush) -> Callable[[Tensor], Goal]:
    """What tells the goal of a brush from the view `[1, 3, H, W]` on which it begins.

    Raises:
        ExpressionError: the brush's text names something that the classifier does not know.
    """
    if brush.kind == "feature":
        features = preset(PaintSettings, PRESET).settings
        mix = parse_feature_expression(brush.what, classifier.feature_count)
        # A feature that an image does not show is switched off. With the fake ReLU it has a gradient all the same.
        loss = feature_loss(partial(classifier.features, fake_relu=True), mix.vector(classifier.feature_count))
        ascent = replace(features.ascent, step_size=features.ascent.step_size * brush.strength)
        return lambda _view: Goal(loss, ascent, features.detail)
    classes = preset(TranslateSettings, PRESET).settings
    ascent = replace(classes.ascent, step_size=classes.ascent.step_size * brush.strength)
    chosen = parse_class_expression(brush.what, classifier.card.labels) if brush.kind == "class" else None

    def of_view(view: Tensor) -> Goal:
        weights = target_weights(classifier, chosen, view)
        loss = class_loss(partial(classifier, fake_relu=True), weights, classes.objective)
        return Goal(loss, ascent, classes.detail, target_covariance(classifier, weights, classes.ascent))

    return of_view


def stepped(
    free: Tensor,
    start: Tensor,
    mask: Tensor,
    goal: Goal,
    precondition: Callable[[Tensor], Tensor],
    pace: Tensor,
    shift: tuple[int, int] = (0, 0),
) -> Tensor:
    """One step inside a mask.

    Args:
        free: `[B, 3, H, W]`, the images before the step, as if nothing were masked.
        start: `[B, 3, H, W]`, the images before the ascent.
        mask: `[B, 1, H, W]`: where the images change, and how much of the change shows.
        goal: what to ascend.
        precondition: see `Preconditioning.for_images`.
        pace: `[B, 1, H, W]` in [0, 1]: how much of the goal's step size a place takes.
        shift: see `ascent.loss_and_gradient`.

    Returns:
        The images after the step, like `free`, in [0, 1].
    """
    _, gradient = loss_and_gradient(composite(start, free, mask), goal.loss, shift)
    where = mask * pace
    direction = goal.ascent.constraint.direction(precondition(gradient * mask) * where)
    # As long for each pixel at a pace of 1, however many there are and whatever the pace of others.
    length = goal.ascent.step_size / REFERENCE_SIDE * (where * pace).sum((1, 2, 3), keepdim=True).sqrt()
    return (free - length * direction).clamp(0, 1)


class WarmAscent:
    """An ascent in a view of the picture. Its images stay between the ticks, and when the view is another one.

    The longer a place was under the brush, the shorter its steps: a brush that is held does not burn, and places that
    it comes to later still get long steps.
    """

    def __init__(self, goal_of_view: Callable[[Tensor], Goal]) -> None:
        """Begin without a view; `goal_of_view` is asked once, with the first one, `[1, 3, H, W]`."""
        self._goal_of_view = goal_of_view
        self.grid: Grid | None = None
        self.steps = 0

    def look(self, grid: Grid, start: Tensor) -> None:
        """See the picture in a view `[3, *grid]` from now on; what was changed so far is carried over."""
        if self.grid is None:
            self.start = self.free = start[None]
            self._age = torch.zeros_like(self.start[:, :1])
            self.goal = self._goal_of_view(self.start)
        else:
            carried = torch.cat([self.change().values, self._age[0].cpu()])
            carried = resample(carried, self.grid, grid)[None].to(start)
            self.start = start[None]
            self.free, self._age = (self.start + carried[:, :3]).clamp(0, 1), carried[:, 3:].clamp(min=0)
        self.grid = grid
        self._precondition = self.goal.ascent.preconditioning.for_images(self.start, self.goal.covariance)

    def run(self, mask: Tensor, steps: int) -> None:
        """Take some steps inside a mask `uint8 [1, *grid]`."""
        shown = mask[None].to(self.start) / 255
        for _ in range(steps):
            pace = (1 + self._age / PATIENCE) ** -CALMING
            shift = jitter_shift(self.steps, self.goal.ascent.jitter)
            self.free = stepped(self.free, self.start, shown, self.goal, self._precondition, pace, shift)
            self._age += shown
            self.steps += 1

    def change(self) -> Change:
        """What the ascent changed so far."""
        assert self.grid is not None
        return Change((self.free - self.start)[0].cpu(), self.grid)
