"""Adversarial training: the attack, the loop, and a run that is stopped, killed and finished."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.models.architectures import build_network
from robust_synthesis.training import (
    RECIPES,
    Attack,
    CardInfo,
    Progress,
    Recipe,
    RunError,
    RunExistsError,
    RunPaths,
    TrainingData,
    read_data,
    train,
)
from robust_synthesis.training.attack import pgd_attack
from robust_synthesis.training.card import write_card
from robust_synthesis.training.data import Pictures
from robust_synthesis.training.evaluation import accuracy
from robust_synthesis.training.saved_state import read_state
from robust_synthesis.training.trainer import Trainer
from tests.pictures_to_train_on import TINY, make_folder
from tools.paths import ROOT

CPU = torch.device("cpu")
ABOUT = CardInfo("Colours", "drawn by the tests", "MIT")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_data(make_folder(tmp_path_factory.mktemp("data"), "red", "green"), TINY.input_size)


@pytest.fixture
def place(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "colours.safetensors", tmp_path / "colours-training")


def run(
    data: TrainingData, place: RunPaths, recipe: Recipe = TINY, stop_after: int = 0, measuring: bool = False
) -> RobustClassifier:
    def report(progress: Progress) -> None:
        if progress.step == stop_after and progress.measuring == measuring:
            raise KeyboardInterrupt

    return train(data, recipe, place, ABOUT, CPU, report=report)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_classifier(path).network.state_dict()


@given(
    norm=st.sampled_from(("l2", "linf")),
    epsilon=st.floats(0.01, 5),
    steps=st.integers(1, 3),
    share=st.floats(0.1, 2),
    restarts=st.integers(1, 3),
)
def test_an_attack_stays_in_its_ball_and_is_a_picture(
    tiny: RobustClassifier, norm: Literal["l2", "linf"], epsilon: float, steps: int, share: float, restarts: int
) -> None:
    images = torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(steps))
    found = pgd_attack(tiny, images, torch.tensor([0, 1, 2, 0]), Attack(norm, epsilon, steps, share, restarts))
    change = (found - images).flatten(1)
    length = change.norm(dim=1) if norm == "l2" else change.abs().amax(1)
    assert length.max() <= epsilon * (1 + 1e-4) + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_class_and_all_its_share_are_attacked_alike(tiny: RobustClassifier) -> None:
    images, classes = torch.rand(4, 3, 24, 24), torch.tensor([0, 1, 2, 0])
    found = []
    for shown in (classes, F.one_hot(classes, len(tiny.labels)).float()):
        torch.manual_seed(0)
        found.append(pgd_attack(tiny, images, shown, Attack("l2", 0.5, 3, 0.5, restarts=2)))
    torch.testing.assert_close(*found)


def test_an_attack_deceives_where_chance_does_not(canvas: RobustClassifier) -> None:
    images = torch.rand(6, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    seen = canvas(images)
    classes = seen.argmax(1)
    before = F.cross_entropy(seen, classes)
    found = canvas(pgd_attack(canvas, images, classes, Attack("l2", 4.0, 5, 0.4)))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    moved = (images + 4.0 * noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)
    assert F.cross_entropy(found, classes) > before + 1
    assert F.cross_entropy(canvas(moved), classes) < before + 0.1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"norm": "free"}, "its norm is l2 or linf"),
        ({"epsilon": 0.0}, "must be a number above 0"),
        ({"epsilon": float("nan")}, "must be a number above 0"),
        ({"steps": 0}, "must be 1 or more"),
        ({"restarts": 0}, "must be 1 or more"),
        ({"rel_step_size": 0.0}, "must be above 0"),
    ],
)
def test_an_attack_that_is_none_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(TINY.attack, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_cooked(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.summary
    for count in (20, 300, 13_000, 1_000_000):
        network = build_network(recipe.network(count), 2)
        assert network(torch.zeros(1, 3, recipe.input_size, recipe.input_size)).shape == (1, 2)
        assert 1 <= recipe.epochs(count) <= recipe.most_epochs
        assert 1 <= recipe.batch(count) <= min(count, recipe.batch_size)
    assert recipe.batch(13_000) == recipe.batch_size


def test_few_pictures_begin_with_what_a_bundled_classifier_has_learned(data: TrainingData) -> None:
    recipe = replace(RECIPES["quick"], input_size=TINY.input_size)
    ours = Trainer(data.train, data.labels, recipe, 1, CPU).network.state_dict()
    canvas = load_classifier(bundled_classifiers()["canvas"]).network.state_dict()
    same = {name for name, tensor in canvas.items() if torch.equal(tensor, ours[name])}
    assert {"conv1.weight", "layer1.0.conv1.weight", "layer3.0.conv2.weight", "layer3.0.bn2.running_mean"} <= same
    assert not {"layer4.0.conv1.weight", "fc.weight"} & same
    assert recipe.begins_with(13_000) == ""


def test_only_many_pictures_are_cut_together() -> None:
    quick = RECIPES["quick"]
    assert quick.mixing(100) == 0 < quick.mixing(12_000)


def test_what_is_cut_together_is_learned(data: TrainingData) -> None:
    """Half of one class and half of another is neither, so that the loss stays higher, and it is still learned."""
    losses = []
    for share in (0.0, 1.0):
        recipe = replace(TINY, few_cut_mix=share)
        trainer = Trainer(data.train, data.labels, recipe, 20, torch.device("cpu"))
        losses.append([trainer.advance()[0] for _ in range(trainer.steps)])
    plain, mixed = (sum(loss[-10:]) / 10 for loss in losses)
    assert plain < mixed < sum(losses[1][:3]) / 3


def test_a_card_says_whose_terms_it_carries(data: TrainingData, place: RunPaths) -> None:
    classifier, card = run(data, place), place.result.with_suffix(".md")
    assert "canvas" not in card.read_text("utf-8")
    training = {**classifier.card.training, "began_with": "canvas"}
    classifier.card = replace(classifier.card, training=training)
    write_card(classifier, card)
    assert "its first stages began as those of `canvas`" in card.read_text("utf-8")
    assert "their pictures' terms, and those of `canvas`" in card.read_text("utf-8")


def test_a_longer_attack_and_a_larger_ball_leave_less(data: TrainingData, place: RunPaths) -> None:
    classifier = run(data, place)
    found = [
        accuracy(classifier, data.train, Attack("l2", epsilon, 10, 0.3, restarts))
        for epsilon, restarts in ((0.01, 1), (1.5, 1), (1.5, 4), (20.0, 1))
    ]
    assert found[0].clean == found[1].clean
    assert [each.robust for each in found] == sorted((each.robust for each in found), reverse=True)
    assert found[0].robust > found[-1].robust
    again = accuracy(classifier, data.train, Attack("l2", 1.5, 10, 0.3, 4))
    assert again == found[2]


def test_what_is_named_wrongly_is_not_robust(tiny: RobustClassifier) -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    said = tiny(images.float() / 255).argmax(1)
    found = accuracy(tiny, Pictures(images, (said + 1) % 3), Attack("l2", 0.1, 1, 1.0))
    assert (found.clean, found.robust) == (0, 0)


def test_a_run_learns_and_leaves_a_classifier_its_card_and_its_record(data: TrainingData, place: RunPaths) -> None:
    seen: list[Progress] = []
    classifier = train(data, TINY, place, ABOUT, CPU, report=seen.append)

    training = classifier.card.training
    assert training["clean_accuracy"] == 1
    assert training["robust_accuracy"] == 1
    assert list(training["robust_accuracies"]) == ["0.25", "0.5", "1"]
    loaded = load_classifier(place.result)
    assert loaded.card.training == training
    assert (loaded.card.title, loaded.card.licence, loaded.labels) == ("Colours", "MIT", ("green", "red"))
    assert loaded.seeds is not None
    assert loaded.seeds.classes == (0, 1)
    card = place.result.with_suffix(".md").read_text("utf-8")
    for words in ("# Colours", "green, red", "drawn by the tests", "MIT", "L2 epsilon 0.5", "100.0% at 0.5"):
        assert words in card
    log = json.loads((place.folder / "log.json").read_text("utf-8"))
    assert log["recipe"]["attack"]["epsilon"] == 0.5
    assert [entry["epoch"] for entry in log["history"]] == list(range(1, 11))
    assert log["history"][-1]["loss"] < log["history"][0]["loss"]
    assert (place.folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((place.folder / "samples").glob("epoch-*.png"))) == 10
    # 36 pictures make two steps of 16 an epoch.
    learning = [progress for progress in seen if not progress.measuring]
    assert [progress.step for progress in learning] == list(range(1, 21))
    painted = [progress.samples for progress in learning if progress.samples is not None]
    assert [samples.shape for samples in painted] == [(16, 3, 24, 24)] * 10
    assert learning[-1].seconds_left == 0
    assert "Epoch 1 of 10" in str(learning[0])
    assert "under a long attack" in str(seen[-1])


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_both_norms_learn(data: TrainingData, place: RunPaths, norm: Literal["l2", "linf"]) -> None:
    attack = Attack(norm, 0.5 if norm == "l2" else 4 / 255, 2, 0.7)
    classifier = run(data, place, replace(TINY, attack=attack))
    assert classifier.card.training["robust_accuracy"] == 1
    assert classifier.card.training["norm"] == norm


def test_the_same_recipe_makes_the_same_classifier_and_another_seed_another(data: TrainingData, tmp_path: Path) -> None:
    places = [RunPaths(tmp_path / f"{name}.safetensors", tmp_path / name) for name in "abc"]
    torch.manual_seed(1)
    run(data, places[0])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    run(data, places[1])
    assert torch.equal(torch.get_rng_state(), state)
    run(data, places[2], replace(TINY, seed=1))
    first, second, third = (weights(place.result) for place in places)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


@pytest.mark.parametrize(
    ("after", "measuring"), [(1, False), (7, False), (2, True), (12, True), (20, True), (20, False)]
)
def test_a_stopped_run_keeps_a_classifier_and_goes_on_to_the_same_end(
    data: TrainingData, place: RunPaths, tmp_path: Path, after: int, measuring: bool
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, place, stop_after=after, measuring=measuring)
    assert load_classifier(place.result).card.training["unfinished"]
    run(data, place)
    whole = RunPaths(tmp_path / "whole.safetensors", tmp_path / "whole")
    run(data, whole)
    one, other = weights(place.result), weights(whole.result)
    assert all(torch.equal(one[name], other[name]) for name in one)
    log, full = (json.loads((each.folder / "log.json").read_text("utf-8")) for each in (place, whole))
    for entry in (*log["history"], *full["history"]):
        del entry["seconds"]
    assert log == full
    assert "unfinished" not in load_classifier(place.result).card.training


def test_where_nothing_can_be_written_nothing_is_begun(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (
        RunPaths(tmp_path / "colours.safetensors", tmp_path / "file" / "training"),
        RunPaths(tmp_path / "file" / "colours.safetensors", tmp_path / "training"),
    ):
        with pytest.raises(RunError, match=r"cannot be written .* so nothing was begun"):
            run(data, place, stop_after=1)


def test_a_finished_run_is_not_done_again(data: TrainingData, place: RunPaths) -> None:
    run(data, place)
    before = place.result.stat().st_mtime_ns
    # It would be stopped at its first step.
    assert run(data, place, stop_after=1).card.training["clean_accuracy"] == 1
    assert place.result.stat().st_mtime_ns == before


def test_another_run_is_never_replaced(data: TrainingData, place: RunPaths) -> None:
    run(data, place)
    before = place.result.read_bytes()
    with pytest.raises(RunExistsError, match="is the name of a run with other pictures or settings"):
        run(data, place, replace(TINY, seed=1))
    assert place.result.read_bytes() == before
    place.state.unlink()
    with pytest.raises(RunExistsError, match="There is a classifier at"):
        run(data, place)
    assert place.result.read_bytes() == before


def test_a_damaged_state_is_said(data: TrainingData, place: RunPaths) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, place, stop_after=3)
    place.state.write_bytes(place.state.read_bytes()[:100])
    with pytest.raises(RunError, match=r"is damaged.*Delete it and colours.safetensors to begin anew"):
        run(data, place)


def test_a_step_that_is_cut_off_is_taken_again(
    data: TrainingData, place: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        run(data, place)
    run(data, place)
    whole = RunPaths(tmp_path / "whole.safetensors", tmp_path / "whole")
    run(data, whole)
    one, other = weights(place.result), weights(whole.result)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_that_diverges_says_so_and_keeps_what_was_good(data: TrainingData, place: RunPaths) -> None:
    with pytest.raises(RunError, match="has diverged"):
        run(data, place, replace(TINY, learning_rate=float("inf")))
    state = read_state(place.state)
    assert state is not None
    assert all(tensor.isfinite().all() for tensor in state.tensors.values())


def test_a_full_disk_costs_nothing_that_was_saved(data: TrainingData, place: RunPaths, tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX's")
    with pytest.raises(KeyboardInterrupt):
        run(data, place, stop_after=5)
    before = {path: path.read_bytes() for path in (place.result, place.state)}
    folder = make_folder(tmp_path / "data", "red", "green")
    # A real failure: the process may write files of up to 1000 bytes.
    script = f"""
import resource, sys, torch
from pathlib import Path
from robust_synthesis.training import CardInfo, RunPaths, RunError, read_data, train
sys.path.insert(0, {str(ROOT / "tests")!r})
from pictures_to_train_on import TINY
torch.set_num_threads(1)
data = read_data(Path({str(folder)!r}), TINY.input_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    place = RunPaths(Path({str(place.result)!r}), Path({str(place.folder)!r}))
    train(data, TINY, place, CardInfo("Colours", "drawn by the tests", "MIT"), torch.device("cpu"))
except RunError as error:
    print("said:", error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    assert "said: The training is done, but its classifier could not be written" in result.stdout, result.stderr
    assert "Make room, and start it again" in result.stdout
    assert "could not be saved, and the training goes on" in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    # There is room again.
    assert run(data, place).card.training["clean_accuracy"] == 1


def command(folder: Path, out: Path, *more: str) -> list[str]:
    program = [sys.executable, "-m", "robust_synthesis.training", "--data", str(folder), "--out", str(out)]
    return [*program, "--epochs", "2", *more]


def steps_saved(out: Path) -> int:
    state = read_state(out.with_name(f".{out.name}.resume"))
    return state.step if state else 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_the_command_goes_on_after_it_was_killed(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "data", "red", "green", "blue", each=60), tmp_path / "made" / "colours"
    process = subprocess.Popen(command(folder, out), cwd=ROOT, stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 300
    while steps_saved(out) == 0 and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(command(folder, out), cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert "Epoch 2 of 2" in done.stdout
    made = out.with_suffix(".safetensors")
    assert load_classifier(made).labels == ("blue", "green", "red")
    whole = out.with_name("whole")
    subprocess.run(command(folder, whole), cwd=ROOT, check=True, timeout=300, stdout=subprocess.DEVNULL)
    one, other = weights(made), weights(whole.with_suffix(".safetensors"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "| Data | 'data'; 162 training pictures |" in out.with_suffix(".md").read_text("utf-8")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", "red")
    result = subprocess.run(command(folder, tmp_path / "x"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "has one class only" in result.stderr
    assert "Traceback" not in result.stderr
    wrong = command(folder, tmp_path / "x", "--epsilon", "-1")
    result = subprocess.run(wrong, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Epsilon is -1" in result.stderr
    assert "Traceback" not in result.stderr
    wrong = command(folder, tmp_path / "x", "--cut-mix", "50")
    result = subprocess.run(wrong, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "--cut-mix 50.0: it must be from 0 to 1" in result.stderr
    assert not list(tmp_path.glob("x*"))
