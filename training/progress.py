"""How far a run is, as it reports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..synthesis import TranslateSettings
from ..synthesis.presets import preset
from .data import TrainingData
from .evaluation import FINAL_EPSILONS, FINAL_PICTURES, FINAL_RESTARTS, FINAL_STEPS, VALIDATION_STEPS
from .log import EvalRecord
from .recipes import TrainingPlan
from .samples import JUDGED_PICTURES, MAX_SAMPLES, SAMPLER, judged_per_class, samples_per_class


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    """Of all stages together."""
    steps: int
    epoch: int
    """Of the last step, from 1; 0 where there are no epochs."""
    epochs: int
    seconds_left: float | None
    """An estimate that includes the evaluations, at the mean rate since the run was started or resumed; None before
    anything was done."""
    loss: float | None
    """Of the last step; None before the first."""
    latest: EvalRecord | None
    """The latest evaluation."""
    samples: Tensor | None = None
    """Pictures of the classes `[B, 3, S, S]` in [0, 1], if they were generated just now."""
    evaluating: bool = False
    """Whether the classifier is being evaluated, not trained."""
    final: bool = False
    """Whether this is the evaluation at the end, when all stages are done."""
    stage: int = 1
    contrastive_step: int = 0
    """Of stage two."""
    contrastive_steps: int = 0

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds_left or 0), 60)
        if self.final:
            return f"Evaluating the best classifier under a long attack, about {minutes}:{seconds:02} in all"
        text = f"Epoch {self.epoch} of {self.epochs}" if self.epochs else "Before stage two"
        if self.stage == 2:
            text = f"Stage two, step {self.contrastive_step} of {self.contrastive_steps}"
        if self.seconds_left is not None:
            text += f", {minutes}:{seconds:02} left"
        if self.loss is not None:
            text += f", loss {self.loss:.2f}"
        if self.latest is not None:
            text += f"; accuracy {self.latest.clean:.0%}, under attack {self.latest.robust:.0%}"
            if self.latest.distance is not None:
                text += f", distance {self.latest.distance:.2f}"
        return text


@dataclass(frozen=True)
class Work:
    """How much the parts of a run take: in passes of one picture through the network and back."""

    step: int
    evaluation: int
    """One on the way, with its samples."""
    contrastive_step: int
    """One of stage two."""
    contrastive_evaluation: int
    """One in stage two."""
    final: int
    """The evaluation at the end."""

    @classmethod
    def of(cls, plan: TrainingPlan, data: TrainingData) -> Work:
        """The work of a run, if every picture is classified correctly: a misclassified one needs no attack."""
        classes = min(len(data.labels), MAX_SAMPLES)
        steps = preset(TranslateSettings, SAMPLER).settings.ascent.steps
        samples = classes * samples_per_class(classes) * steps
        judged = min(len(data.labels), JUDGED_PICTURES) * judged_per_class(len(data.labels)) * steps
        final = FINAL_STEPS * FINAL_RESTARTS * len(FINAL_EPSILONS)
        return cls(
            step=plan.batch_size * plan.recipe.attack.passes,
            evaluation=len(data.validation) * VALIDATION_STEPS + samples,
            contrastive_step=0 if plan.contrastive is None else plan.contrastive.passes,
            contrastive_evaluation=len(data.validation) * VALIDATION_STEPS + judged,
            final=min(len(data.test or data.validation), FINAL_PICTURES) * final,
        )


Report = Callable[[Progress], None]
"""Called after each step, and often during an evaluation; may raise to stop the run, which can be resumed."""
