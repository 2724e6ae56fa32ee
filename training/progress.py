"""How far a run is, as it reports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .log import EvalRecord


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    epoch: int
    """From 1; of the last step."""
    epochs: int
    seconds_left: float
    """At the mean rate of the steps since the run was started or resumed."""
    loss: float
    """Of the last step."""
    latest: EvalRecord | None
    """The latest evaluation."""
    samples: Tensor | None = None
    """Pictures of the classes `[B, 3, S, S]` in [0, 1], if they were generated just now."""
    evaluating: bool = False
    """Whether the classifier is being evaluated, not trained."""

    def __str__(self) -> str:
        if self.evaluating and self.step == self.steps:
            return "Evaluating the best classifier under a long attack"
        minutes, seconds = divmod(round(self.seconds_left), 60)
        text = f"Epoch {self.epoch} of {self.epochs}, {minutes}:{seconds:02} left, loss {self.loss:.2f}"
        if self.latest is not None:
            text += f"; accuracy {self.latest.clean:.0%}, under attack {self.latest.robust:.0%}"
        return text


Report = Callable[[Progress], None]
"""Called after each step, and often during an evaluation; may raise to stop the run, which can be resumed."""
