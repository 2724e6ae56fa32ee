"""What a run writes for its user: the best classifier, its card, the log and the samples."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models import RobustClassifier, save_classifier
from ..models.thumbnails import MAX_CLASSES, sheet_of
from ..synthesis import class_sheet
from ..synthesis.ascent import Callback
from . import distributed
from .card import CardInfo, write_card
from .log import EvalRecord, write_log
from .paths import RunPaths
from .recipes import TrainingPlan
from .record import Evaluation, TrainingRecord
from .samples import write_samples


class Results:
    """The files of a run that others read."""

    def __init__(
        self,
        paths: RunPaths,
        info: CardInfo,
        plan: TrainingPlan,
        device: torch.device,
        identity: dict[str, Any],
        left_out: str,
    ) -> None:
        self.paths, self.info, self.plan, self.device = paths, info, plan, device
        self.identity, self.left_out = identity, left_out

    def save_unfinished(
        self, classifier: RobustClassifier, epoch: int, seconds: float, contrastive_step: int = 0
    ) -> None:
        """Write the classifier as it is after an epoch, and so many steps of stage two.

        Raises:
            OSError: it cannot be written; what was there before still is.
        """
        self._add_card(classifier, self._record(epoch, seconds, contrastive_step))
        save_classifier(classifier, self.paths.result)

    def save_finished(self, classifier: RobustClassifier, evaluation: Evaluation, seconds: float) -> None:
        """Write the classifier that `save_unfinished` wrote once more, with its figures, and its model card.

        Raises:
            OSError: they cannot be written.
        """
        kept = TrainingRecord.from_dict(classifier.card.training)
        record = self._record(kept.epoch, seconds, kept.contrastive_step)
        self._add_card(classifier, replace(record, evaluation=evaluation))
        save_classifier(classifier, self.paths.result)
        write_card(classifier, self.paths.result.with_suffix(".md"))

    def save_sheet(self, classifier: RobustClassifier, callback: Callback) -> None:
        """Write the class picker's pictures of the classes, unless there are too many.

        Args:
            classifier: with seeds of all its classes, on the device that is to compute.
            callback: see `synthesis.ascent.Callback`.
        """
        if len(classifier.labels) <= MAX_CLASSES:
            with logged_if_unwritable("The pictures of the classes"):
                class_sheet(classifier, callback).save(sheet_of(self.paths.result), quality=85)

    def log(self, history: Sequence[EvalRecord], samples: Tensor) -> None:
        """Write the log and the samples of its last entry.

        Raises:
            OSError: they cannot be written.
        """
        write_log(self.paths.folder, {**self.identity, "left_out": self.left_out}, history)
        write_samples(self.paths.folder, samples, history[-1].name)

    def _record(self, epoch: int, seconds: float, contrastive_step: int) -> TrainingRecord:
        attack = self.plan.recipe.attack
        return TrainingRecord(
            norm=attack.norm,
            epsilon=attack.epsilon,
            pgd_steps=attack.steps,
            epochs=self.plan.epochs,
            pictures=self.plan.pictures,
            cutmix_prob=self.plan.cutmix_prob if self.plan.epochs else 0.0,
            pretrained=self.plan.pretrained,
            fine_tuned=Path(self.plan.recipe.fine_tune).stem,
            data=self.info.data,
            command=self.info.command,
            minutes=round(seconds / 60, 1),
            device=_device_name(self.device),
            epoch=epoch,
            contrastive_steps=self.plan.contrastive.steps if self.plan.contrastive else 0,
            contrastive_step=contrastive_step,
            left_out=self.left_out,
        )

    def _add_card(self, classifier: RobustClassifier, record: TrainingRecord) -> None:
        info, training = self.info, record.to_dict()
        classifier.card = replace(classifier.card, title=info.title, licence=info.licence, training=training)


@contextlib.contextmanager
def logged_if_unwritable(what: str) -> Iterator[None]:
    """Log an OSError instead of raising it: the training goes on, and the next attempt may find room."""
    try:
        yield
    except OSError as error:
        logging.warning("%s could not be saved, and the training goes on: %s", what, error)


def _device_name(device: torch.device) -> str:
    processes = distributed.world_size()
    if device.type == "cpu":
        cores = processes * torch.get_num_threads()
        return f"{cores} CPU core{'s' if cores > 1 else ''}"
    name = str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type
    return f"{processes} x {name}" if processes > 1 else name
