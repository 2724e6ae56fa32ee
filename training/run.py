"""A whole training run: resumable, evaluated on the way, its best classifier kept at every moment."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..models import RobustClassifier, load_classifier, optimize_for_inference
from ..models.files import shortened, too_long
from .card import CardInfo
from .data import TrainingData
from .evaluation import evaluate, validation_accuracy
from .log import EvalRecord
from .paths import RunError, RunPaths
from .progress import Progress, Report, Work
from .recipes import Recipe, TrainingPlan
from .results import Results, logged_if_unwritable
from .samples import generate_samples
from .saved_state import NEAR_COPIES, SavedState, find_state, write_state
from .seeds import fit_all_seeds
from .trainer import Trainer

MAX_EVALUATIONS = 20
"""In a run, beside the last."""
SAVE_SECONDS = 60.0


def train(
    data: TrainingData,
    recipe: Recipe,
    paths: RunPaths,
    info: CardInfo,
    device: torch.device,
    epochs: int | None = None,
    report: Report = lambda _: None,
) -> RobustClassifier:
    """Train a classifier, or resume the run of the same pictures and recipe with the same paths.

    The best classifier so far, by its robust accuracy on the validation pictures, is always at `paths.result`. An
    exception from `report` or the keyboard stops the run, and its state is saved; a killed run resumes from at most a
    minute earlier. On a CPU the result is the same to the bit.

    Args:
        data: see `data.read_data`.
        recipe: how to train.
        paths: see `RunPaths`.
        info: what the card says beside the figures.
        device: that computes.
        epochs: instead of the recipe's.
        report: see `Report`.

    Returns:
        The classifier as it was saved, on the CPU; `TrainingRecord.from_dict(card.training)` has its figures.

    Raises:
        RunError: another run has the paths, a name is too long, the training diverged, or the classifier cannot be
            written.
    """
    if too_long(paths.result) or too_long(paths.folder):
        raise RunError(f"'{shortened(paths.result.stem)}' is too long for the name of a file. Choose a shorter one.")
    plan = recipe.plan(len(data.train), epochs)
    identity = _identity(plan, data)
    state = find_state(paths, identity)
    if state is not None and state.finished and paths.result.is_file():
        return load_classifier(paths.result)
    results = Results(paths, info, plan, device, identity, str(data.left_out))
    run = _Run(Trainer(data.train, data.labels, plan, device), data, results)
    if state is not None and not state.finished:
        run.resume(state)
    else:
        run.begin()
    try:
        run.train(report)
        return run.finish(report)
    except RunError:
        raise
    except BaseException:
        # Cancelled, or the machine shuts down: nothing that was learned is lost.
        run.save_state()
        raise


def _identity(plan: TrainingPlan, data: TrainingData) -> dict[str, Any]:
    return {
        "recipe": _as_json(asdict(plan.recipe)),
        "epochs": plan.epochs,
        "data": data.digest,
        NEAR_COPIES: data.keeps_near_copies,
    }


def _as_json(value: Any) -> Any:
    """The value as it comes back from JSON: lists in place of tuples."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


class _Run:
    """The loop around a trainer: when to evaluate, what to keep, when to save."""

    def __init__(self, trainer: Trainer, data: TrainingData, results: Results) -> None:
        self.trainer, self.plan, self.data, self.results = trainer, trainer.plan, data, results
        self.seeds = fit_all_seeds(data.train, len(data.labels), self.plan.recipe.input_size)
        self.history: list[EvalRecord] = []
        self.unmeasured: list[tuple[float, float]] = []
        """Loss and accuracy of the steps since the last evaluation."""
        self.best: float | None = None
        """The robust accuracy of the classifier in the file."""
        self.mid_step = False
        """The trainer's state is consistent only between steps."""
        self.work, self.passes_before, self.seconds_before = Work.of(self.plan, data), 0, 0.0
        self.started = self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of work, in all."""
        return self.seconds_before + time.monotonic() - self.started

    def begin(self) -> None:
        """Claim the paths.

        Raises:
            RunError: they cannot be written.
        """
        paths = self.results.paths
        try:
            paths.folder.mkdir(parents=True, exist_ok=True)
            self._write_state()
        except OSError as error:
            raise RunError(f"{paths.result} cannot be written ({error}), so nothing was begun.") from error

    def resume(self, state: SavedState) -> None:
        """Continue from a saved state."""
        self.trainer.restore(state.tensors, state.step)
        self.history = [EvalRecord(**entry) for entry in state.history]
        self.unmeasured = list(state.unmeasured)
        self.best = state.best
        self.seconds_before, self.passes_before = state.seconds, self._passes

    def train(self, report: Report) -> None:
        """Take the steps that are left.

        Raises:
            RunError: the training diverged.
        """
        trainer, steps = self.trainer, self.plan.steps
        while True:
            samples = self._evaluate(report) if self._evaluation_due() else None
            if trainer.step:
                report(self._progress(samples))
            if trainer.step == steps:
                break
            self.mid_step = True
            self.unmeasured.append(trainer.advance())
            self.mid_step = False
            if not math.isfinite(self.unmeasured[-1][0]):
                raise RunError("The training has diverged: its loss is no number any more. Try a smaller epsilon.")
            if time.monotonic() - self.saved > SAVE_SECONDS or trainer.step % self.plan.steps_per_epoch == 0:
                self.save_state()

    def finish(self, report: Report) -> RobustClassifier:
        """Evaluate the best classifier as its file has it, and write its figures and its card.

        Raises:
            RunError: they cannot be written.
        """
        progress = self._progress(evaluating=True)
        try:
            classifier = load_classifier(self.results.paths.result)
            fast = optimize_for_inference(load_classifier(self.results.paths.result)).to(self.trainer.device)
            attack = self.plan.recipe.attack
            evaluation = evaluate(fast, self.data, attack, report=lambda *_: report(progress))
            self.results.save_finished(classifier, evaluation, self.seconds)
            self._write_state(finished=True)
        except OSError as error:
            raise RunError(
                f"The training is done, but its classifier could not be written or read ({error}). Make room, and "
                "start it again: it goes on from where it was saved last."
            ) from error
        return classifier

    def save_state(self) -> None:
        """Save the state, and before the first evaluation the classifier, if that is possible now."""
        if not self.mid_step:
            with logged_if_unwritable("The state of the training"):
                self._write_state()
            if self.best is None and self.trainer.step:
                with logged_if_unwritable("The classifier so far"):
                    self._save_classifier(self.trainer.classifier(self.seeds))
        self.saved = time.monotonic()

    def _evaluation_due(self) -> bool:
        epoch, step = divmod(self.trainer.step, self.plan.steps_per_epoch)
        due = epoch % self._interval == 0 or epoch == self.plan.epochs
        return step == 0 and epoch > self._evaluated and due

    @property
    def _evaluated(self) -> int:
        """The epoch of the latest evaluation."""
        return self.history[-1].epoch if self.history else 0

    @property
    def _interval(self) -> int:
        """Of the evaluations, in epochs."""
        return math.ceil(self.plan.epochs / MAX_EVALUATIONS)

    @property
    def _passes(self) -> int:
        """The work done so far, see `Work`."""
        return self.trainer.step * self.work.step + len(self.history) * self.work.evaluation

    @property
    def _seconds_left(self) -> float:
        evaluations = math.ceil(self.plan.epochs / self._interval) - math.ceil(self._evaluated / self._interval)
        steps = self.plan.steps - self.trainer.step
        left = steps * self.work.step + evaluations * self.work.evaluation + self.work.final
        done = self._passes - self.passes_before
        # Before the first step of a resumed run, its earlier part is all that is known.
        seconds_per_pass = (self.seconds - self.seconds_before) / done if done else self.seconds / max(self._passes, 1)
        return seconds_per_pass * left

    def _evaluate(self, report: Report) -> Tensor:
        """Measure and log the averaged network, and keep it if it is the best; samples of it."""
        trainer = self.trainer
        loss, training_robust = (sum(values) / len(values) for values in zip(*self.unmeasured, strict=True))
        classifier, fast = trainer.classifier(self.seeds), trainer.inference_copy(trainer.averaged_network)
        progress = self._progress(evaluating=True)
        attack = self.plan.recipe.attack
        accuracy = validation_accuracy(fast, self.data, attack, report=lambda *_: report(progress))
        samples = generate_samples(fast, self.seeds, lambda *_: report(progress))
        # Of equally good ones the later has learned more.
        if self.best is None or accuracy.robust >= self.best:
            with logged_if_unwritable("The best classifier so far"):
                self._save_classifier(classifier)
                self.best = accuracy.robust
        epoch = trainer.step // self.plan.steps_per_epoch
        entry = EvalRecord(epoch, loss, training_robust, accuracy.clean, accuracy.robust, self.seconds)
        self.history.append(entry)
        self.unmeasured.clear()
        with logged_if_unwritable("The log"):
            self.results.log(self.history, samples)
        return samples

    def _progress(self, samples: Tensor | None = None, evaluating: bool = False) -> Progress:
        step, plan = self.trainer.step, self.plan
        return Progress(
            step=step,
            steps=plan.steps,
            epoch=math.ceil(step / plan.steps_per_epoch),
            epochs=plan.epochs,
            seconds_left=self._seconds_left,
            loss=self.unmeasured[-1][0] if self.unmeasured else self.history[-1].loss,
            latest=self.history[-1] if self.history else None,
            samples=samples,
            evaluating=evaluating,
        )

    def _save_classifier(self, classifier: RobustClassifier) -> None:
        epoch = self.trainer.step // self.plan.steps_per_epoch
        self.results.save_unfinished(classifier, epoch, self.seconds)

    def _write_state(self, finished: bool = False) -> None:
        state = SavedState(
            identity=self.results.identity,
            step=self.trainer.step,
            seconds=self.seconds,
            history=[asdict(entry) for entry in self.history],
            best=self.best,
            unmeasured=self.unmeasured,
            finished=finished,
            tensors={} if finished else self.trainer.state(),
        )
        write_state(self.results.paths.state, state)
