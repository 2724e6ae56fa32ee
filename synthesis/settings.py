"""How to climb a picture of any size: what the settings of all operations have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ascent import AscentSettings
from .constraints import Constraint, NormName

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
