"""The stages of a run: what each trains, when it is evaluated, and which of its classifiers is the best."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import ClassSeeds, RobustClassifier
from .adversarial import AdversarialTrainer
from .contrastive import ContrastiveTrainer
from .data import TrainingData
from .evaluation import kernel_distance, validation_accuracy
from .log import EvalRecord
from .progress import Work
from .recipes import TrainingPlan
from .samples import JUDGED_PICTURES, MAX_SAMPLES, generate_each, generate_samples, judged_per_class, samples_per_class
from .trainer import Trainer

MAX_EVALUATIONS = 20
"""In stage one, beside the last."""
MAX_CONTRASTIVE_EVALUATIONS = 8
"""In stage two, beside the first."""
REL_EVALUATION_WORK = 0.25
"""How much of the work of stage two's steps its evaluations may add, where there are more than two."""
REAL_PICTURES = 1000
"""How many training pictures a kernel distance compares with, about."""
MAX_ROBUSTNESS_LOST, MAX_PICTURES_LOST = 0.03, 2
"""Robust accuracy that stage two may cost, or so many validation pictures; a classifier that lost more is not kept."""

Busy = Callable[..., None]
"""Called often during an evaluation, whatever the arguments; may raise to stop."""


@dataclass(frozen=True)
class Outcome:
    """An evaluation during a run."""

    record: EvalRecord
    samples: Tensor
    """Pictures of the classes, `[B, 3, S, S]` in [0, 1]."""
    score: float | None
    """The classifier with the highest is kept; None: this one is not."""


@dataclass(frozen=True)
class Unmeasured:
    """The training since the last evaluation."""

    loss: float | None
    """None, like the next: no step was taken."""
    training_robust: float | None
    seconds: float
    """Since the run began."""


def evaluation_interval(epochs: int) -> int:
    """Of stage one's evaluations, in epochs."""
    return max(1, math.ceil(epochs / MAX_EVALUATIONS))


def contrastive_evaluations(steps: int, work: Work) -> list[int]:
    """After which steps stage two is evaluated: before the first, after the last, and as often as is cheap."""
    affordable = round(REL_EVALUATION_WORK * steps * work.contrastive_step / work.contrastive_evaluation)
    count = max(1, min(affordable - 1, MAX_CONTRASTIVE_EVALUATIONS))
    return sorted({round(steps * number / count) for number in range(count + 1)})


class Stage(ABC):
    """A stage of a run."""

    number: int
    trainer: Trainer

    @abstractmethod
    def evaluation_due(self, history: Sequence[EvalRecord]) -> bool:
        """Whether there is an evaluation to make before the next step, after those of the run's history."""

    @abstractmethod
    def evaluate(self, since: Unmeasured, history: Sequence[EvalRecord], busy: Busy) -> Outcome:
        """Evaluate the averaged network as it is now."""


class AdversarialStage(Stage):
    """Stage one: the best classifier is the most robust."""

    number = 1

    def __init__(self, data: TrainingData, plan: TrainingPlan, seeds: ClassSeeds, device: torch.device) -> None:
        self.data, self.plan, self.seeds = data, plan, seeds
        self.trainer = AdversarialTrainer(data.train, data.labels, plan, device)

    def evaluation_due(self, history: Sequence[EvalRecord]) -> bool:
        """After every so many epochs, and the last one; of none, what it began with."""
        epoch, step = divmod(self.trainer.step, self.plan.steps_per_epoch)
        due = epoch == self.plan.epochs or (epoch > 0 and epoch % evaluation_interval(self.plan.epochs) == 0)
        evaluated = history[-1].epoch if history else -1
        return step == 0 and epoch > evaluated and due

    def evaluate(self, since: Unmeasured, history: Sequence[EvalRecord], busy: Busy) -> Outcome:  # noqa: ARG002
        """Accuracies on the validation pictures, and samples."""
        fast = self.trainer.inference_copy(self.trainer.averaged_network)
        accuracy = validation_accuracy(fast, self.data, self.plan.recipe.attack, report=busy)
        record = EvalRecord(
            epoch=self.trainer.step // self.plan.steps_per_epoch,
            loss=since.loss,
            training_robust=since.training_robust,
            clean=accuracy.clean,
            robust=accuracy.robust,
            seconds=since.seconds,
        )
        return Outcome(record, generate_samples(fast, self.seeds, busy), accuracy.robust)


class ContrastiveStage(Stage):
    """Stage two: the best classifier's pictures are the closest to training pictures.

    Close in the features of stage one's classifier, by the kernel distance. That network began as the one in training,
    so the distance serves to choose among the classifiers of one run, not to say how good their pictures are.
    """

    number = 2

    def __init__(
        self, data: TrainingData, plan: TrainingPlan, classifier: RobustClassifier, device: torch.device, work: Work
    ) -> None:
        assert plan.contrastive is not None, "the recipe has a stage two"
        assert classifier.seeds is not None, "stage one fits seeds"
        self.data, self.plan, self.seeds = data, plan, classifier.seeds
        self.trainer: ContrastiveTrainer = ContrastiveTrainer(data.train, classifier, plan, device)
        self.due = contrastive_evaluations(self.trainer.steps, work)
        # With more classes than the distance compares pictures, one picture each of some of them.
        self.judged = range(0, len(data.labels), math.ceil(len(data.labels) / JUDGED_PICTURES))
        self.real: Tensor | None = None

    def evaluation_due(self, history: Sequence[EvalRecord]) -> bool:
        """Before the first step, and so many times on the way."""
        evaluated = max((record.contrastive_step for record in history if record.stage == self.number), default=-1)
        return self.trainer.step in self.due and self.trainer.step > evaluated

    def evaluate(self, since: Unmeasured, history: Sequence[EvalRecord], busy: Busy) -> Outcome:
        """Accuracies on the validation pictures, the distance of generated pictures to training pictures, samples."""
        trainer = self.trainer
        fast = trainer.inference_copy(trainer.averaged_network)
        accuracy = validation_accuracy(fast, self.data, self.plan.recipe.attack, report=busy)
        classes = len(self.data.labels)
        pictures = generate_each(fast, self.seeds, self.judged, range(judged_per_class(classes)), busy)
        distance = kernel_distance(self._real_features(), self._features(pictures.flatten(0, 1)))
        record = EvalRecord(
            epoch=self.plan.epochs,
            loss=since.loss,
            training_robust=since.training_robust,
            clean=accuracy.clean,
            robust=accuracy.robust,
            seconds=since.seconds,
            stage=self.number,
            contrastive_step=trainer.step,
            distance=distance,
            auc=trainer.auc,
        )
        before = next((entry.robust for entry in history if entry.stage == self.number), accuracy.robust)
        lost = max(MAX_ROBUSTNESS_LOST, MAX_PICTURES_LOST / len(self.data.validation))
        score = -distance if accuracy.robust >= before - lost and math.isfinite(distance) else None
        shown = pictures[:MAX_SAMPLES, : samples_per_class(classes)]
        return Outcome(record, shown.flatten(0, 1), score)

    def _real_features(self) -> Tensor:
        if self.real is None:
            each = math.ceil(REAL_PICTURES / len(self.judged))
            rows = [(self.data.train.classes == index).nonzero().flatten()[:each] for index in self.judged]
            self.real = self._features(self.data.train.images[torch.cat(rows)].float() / 255)
        return self.real

    def _features(self, images: Tensor) -> Tensor:
        """Pre-logits `[B, F]` of stage one's classifier, on the CPU."""
        reference = self.trainer.reference
        with torch.no_grad():
            parts = [reference.features(part.to(self.trainer.device)).cpu() for part in images.split(100)]
        return torch.cat(parts)
