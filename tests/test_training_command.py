"""The command line of training: killed and resumed, and what it says of bad input."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robust_synthesis.models import load_classifier
from robust_synthesis.training import RECIPES
from robust_synthesis.training.__main__ import _command, _parse, _recipe, main
from robust_synthesis.training.saved_state import read_state
from tests.pictures_to_train_on import make_folder, same_weights
from tools.paths import ROOT


@pytest.fixture
def comfyui_folder(tmp_path: Path) -> Path:
    """A folder in which the pack lies where ComfyUI's Manager and `git clone` put it."""
    nodes = tmp_path / "ComfyUI" / "custom_nodes"
    nodes.mkdir(parents=True)
    (nodes / "robust-synthesis").symlink_to(ROOT, target_is_directory=True)
    return nodes.parent


def command(folder: Path, out: Path, *more: str) -> list[str]:
    program = [sys.executable, "-m", "custom_nodes.robust-synthesis.training", "--data", str(folder), "--out", str(out)]
    return [*program, "--epochs", "2", "--no-stage-two", *more]


def steps_saved(out: Path) -> int:
    state = read_state(out.with_name(f".{out.name}.resume"))
    return state.step if state else 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_the_command_resumes_after_it_was_killed(tmp_path: Path, comfyui_folder: Path) -> None:
    folder, out = make_folder(tmp_path / "data", "red", "green", "blue", each=16), tmp_path / "made" / "colours"
    process = subprocess.Popen(command(folder, out), cwd=comfyui_folder, stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 300
    while steps_saved(out) == 0 and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    options: dict[str, Any] = {"cwd": comfyui_folder, "text": True, "check": True, "timeout": 300}
    done = subprocess.run(command(folder, out), capture_output=True, **options)
    assert "Epoch 2 of 2" in done.stdout
    assert "Stage two" not in done.stdout
    made, whole = out.with_suffix(".safetensors"), out.with_name("whole")
    assert load_classifier(made).labels == ("blue", "green", "red")
    subprocess.run(command(folder, whole), stdout=subprocess.DEVNULL, **options)
    assert same_weights(made, whole.with_suffix(".safetensors"))
    card = out.with_suffix(".md").read_text("utf-8")
    assert "| Data | 'data'; 42 training pictures |" in card
    assert (
        "| Command | `python -m robust_synthesis.training --data data --recipe quick --epochs 2 --no-stage-two` |"
        in card
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "has one class only"),
        (("--epsilon", "-1"), "Epsilon is -1"),
        (("--cutmix-prob", "50"), "--cutmix-prob 50.0: it must be from 0 to 1"),
        (("--cut-mix", "50"), "--cutmix-prob 50.0: it must be from 0 to 1"),
        (("--batch-size", "1"), "--batch-size 1: it must be 2 or more"),
        (("--learning-rate", "nan"), "--learning-rate nan: it must be above 0"),
        (("--preconditioned-epsilon", "-1"), "--preconditioned-epsilon -1.0: it must be 0 or more"),
        (("--stage-two-steps", "9"), "--stage-two-steps and --no-stage-two contradict each other"),
        (("--stage-two", "--stage-two-steps", "0"), "--stage-two-steps 0: it must be 1 or more"),
        (("--stage-two", "--epochs", "0", "--fine-tune", "canvas"), "--epochs 0: it must be 1 or more, or 0 with"),
        (("--fine-tune", "nothing"), "There is no classifier file at nothing"),
        (("--out", "."), "'.' is no name for a classifier"),
        (("--out", "data/x"), "would be among the pictures: write another place behind --out"),
    ],
)
def test_the_command_names_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: str,
) -> None:
    folder = make_folder(tmp_path / "data", "red")
    monkeypatch.chdir(tmp_path)
    # In this process: a new one takes seconds to import torch.
    monkeypatch.setattr(sys, "argv", command(folder, tmp_path / "x", *options)[2:])
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        code: object = main()
    except SystemExit as end:
        code = end.code
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert code
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ([], 0),
        (["--stage-two-steps", "9"], 9),
        (["--fine-tune", "canvas", "--epochs", "0", "--stage-two-steps", "9"], 9),
        (["--no-stage-two"], None),
    ],
)
def test_the_command_of_the_card_has_the_stage_two_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, options: list[str], steps: int | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["training", "--data", "colours.zip", *options])
    arguments = _parse()
    contrastive = _recipe(arguments).contrastive
    assert (contrastive.steps if contrastive else None) == steps
    assert _command(arguments).split()[5:] == ["--recipe", "quick", *options]
    # How many steps are a quarter of the work, the recipe says.
    plan = RECIPES["quick"].plan(13_000).contrastive
    assert plan
    work = 13_000 // 128 * 128 * 31 * 3
    assert plan.steps * plan.passes == pytest.approx(work / 4, rel=0.01)
