"""A whole training run: resumable, evaluated on the way, its best classifier kept at every moment."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..models import RobustClassifier, load_classifier, optimize_for_inference
from ..models.architectures import build_network
from ..models.files import shortened, too_long
from ..synthesis import TranslateSettings, preset
from . import distributed
from .card import CardInfo
from .data import TrainingData
from .evaluation import evaluate
from .log import EvalRecord
from .paths import RunError, RunPaths
from .progress import Progress, Report, Work
from .recipes import Recipe, TrainingPlan
from .results import Results, logged_if_unwritable
from .samples import SAMPLER
from .saved_state import NEAR_COPIES, SAMPLER_VALUES, SavedState, find_state, write_state
from .seeds import fit_all_seeds
from .stages import (
    AdversarialStage,
    ContrastiveStage,
    Outcome,
    Stage,
    Unmeasured,
    contrastive_evaluations,
    evaluation_interval,
)
from .trainer import part

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

    The best classifier so far is always at `paths.result`: in stage one the most robust on the validation pictures, in
    stage two the one that paints closest to the training pictures. An exception from `report` or the keyboard stops the
    run, and its state is saved; a killed run resumes from at most a minute earlier. On a CPU the result is the same to
    the bit. Processes that were joined (see `distributed`) all call this alike, and the first of them evaluates and
    writes; `report` stops them by KeyboardInterrupt.

    Args:
        data: see `data.read_data`.
        recipe: how to train.
        paths: see `RunPaths`.
        info: what the card says beside the figures.
        device: that computes.
        epochs: of stage one, instead of the recipe's; with 0, the classifier of `recipe.fine_tune` goes to stage two.
        report: see `Report`.

    Returns:
        The classifier as it was saved, on the CPU; `TrainingRecord.from_dict(card.training)` has its figures.

    Raises:
        RunError: another run has the paths, a name is too long, the training diverged, or a file cannot be written.
    """
    if too_long(paths.result) or too_long(paths.folder):
        raise RunError(f"'{shortened(paths.result.stem)}' is too long for the name of a file. Choose a shorter one.")
    plan = recipe.plan(len(data.train), epochs)
    identity = _identity(plan, data)
    _refuse_uneven_processes(plan, identity)
    earlier = distributed.from_first(lambda: _earlier_run(paths, identity))
    if isinstance(earlier, RobustClassifier):
        return earlier
    run = _Run(data, plan, Results(paths, info, plan, device, identity, str(data.left_out)), earlier)
    try:
        run.train(report)
        return distributed.from_first(lambda: run.finish(report))
    except RunError:
        raise
    except BaseException as error:
        # Cancelled, or the machine shuts down: nothing that was learned is lost.
        run.save_state()
        if isinstance(error, KeyboardInterrupt):
            # torchrun ends all processes soon after the first that ends.
            distributed.wait_for_others()
        raise


def _refuse_uneven_processes(plan: TrainingPlan, identity: dict[str, Any]) -> None:
    if distributed.anywhere(identity != distributed.from_first(lambda: identity)):
        raise RunError(
            "The processes have different pictures or settings. Start the same command on every machine, with the same "
            "pictures and the same version of the pack."
        )
    processes = distributed.world_size()
    batches = [plan.batch_size // 2 if plan.recipe.preconditioned_epsilon else plan.batch_size]
    smallest = min(batches + ([plan.contrastive.sampled] if plan.contrastive else []))
    if processes > smallest:
        raise RunError(f"{processes} processes cannot share a batch of {smallest}: start {smallest} or less.")
    if processes > 1 and plan.recipe.attack.restarts > 1:
        raise RunError("In several processes an attack of the training starts once: set its restarts to 1.")


def _earlier_run(paths: RunPaths, identity: dict[str, Any]) -> RobustClassifier | SavedState | None:
    """The classifier of a run that has finished, or what one resumes from."""
    state = find_state(paths, identity)
    if state is None or not state.finished:
        return state
    return load_classifier(paths.result) if paths.result.is_file() else None


def _identity(plan: TrainingPlan, data: TrainingData) -> dict[str, Any]:
    follows = plan.contrastive is not None or plan.recipe.preconditioned_epsilon > 0
    return {
        "recipe": _as_json(asdict(plan.recipe)),
        "epochs": plan.epochs,
        "data": data.digest,
        NEAR_COPIES: data.keeps_near_copies,
        SAMPLER_VALUES: preset(TranslateSettings, SAMPLER).settings.values() if follows else None,
    }


def _as_json(value: Any) -> Any:
    """The value as it comes back from JSON: lists in place of tuples."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


class DivergedError(RunError):
    """The loss is no number any more."""


class _Run:
    """The loop around the stages: when to evaluate, what to keep, when to save."""

    def __init__(self, data: TrainingData, plan: TrainingPlan, results: Results, state: SavedState | None) -> None:
        """Begin, or resume from a state.

        Raises:
            RunError: the paths cannot be written.
        """
        self.plan, self.data, self.results = plan, data, results
        self.seeds = fit_all_seeds(data.train, len(data.labels), plan.recipe.input_size)
        self.history: list[EvalRecord] = []
        self.unmeasured: list[tuple[float, float]] = []
        """Loss and accuracy of the steps since the last evaluation."""
        self.best: float | None = None
        """The score of the classifier in the file, see `stages.Outcome`."""
        self.mid_step = False
        """The trainer's state is consistent only between steps."""
        self.work, self.passes_before, self.seconds_before = Work.of(plan, data), 0, 0.0
        self.stage: Stage = AdversarialStage(data, plan, self.seeds, results.device)
        if state is None:
            distributed.from_first(self._claim)
        else:
            self._resume(state)
        self.started = self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of work, in all."""
        return self.seconds_before + time.monotonic() - self.started

    def train(self, report: Report) -> None:
        """Take the steps that are left, of all stages.

        Raises:
            RunError: stage one diverged, its classifier cannot be read, or its end cannot be saved.
        """
        if self.stage.number == 1:
            self._train_stage(report)
            if self.plan.contrastive is None:
                return
            self._begin_stage_two()
        try:
            self._train_stage(report)
        except DivergedError:
            logging.warning("Stage two diverged after %d steps: the best before is kept.", self.stage.trainer.step)
            self.unmeasured.pop()

    def finish(self, report: Report) -> RobustClassifier:
        """Evaluate the best classifier as its file has it, and write its figures and its card.

        Raises:
            RunError: they cannot be written.
        """
        progress = replace(self._progress(evaluating=True), final=True)
        try:
            classifier = load_classifier(self.results.paths.result)
            fast = optimize_for_inference(load_classifier(self.results.paths.result)).to(self.results.device)
            self.results.save_sheet(fast.with_seeds(self.seeds), lambda *_: report(progress))
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
        if not self.mid_step and distributed.rank() == 0:
            with logged_if_unwritable("The state of the training"):
                self._write_state()
            if self.stage.number == 1 and self.best is None and self.stage.trainer.step:
                with logged_if_unwritable("The classifier so far"):
                    self._save_classifier()
        self.saved = time.monotonic()

    def _claim(self) -> None:
        paths = self.results.paths
        self.started = time.monotonic()
        try:
            paths.folder.mkdir(parents=True, exist_ok=True)
            self._write_state()
        except OSError as error:
            raise RunError(f"{paths.result} cannot be written ({error}), so nothing was begun.") from error

    def _resume(self, state: SavedState) -> None:
        if state.stage == 2:
            network = build_network(self.plan.architecture, len(self.data.labels))
            network.load_state_dict(part(state.tensors, "reference"))
            self._enter_stage_two(RobustClassifier(network, self.stage.trainer.card, self.seeds))
        self.stage.trainer.restore(state.tensors, state.step)
        self.history = [EvalRecord(**entry) for entry in state.history]
        self.unmeasured = list(state.unmeasured)
        self.best = state.best if distributed.from_first(self.results.paths.result.is_file) else None
        # Stage one finds another one; in stage two it is what the others are compared with.
        if state.stage == 2 and self.best != state.best:
            raise RunError(f"The best classifier so far, {self.results.paths.result}, is gone. Put it back to go on.")
        self.seconds_before, self.passes_before = state.seconds, self._passes

    def _begin_stage_two(self) -> None:
        classifier = distributed.from_first(self._stage_one_classifier)
        self._enter_stage_two(classifier.with_seeds(self.seeds))
        distributed.from_first(self._save_beginning_of_stage_two)

    def _stage_one_classifier(self) -> RobustClassifier:
        paths = self.results.paths
        try:
            return load_classifier(paths.result)
        except (OSError, ValueError) as error:
            raise RunError(
                f"Stage one is done, but its classifier cannot be read ({error}). Delete {paths.state} to begin anew."
            ) from error

    def _save_beginning_of_stage_two(self) -> None:
        try:
            # Before the file has a classifier of stage two: a run that is killed must not begin with that one.
            self._write_state()
        except OSError as error:
            raise RunError(
                f"Stage one is done, but that could not be saved ({error}). Make room, and start it again: it goes on "
                "from where it was saved last."
            ) from error

    def _enter_stage_two(self, classifier: RobustClassifier) -> None:
        self.stage = ContrastiveStage(self.data, self.plan, classifier, self.results.device, self.work)
        self.best = None

    def _train_stage(self, report: Report) -> None:
        trainer = self.stage.trainer
        while True:
            samples = self._evaluate(report) if self.stage.evaluation_due(self.history) else None
            if trainer.step or samples is not None:
                distributed.together(partial(report, self._progress(samples)))
            if trainer.step == trainer.steps:
                break
            self.mid_step = True
            self.unmeasured.append(trainer.advance())
            self.mid_step = False
            if not math.isfinite(self.unmeasured[-1][0]):
                raise DivergedError("The training has diverged: its loss is no number any more. Try a smaller epsilon.")
            if time.monotonic() - self.saved > SAVE_SECONDS or trainer.step % self.plan.steps_per_epoch == 0:
                self.save_state()

    def _evaluate(self, report: Report) -> Tensor:
        """Measure and log the averaged network, and keep it if it is the best; samples of it."""
        outcome = distributed.from_first(lambda: self._outcome(report))
        self.history.append(outcome.record)
        self.unmeasured.clear()
        if distributed.rank() == 0:
            with logged_if_unwritable("The log"):
                self.results.log(self.history, outcome.samples)
        return outcome.samples

    def _outcome(self, report: Report) -> Outcome:
        progress = self._progress(evaluating=True)
        outcome = self.stage.evaluate(self._since_last(), self.history, lambda *_: report(progress))
        # Of equally good ones the later has learned more.
        if outcome.score is not None and (self.best is None or outcome.score >= self.best):
            with logged_if_unwritable("The best classifier so far"):
                self._save_classifier()
                self.best = outcome.score
        return outcome

    def _since_last(self) -> Unmeasured:
        if not self.unmeasured:
            # Before the first step of stage two, or of a run without epochs.
            return Unmeasured(None, None, self.seconds)
        loss, training_robust = (sum(values) / len(values) for values in zip(*self.unmeasured, strict=True))
        return Unmeasured(loss, training_robust, self.seconds)

    @property
    def _passes(self) -> int:
        """The work done so far, see `Work`."""
        step = self.stage.trainer.step
        second = [record for record in self.history if record.stage == 2]
        evaluations = (len(self.history) - len(second)) * self.work.evaluation
        if self.stage.number == 1:
            return step * self.work.step + evaluations
        evaluations += len(second) * self.work.contrastive_evaluation
        return self.plan.steps * self.work.step + step * self.work.contrastive_step + evaluations

    @property
    def _all_passes(self) -> int:
        """The work of the whole run."""
        evaluations = max(1, math.ceil(self.plan.epochs / evaluation_interval(self.plan.epochs)))
        passes = self.plan.steps * self.work.step + evaluations * self.work.evaluation + self.work.final
        if self.plan.contrastive is not None:
            steps = self.plan.contrastive.steps
            passes += steps * self.work.contrastive_step
            passes += len(contrastive_evaluations(steps, self.work)) * self.work.contrastive_evaluation
        return passes

    @property
    def _seconds_left(self) -> float | None:
        if not self._passes:
            return None
        done = self._passes - self.passes_before
        # Before the first step of a resumed run, its earlier part is all that is known.
        seconds_per_pass = (self.seconds - self.seconds_before) / done if done else self.seconds / self._passes
        return seconds_per_pass * (self._all_passes - self._passes)

    @property
    def _latest_loss(self) -> float | None:
        if self.unmeasured:
            return self.unmeasured[-1][0]
        return next((record.loss for record in reversed(self.history) if record.loss is not None), None)

    def _progress(self, samples: Tensor | None = None, evaluating: bool = False) -> Progress:
        plan, step = self.plan, self.stage.trainer.step
        second = self.stage.number == 2
        return Progress(
            step=plan.steps + step if second else step,
            steps=plan.steps + (plan.contrastive.steps if plan.contrastive else 0),
            epoch=plan.epochs if second else math.ceil(step / plan.steps_per_epoch),
            epochs=plan.epochs,
            seconds_left=self._seconds_left,
            loss=self._latest_loss,
            latest=self.history[-1] if self.history else None,
            samples=samples,
            evaluating=evaluating,
            stage=self.stage.number,
            contrastive_step=step if second else 0,
            contrastive_steps=plan.contrastive.steps if plan.contrastive else 0,
        )

    def _save_classifier(self) -> None:
        trainer = self.stage.trainer
        if self.stage.number == 1:
            epoch = trainer.step // self.plan.steps_per_epoch
            self.results.save_unfinished(trainer.classifier(self.seeds), epoch, self.seconds)
        elif trainer.step:
            # Before the first step the file has stage one's best.
            first = [record for record in self.history if record.stage == 1]
            epoch = max((record.robust, record.epoch) for record in first)[1]
            self.results.save_unfinished(trainer.classifier(self.seeds), epoch, self.seconds, trainer.step)

    def _write_state(self, finished: bool = False) -> None:
        trainer = self.stage.trainer
        state = SavedState(
            identity=self.results.identity,
            step=trainer.step,
            seconds=self.seconds,
            history=[asdict(entry) for entry in self.history],
            best=self.best,
            unmeasured=self.unmeasured,
            finished=finished,
            tensors={} if finished else trainer.state(),
            stage=self.stage.number,
        )
        write_state(self.results.paths.state, state)
