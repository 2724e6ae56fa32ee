"""How to climb a picture of any size: what the settings of all operations have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .ascent import AscentSettings
from .constraints import Constraint, NormName
from .views import View

REFERENCE_SIDE = 224


@dataclass(frozen=True, kw_only=True)
class ClimbSettings:
    """Lengths for a picture of a known size.

    `l2` lengths (and the free norm's steps) are given for a picture of 224 x 224 pixels, as in the paper, and grow
    with the square root of the pixel count. `linf` lengths are pixel values and mean the same at every size.
    """

    steps: int
    step_size: float
    norm: NormName
    epsilon: float = 0.0
    """The radius of the ball; not read when the norm is `free`."""
    final_step: float = 1.0
    jitter: int = 0
    keep_best: bool = True

    def __post_init__(self) -> None:
        self.ascent(REFERENCE_SIDE, REFERENCE_SIDE)

    def ascent(self, height: int, width: int) -> AscentSettings:
        """The settings of the climb of a picture of `height` x `width` pixels."""
        scale = 1.0 if self.norm == "linf" else math.sqrt(height * width) / REFERENCE_SIDE
        return AscentSettings(
            steps=self.steps,
            step_size=self.step_size * scale,
            constraint=Constraint(self.norm, self.epsilon * scale),
            final_step=self.final_step,
            jitter=self.jitter,
            keep_best=self.keep_best,
        )


@dataclass(frozen=True, kw_only=True)
class DetailedSettings(ClimbSettings):
    """A climb that goes on, at finer resolutions, in what has more pixels than the classifier sees at once."""

    detail_steps: int = 0
    """So many further steps at each finer resolution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.detail_steps < 0:
            raise ValueError(f"Detail steps is {self.detail_steps}; it must be 0 or more.")

    def all_steps(self, view: View) -> int:
        """How many steps the climb of a view takes, with those for finer detail."""
        return self.steps + self.detail_steps * len(view.finer())

    def detail(self, view: View, input_size: int) -> AscentSettings:
        """The settings of the climb of a finer view, which the classifier looks at in tiles of about its own size."""
        # Tiles that lie elsewhere at each step leave no seams.
        jitter = min(input_size // 2, min(view.size) - 1)
        return replace(self, steps=self.detail_steps, jitter=jitter).ascent(*view.size)
