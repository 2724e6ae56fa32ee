"""A whole training run: resumed where it was left, measured on the way, its best classifier kept at every moment."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models import ClassSeeds, RobustClassifier, load_classifier, optimize_for_inference, save_classifier
from .card import CardInfo, write_card
from .data import TrainingData
from .evaluation import accuracy
from .recipes import Recipe
from .record import EvalRecord, write_record
from .samples import painted, write_samples
from .saved_state import SavedState, StateError, read_state, write_state
from .seeds import all_seeds
from .trainer import Trainer

EVALUATIONS = 20
"""In a run, at most; each on the validation pictures, with a short attack."""
ON_THE_WAY = (5, 0.4)
"""Steps of that attack, and the share of epsilon that each takes."""
IN_THE_END = (20, 0.125, 2)
"""Steps of the last attack, the share of epsilon that each takes, and its random starts."""
SAVE_SECONDS = 60.0


class RunError(RuntimeError):
    """A run that cannot go on; the message says why, and what to do."""


class RunExistsError(RunError):
    """Another classifier, or another run, has this place."""


@dataclass(frozen=True)
class RunPaths:
    """Where a run keeps what it makes."""

    result: Path
    """The classifier, `.safetensors`: the best so far."""
    folder: Path
    """The record, its plot, and the pictures on the way."""

    @property
    def state(self) -> Path:
        """What the run goes on from: beside the classifier, because the folder may be cleared."""
        return self.result.with_name(f".{self.result.stem}.resume")


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    epoch: int
    """From 1; of the step that was taken last."""
    epochs: int
    seconds_left: float
    """As long as the steps so far have taken."""
    loss: float
    latest: EvalRecord | None
    """The latest measurement."""
    samples: Tensor | None = None
    """Pictures of the classes `[B, 3, S, S]` in [0, 1], where they were painted just now."""
    measuring: bool = False
    """Whether it is being measured, instead of learning."""

    def __str__(self) -> str:
        if self.measuring and self.step == self.steps:
            return "Measuring the best classifier under a long attack"
        minutes, seconds = divmod(round(self.seconds_left), 60)
        words = f"Epoch {self.epoch} of {self.epochs}, {minutes}:{seconds:02} left, loss {self.loss:.2f}"
        if self.latest is not None:
            words += f"; named rightly {self.latest.clean:.0%}, attacked {self.latest.robust:.0%}"
        return words


Report = Callable[[Progress], None]
"""Called after each step, and often while it measures; may raise to stop the run, which can go on later."""


def train(
    data: TrainingData,
    recipe: Recipe,
    place: RunPaths,
    about: CardInfo,
    device: torch.device,
    epochs: int | None = None,
    report: Report = lambda _: None,
) -> RobustClassifier:
    """Train a classifier, or go on with a run of the same pictures and recipe at the same place.

    The best classifier so far is always at `place.result`, by its accuracy under attack on the validation pictures.
    When the run is stopped, by an exception from `report` or from the keyboard, where it is gets saved; a killed one
    goes on from at most a minute earlier, and comes out the same.

    Returns:
        The classifier as it was saved, on the CPU, its figures in its card.

    Raises:
        RunError: there is another run at the place, or the classifier cannot be written in the end.
    """
    epochs = epochs or recipe.epochs(len(data.train))
    identity = {"recipe": _plain(asdict(recipe)), "epochs": epochs, "data": data.digest}
    state = _found(place, identity)
    if state is not None and state.finished and place.result.is_file():
        return load_classifier(place.result)
    trainer = Trainer(data.train, data.labels, recipe, epochs, device)
    run = _Run(trainer, data, place, about, identity)
    if state is not None and not state.finished:
        run.go_on(state)
    else:
        run.begin()
    try:
        run.to_the_end(report)
        return run.finish(report)
    except RunError:
        raise
    except BaseException:
        # Cancelled, or the machine goes down: nothing of what was learned is lost.
        run.keep()
        raise


def _found(place: RunPaths, identity: dict[str, Any]) -> SavedState | None:
    try:
        state = read_state(place.state)
    except StateError as error:
        raise RunError(f"{error} Delete it and {place.result.name} to begin anew.") from error
    if state is None:
        if place.result.exists():
            raise RunExistsError(f"There is a classifier at {place.result} already. Choose another name.")
        return None
    if state.identity != identity:
        raise RunExistsError(
            f"'{place.result.stem}' is the name of a run with other pictures or settings. Choose another name, or "
            f"delete {place.state} and {place.result.name}."
        )
    return state


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


class _Run:
    def __init__(
        self, trainer: Trainer, data: TrainingData, place: RunPaths, about: CardInfo, identity: dict[str, Any]
    ) -> None:
        self.trainer, self.data, self.place, self.about, self.identity = trainer, data, place, about, identity
        self.history: list[EvalRecord] = []
        self.taken: list[tuple[float, float]] = []
        """Loss and accuracy of the steps since the last measurement."""
        self.seconds_before, self.steps_before = 0.0, 0
        self.started = self.saved = time.monotonic()
        self.seeds: ClassSeeds = all_seeds(data.train, len(data.labels), trainer.recipe.input_size)
        self.best: float | None = None
        """The accuracy under attack of the classifier in the file."""
        self.whole = True
        """Whether the trainer is not in the middle of a step."""
        self.measured_each = -(-trainer.epochs // EVALUATIONS)

    @property
    def seconds(self) -> float:
        """Of work, in all."""
        return self.seconds_before + time.monotonic() - self.started

    def go_on(self, state: SavedState) -> None:
        self.trainer.restore(state.tensors, state.step)
        self.history = [EvalRecord(**entry) for entry in state.history]
        self.taken = list(state.unmeasured)
        self.best = state.best
        self.seconds_before, self.steps_before = state.seconds, state.step

    def begin(self) -> None:
        """Take the place.

        Raises:
            RunError: nothing can be written there.
        """
        try:
            self.place.folder.mkdir(parents=True, exist_ok=True)
            self._write_state(finished=False)
        except OSError as error:
            raise RunError(f"{self.place.result} cannot be written ({error}), so nothing was begun.") from error

    def to_the_end(self, report: Report) -> None:
        trainer = self.trainer
        while True:
            samples = self._measure(report) if self._due() else None
            if trainer.step:
                report(self._progress(samples))
            if trainer.step == trainer.steps:
                break
            self.whole = False
            self.taken.append(trainer.advance())
            self.whole = True
            if not math.isfinite(self.taken[-1][0]):
                raise RunError("The training has diverged: its loss is no number any more. Try a smaller epsilon.")
            if time.monotonic() - self.saved > SAVE_SECONDS or trainer.step % trainer.steps_an_epoch == 0:
                self.keep()

    def _due(self) -> bool:
        """Whether to measure now."""
        epoch, inside = divmod(self.trainer.step, self.trainer.steps_an_epoch)
        known = self.history[-1].epoch if self.history else 0
        return not inside and epoch > known and (epoch % self.measured_each == 0 or epoch == self.trainer.epochs)

    def _progress(self, samples: Tensor | None = None, measuring: bool = False) -> Progress:
        trainer = self.trainer
        a_step = (time.monotonic() - self.started) / max(trainer.step - self.steps_before, 1)
        return Progress(
            step=trainer.step,
            steps=trainer.steps,
            epoch=-(-trainer.step // trainer.steps_an_epoch),
            epochs=trainer.epochs,
            seconds_left=a_step * (trainer.steps - trainer.step),
            loss=self.taken[-1][0] if self.taken else self.history[-1].loss,
            latest=self.history[-1] if self.history else None,
            samples=samples,
            measuring=measuring,
        )

    def _measure(self, report: Report) -> Tensor:
        trainer = self.trainer
        epoch = trainer.step // trainer.steps_an_epoch
        loss, right = (sum(values) / len(self.taken) for values in zip(*self.taken, strict=True))
        steps, share = ON_THE_WAY
        attack = replace(trainer.recipe.attack, steps=steps, rel_step_size=share)
        classifier = trainer.classifier(self.seeds)
        fast = trainer.fast(trainer.average)
        progress = self._progress(measuring=True)
        found = accuracy(fast, self.data.validation, attack, report=lambda *_: report(progress))
        samples = painted(fast, self.seeds, lambda *_: report(progress))
        entry = EvalRecord(
            epoch=epoch,
            loss=loss,
            training_robust=right,
            clean=found.clean,
            robust=found.robust,
            seconds=self.seconds,
        )
        # Of two that are as good, the later one has learned more.
        if self.best is None or entry.robust >= self.best:
            with _said("The best classifier so far"):
                self._save(classifier, epoch)
                self.best = entry.robust
        self.history.append(entry)
        self.taken.clear()
        with _said("The record"):
            write_record(self.place.folder, self.identity, self.history)
            write_samples(self.place.folder, samples, epoch)
        return samples

    def keep(self) -> None:
        """Save where the run is, and the classifier where none has been measured yet."""
        trainer = self.trainer
        if self.whole:
            with _said("The state of the training"):
                self._write_state(finished=False)
            if self.best is None and trainer.step:
                with _said("The classifier so far"):
                    self._save(trainer.classifier(self.seeds), trainer.step // trainer.steps_an_epoch)
        self.saved = time.monotonic()

    def _save(self, classifier: RobustClassifier, epoch: int) -> None:
        save_classifier(self._described(classifier, {"unfinished": True, "epoch": epoch}), self.place.result)

    def finish(self, report: Report) -> RobustClassifier:
        """Measure the best classifier as its file has it, and write its card."""
        test = self.data.test
        measured_on = "validation pictures" if test is None else "test split"
        pictures = self.data.validation if test is None else test
        attack, (steps, share, restarts) = self.trainer.recipe.attack, IN_THE_END
        robust: dict[str, float] = {}
        progress = self._progress(measuring=True)
        try:
            best = load_classifier(self.place.result)
            fast = optimize_for_inference(load_classifier(self.place.result)).to(self.trainer.device)
            for epsilon in (attack.epsilon / 2, attack.epsilon, 2 * attack.epsilon):
                stronger = replace(attack, epsilon=epsilon, steps=steps, rel_step_size=share, restarts=restarts)
                found = accuracy(fast, pictures, stronger, report=lambda *_: report(progress))
                robust[f"{epsilon:g}"] = found.robust
            figures = {
                "epoch": best.card.training["epoch"],
                "clean_accuracy": found.clean,
                "robust_accuracy": robust[f"{attack.epsilon:g}"],
                "robust_accuracies": robust,
                "attack": f"PGD-{steps} from {restarts} random starts",
                "measured_on": measured_on,
            }
            classifier = self._described(best, figures)
            save_classifier(classifier, self.place.result)
            write_card(classifier, self.place.result.with_suffix(".md"))
            self._write_state(finished=True)
        except OSError as error:
            raise RunError(
                f"The training is done, but its classifier could not be written or read ({error}). Make room, and "
                "start it again: it goes on from where it was saved last."
            ) from error
        return classifier

    def _described(self, classifier: RobustClassifier, figures: dict[str, Any]) -> RobustClassifier:
        recipe, trainer = self.trainer.recipe, self.trainer
        training = {
            "norm": recipe.attack.norm,
            "epsilon": recipe.attack.epsilon,
            "pgd_steps": recipe.attack.steps,
            "epochs": trainer.epochs,
            "pictures": len(self.data.train),
            "cut_mix": recipe.mixing(len(self.data.train)),
            "began_with": recipe.begins_with(len(self.data.train)),
            "data": self.about.data,
            "minutes": round(self.seconds / 60, 1),
            "device": _device_name(trainer.device),
            **figures,
        }
        classifier.card = replace(
            classifier.card, title=self.about.title, licence=self.about.licence, training=training
        )
        return classifier

    def _write_state(self, finished: bool) -> None:
        write_state(
            self.place.state,
            SavedState(
                identity=self.identity,
                step=self.trainer.step,
                seconds=self.seconds,
                history=[asdict(entry) for entry in self.history],
                best=self.best,
                unmeasured=self.taken,
                finished=finished,
                tensors={} if finished else self.trainer.state(),
            ),
        )


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    """Go on with the training although something could not be written: there may be room the next time."""
    try:
        yield
    except OSError as error:
        logging.warning("%s could not be saved, and the training goes on: %s", what, error)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cores = torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''}" if device.type == "cpu" else device.type
