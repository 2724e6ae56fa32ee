"""Training runs that are stopped, killed, resumed and finished."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from robust_synthesis.models import RobustClassifier, load_classifier
from robust_synthesis.models.thumbnails import SIDE, sheet_of
from robust_synthesis.training import (
    Attack,
    CardInfo,
    Contrastive,
    Progress,
    Recipe,
    RunError,
    RunExistsError,
    RunPaths,
    TrainingData,
    TrainingRecord,
    read_data,
    stages,
    train,
)
from robust_synthesis.training import run as run_module
from robust_synthesis.training.adversarial import AdversarialTrainer
from robust_synthesis.training.card import write_card
from robust_synthesis.training.contrastive import ContrastiveTrainer
from robust_synthesis.training.evaluation import Accuracy, accuracy
from robust_synthesis.training.progress import Work
from robust_synthesis.training.saved_state import read_state, write_state
from robust_synthesis.training.trainer import Trainer
from tests.pictures_to_train_on import TINY, make_folder, same_weights
from tools.paths import ROOT

CPU = torch.device("cpu")
INFO = CardInfo("Colours", "drawn by the tests", "MIT")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_data(make_folder(tmp_path_factory.mktemp("data"), "red", "green"), TINY.input_size)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """Of a run without plots and samples, which take most of a small run's time, and decide nothing."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(stages, "generate_samples", lambda *_, **__: torch.zeros(1, 3, 8, 8))
    return RunPaths(tmp_path / "colours.safetensors", tmp_path / "colours-training")


@pytest.fixture(scope="module")
def finished(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPaths, list[Progress]]:
    """A run that was never stopped, and what it reported."""
    seen: list[Progress] = []
    folder = tmp_path_factory.mktemp("finished")
    paths = RunPaths(folder / "colours.safetensors", folder / "colours-training")
    train(data, TINY, paths, INFO, CPU, report=seen.append)
    return paths, seen


def run(
    data: TrainingData, paths: RunPaths, recipe: Recipe = TINY, stop_after: int = 0, evaluating: bool = False
) -> RobustClassifier:
    def report(progress: Progress) -> None:
        if progress.step == stop_after and progress.evaluating == evaluating:
            raise KeyboardInterrupt

    return train(data, recipe, paths, INFO, CPU, report=report)


def record(path: Path) -> TrainingRecord:
    return TrainingRecord.from_dict(load_classifier(path).card.training)


def test_a_run_leaves_a_classifier_its_card_and_its_log(finished: tuple[RunPaths, list[Progress]]) -> None:
    paths, seen = finished
    classifier, found = load_classifier(paths.result), record(paths.result)
    assert (classifier.card.title, classifier.card.licence, classifier.labels) == ("Colours", "MIT", ("green", "red"))
    assert classifier.seeds is not None
    assert classifier.seeds.classes == (0, 1)
    assert (found.norm, found.epsilon, found.epochs, found.pictures) == ("l2", 0.5, 10, 36)
    assert found.evaluation is not None
    assert (found.evaluation.clean_accuracy, found.evaluation.robust_accuracy) == (1, 1)
    assert list(found.evaluation.robust_accuracies) == ["0.25", "0.5", "1"]
    card = paths.result.with_suffix(".md").read_text("utf-8")
    for words in ("# Colours", "green, red", "drawn by the tests", "MIT", "L2 epsilon 0.5", "100.0% at 0.5"):
        assert words in card
    log = json.loads((paths.folder / "log.json").read_text("utf-8"))
    assert log["recipe"]["attack"]["epsilon"] == 0.5
    first, second = ([entry for entry in log["history"] if entry["stage"] == stage] for stage in (1, 2))
    assert [entry["epoch"] for entry in first] == list(range(1, 11))
    assert first[-1]["loss"] < first[0]["loss"]
    assert [entry["contrastive_step"] for entry in second] == [0, 3]
    assert all(entry["distance"] is not None for entry in second)
    assert second[0]["auc"] is None
    best = min(second, key=lambda entry: (entry["distance"], -entry["contrastive_step"]))
    assert (found.contrastive_step, found.contrastive_steps) == (best["contrastive_step"], 3)
    kept = f"the classifier after {found.contrastive_step} of 3 steps", "the classifier before it was kept"
    assert kept[found.contrastive_step == 0] in card
    with Image.open(sheet_of(paths.result)) as sheet:
        assert sheet.size == (2 * SIDE, SIDE)
    assert (paths.folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((paths.folder / "samples").glob("epoch-*.png"))) == 10
    # 36 pictures make two steps of 16 an epoch; stage two is evaluated before its first step, too.
    training = [progress for progress in seen if not progress.evaluating]
    assert [progress.step for progress in training] == [*range(1, 21), *range(20, 24)]
    samples = [progress.samples for progress in training if progress.samples is not None]
    assert [each.shape for each in samples] == [(16, 3, 24, 24)] * 12
    # The last evaluation is still to come.
    left = [progress.seconds_left or 0 for progress in training]
    assert 0 < left[-1] < left[0]
    assert "Epoch 1 of 10" in str(training[0])
    assert "Stage two, step 3 of 3" in str(training[-1])
    assert "under a long attack, about 0:" in str(seen[-1])


@pytest.mark.parametrize("epochs", [3, 25])
def test_the_time_left_counts_the_measuring(
    data: TrainingData, paths: RunPaths, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    work, now = Work.of(TINY.plan(len(data.train), epochs), data), 0

    def takes(passes: int, result: object) -> Callable[..., object]:
        def spend(*_: object, **__: object) -> object:
            nonlocal now
            now += passes
            return result

        return spend

    def advance_by(passes: int) -> Callable[[Trainer], tuple[float, float]]:
        def advance(trainer: Trainer) -> tuple[float, float]:
            trainer.step += 1
            takes(passes, None)()
            return 1.0, 0.5

        return advance

    ends: set[float] = set()

    def report(progress: Progress) -> None:
        assert progress.seconds_left is not None
        ends.add(round(now + progress.seconds_left, 3))

    # A second is a pass here.
    monkeypatch.setattr(run_module, "time", SimpleNamespace(monotonic=lambda: now))
    judged = work.contrastive_evaluation - work.evaluation
    monkeypatch.setattr(stages, "validation_accuracy", takes(work.evaluation, Accuracy(0.5, 0.5)))
    monkeypatch.setattr(stages, "generate_samples", takes(0, torch.zeros(1, 3, 8, 8)))
    monkeypatch.setattr(stages, "generate_each", takes(judged, torch.zeros(2, 100, 3, 8, 8)))
    monkeypatch.setattr(AdversarialTrainer, "advance", advance_by(work.step))
    monkeypatch.setattr(ContrastiveTrainer, "advance", advance_by(work.contrastive_step))
    train(data, TINY, paths, INFO, CPU, epochs, report)
    # Every 60 "seconds" the state is saved, which takes no time here. 25 epochs are evaluated at every second.
    evaluations = {3: 3, 25: 13}[epochs]
    # A fifth of the passes of stage one, which has 48 in each of its steps; these have 56.
    steps = {3: 1, 25: 9}[epochs]
    first = 2 * epochs * work.step + evaluations * work.evaluation
    second = steps * work.contrastive_step + 2 * work.contrastive_evaluation
    assert ends == {first + second + work.final}


def test_a_card_names_the_terms_of_the_pretrained_layers(finished: tuple[RunPaths, list[Progress]]) -> None:
    paths, _ = finished
    classifier, card = load_classifier(paths.result), paths.result.with_name("other.md")
    assert "canvas" not in paths.result.with_suffix(".md").read_text("utf-8")
    training = replace(record(paths.result), pretrained="canvas").to_dict()
    classifier.card = replace(classifier.card, training=training)
    write_card(classifier, card)
    assert "first stages initialised from `canvas`" in card.read_text("utf-8")
    assert "terms of their pictures, and those of `canvas`" in card.read_text("utf-8")
    fine_tuned = replace(record(paths.result), fine_tuned="canvas").to_dict()
    classifier.card = replace(classifier.card, training=fine_tuned)
    write_card(classifier, card)
    assert "; fine-tuned from `canvas`" in card.read_text("utf-8")
    assert "terms of their pictures, and those of `canvas`" in card.read_text("utf-8")


def test_an_attack_in_linf_trains(data: TrainingData, paths: RunPaths) -> None:
    run(data, paths, replace(TINY, attack=Attack("linf", 4 / 255, 2, 0.7)))
    found = record(paths.result)
    assert found.norm == "linf"
    assert found.evaluation is not None
    assert found.evaluation.robust_accuracy == 1


def test_the_recipe_alone_decides_the_classifier(
    data: TrainingData, paths: RunPaths, finished: tuple[RunPaths, list[Progress]], tmp_path: Path
) -> None:
    torch.manual_seed(2)
    state = torch.get_rng_state()
    run(data, paths)
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(paths.result, finished[0].result)
    other = RunPaths(tmp_path / "other.safetensors", tmp_path / "other")
    run(data, other, replace(TINY, seed=1))
    assert not same_weights(other.result, paths.result)


@pytest.mark.parametrize(
    ("after", "evaluating"),
    [(1, False), (7, False), (2, True), (12, True), (20, True), (20, False), (21, False), (23, True)],
)
def test_a_stopped_run_keeps_a_classifier_and_resumes_to_the_same_end(
    data: TrainingData,
    paths: RunPaths,
    finished: tuple[RunPaths, list[Progress]],
    after: int,
    evaluating: bool,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, paths, stop_after=after, evaluating=evaluating)
    assert record(paths.result).evaluation is None
    run(data, paths)
    whole = finished[0]
    assert same_weights(paths.result, whole.result)
    log, full = (json.loads((each.folder / "log.json").read_text("utf-8")) for each in (paths, whole))
    for entry in (*log["history"], *full["history"]):
        del entry["seconds"]
    assert log == full
    assert record(paths.result).evaluation is not None


@pytest.mark.parametrize("after", [12, 22])
def test_a_classifier_that_was_taken_away_is_found_again_or_asked_for(
    data: TrainingData, paths: RunPaths, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, paths, stop_after=after)
    taken = paths.result.rename(paths.result.with_name("taken.safetensors"))
    if after > TINY.plan(len(data.train)).steps:
        with pytest.raises(RunError, match=r"is gone\. Put it back to go on"):
            run(data, paths)
        taken.rename(paths.result)
    run(data, paths)
    assert paths.result.is_file()


def test_an_interrupted_step_is_taken_again(
    data: TrainingData,
    paths: RunPaths,
    finished: tuple[RunPaths, list[Progress]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, clip = 0, torch.nn.utils.clip_grad_norm_

    def fail(*arguments: Any, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return clip(*arguments, **options)

    monkeypatch.setattr("robust_synthesis.training.trainer.nn.utils.clip_grad_norm_", fail)
    with pytest.raises(KeyboardInterrupt):
        run(data, paths)
    run(data, paths)
    assert same_weights(paths.result, finished[0].result)


def test_unwritable_paths_are_refused_before_the_first_step(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for paths in (
        RunPaths(tmp_path / "colours.safetensors", tmp_path / "file" / "training"),
        RunPaths(tmp_path / "file" / "colours.safetensors", tmp_path / "training"),
    ):
        with pytest.raises(RunError, match=r"cannot be written .* so nothing was begun"):
            run(data, paths, stop_after=1)


def test_a_finished_run_is_loaded_and_another_never_replaced(data: TrainingData, paths: RunPaths) -> None:
    run(data, paths)
    before = paths.result.stat().st_mtime_ns
    # It would be stopped at its first step.
    run(data, paths, stop_after=1)
    state = read_state(paths.state)
    assert state is not None
    # As version 0.1.0 wrote it.
    recipe = dict(state.identity["recipe"])
    recipe["averaging"], recipe["few_cut_mix"] = recipe.pop("ema_decay"), recipe.pop("small_data_cutmix_prob")
    write_state(paths.state, replace(state, identity={**state.identity, "recipe": recipe}))
    run(data, paths, stop_after=1)
    with pytest.raises(RunExistsError, match="is the name of a run with other pictures or settings"):
        run(data, paths, replace(TINY, seed=1))
    paths.state.unlink()
    with pytest.raises(RunExistsError, match="There is a classifier at"):
        run(data, paths)
    assert paths.result.stat().st_mtime_ns == before


def test_a_name_that_is_too_long_is_refused_in_words(data: TrainingData, tmp_path: Path) -> None:
    long = "my brush " * 30
    with pytest.raises(RunError, match=r"^'my brush .*' is too long for the name of a file\. Choose a shorter one\.$"):
        run(data, RunPaths(tmp_path / f"{long}.safetensors", tmp_path / "training"))
    assert not list(tmp_path.iterdir())


def test_a_damaged_state_is_refused(data: TrainingData, paths: RunPaths) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, paths, stop_after=3)
    paths.state.write_bytes(paths.state.read_bytes()[:100])
    with pytest.raises(RunError, match=r"is damaged.*Delete it and colours.safetensors to begin anew"):
        run(data, paths)


def test_a_training_that_diverges_stops_and_keeps_its_last_good_state(data: TrainingData, paths: RunPaths) -> None:
    with pytest.raises(RunError, match="has diverged"):
        run(data, paths, replace(TINY, learning_rate=float("inf")))
    state = read_state(paths.state)
    assert state is not None
    assert all(tensor.isfinite().all() for tensor in state.tensors.values())


def test_a_stage_two_that_diverges_costs_nothing_of_stage_one(data: TrainingData, paths: RunPaths) -> None:
    assert TINY.contrastive
    wild = replace(TINY, contrastive=replace(TINY.contrastive, learning_rate=float("inf"), max_grad_norm=1e30))
    run(data, paths, wild)
    assert record(paths.result).evaluation is not None
    assert record(paths.result).contrastive_step == 0
    assert "the classifier before it was kept" in paths.result.with_suffix(".md").read_text("utf-8")


@pytest.mark.parametrize(
    ("contrastive", "words"),
    [
        (None, "The training is done, but its classifier could not"),
        (TINY.contrastive, "Stage one is done, but that could"),
    ],
)
def test_a_full_disk_costs_nothing_that_was_saved(
    data: TrainingData, paths: RunPaths, tmp_path: Path, contrastive: Contrastive | None, words: str
) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX's")
    recipe = replace(TINY, contrastive=contrastive)
    with pytest.raises(KeyboardInterrupt):
        run(data, paths, recipe, stop_after=5)
    before = {path: path.read_bytes() for path in (paths.result, paths.state)}
    folder = make_folder(tmp_path / "data", "red", "green")
    # A real failure: the process may write files of up to 1000 bytes.
    script = f"""
import resource, sys, torch
from dataclasses import replace
from pathlib import Path
from robust_synthesis.training import CardInfo, RunPaths, RunError, read_data, train
sys.path.insert(0, {str(ROOT / "tests")!r})
from pictures_to_train_on import TINY
torch.set_num_threads(1)
data = read_data(Path({str(folder)!r}), TINY.input_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    paths = RunPaths(Path({str(paths.result)!r}), Path({str(paths.folder)!r}))
    recipe = TINY if {bool(contrastive)} else replace(TINY, contrastive=None)
    train(data, recipe, paths, CardInfo("Colours", "drawn by the tests", "MIT"), torch.device("cpu"))
except RunError as error:
    print("RunError:", error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    assert f"RunError: {words}" in result.stdout, result.stderr
    assert "Make room, and start it again" in result.stdout
    assert "could not be saved, and the training goes on" in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    # There is room again.
    run(data, paths, recipe)
    assert record(paths.result).evaluation is not None


def test_a_stronger_attack_leaves_less(data: TrainingData, finished: tuple[RunPaths, list[Progress]]) -> None:
    classifier = load_classifier(finished[0].result)
    attacks = [
        Attack("l2", epsilon, 10, 0.3, restarts)
        for epsilon, restarts in ((0.01, 1), (1.5, 1), (1.5, 4), (20.0, 1), (1.5, 4))
    ]
    *found, again = [accuracy(classifier, data.train, attack) for attack in attacks]
    assert found[0].clean == found[1].clean
    assert [each.robust for each in found] == sorted((each.robust for each in found), reverse=True)
    assert found[0].robust > found[-1].robust
    assert again == found[2]
