"""How far a run is, as it reports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..synthesis import TranslateSettings
from ..synthesis.presets import preset
from .data import TrainingData
from .evaluation import FINAL_EPSILONS, FINAL_RESTARTS, FINAL_STEPS, VALIDATION_STEPS
from .log import EvalRecord
from .recipes import TrainingPlan
from .samples import MAX_SAMPLES, samples_per_class


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    epoch: int
    """From 1; of the last step."""
    epochs: int
    seconds_left: float
    """An estimate that includes the evaluations, at the mean rate since the run was started or resumed."""
    loss: float
    """Of the last step."""
    latest: EvalRecord | None
    """The latest evaluation."""
    samples: Tensor | None = None
    """Pictures of the classes `[B, 3, S, S]` in [0, 1], if they were generated just now."""
    evaluating: bool = False
    """Whether the classifier is being evaluated, not trained."""

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds_left), 60)
        if self.evaluating and self.step == self.steps:
            return f"Evaluating the best classifier under a long attack, about {minutes}:{seconds:02} in all"
        text = f"Epoch {self.epoch} of {self.epochs}, {minutes}:{seconds:02} left, loss {self.loss:.2f}"
        if self.latest is not None:
            text += f"; accuracy {self.latest.clean:.0%}, under attack {self.latest.robust:.0%}"
        return text


@dataclass(frozen=True)
class Work:
    """How much the parts of a run take: in passes of one picture through the network and back."""

    step: int
    evaluation: int
    """One on the way, with its samples."""
    final: int
    """The evaluation at the end."""

    @classmethod
    def of(cls, plan: TrainingPlan, data: TrainingData) -> Work:
        """The work of a run, if every picture is classified correctly: a misclassified one needs no attack."""
        classes = min(len(data.labels), MAX_SAMPLES)
        samples = classes * samples_per_class(classes) * preset(TranslateSettings, "generate").settings.ascent.steps
        final = FINAL_STEPS * FINAL_RESTARTS * len(FINAL_EPSILONS)
        return cls(
            step=plan.batch_size * (plan.recipe.attack.steps * plan.recipe.attack.restarts + 1),
            evaluation=len(data.validation) * VALIDATION_STEPS + samples,
            final=len(data.test or data.validation) * final,
        )


Report = Callable[[Progress], None]
"""Called after each step, and often during an evaluation; may raise to stop the run, which can be resumed."""
