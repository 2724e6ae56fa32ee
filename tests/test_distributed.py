"""Training in several processes: the same classifier as in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_synthesis.models import load_classifier
from robust_synthesis.training import CardInfo, RunPaths, read_data, train, trainer
from robust_synthesis.training.saved_state import read_state
from tests.pictures_to_train_on import UNEVEN, make_folder
from tools.paths import ROOT

FIGURES = ("loss", "training_robust", "clean", "robust", "distance", "auc")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_two_processes_train_the_classifier_that_one_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when one of them is stopped, then one is killed, and one process does the rest."""
    folder = make_folder(tmp_path / "data", "red", "green")
    places = (tmp_path / "one", tmp_path / "two")
    one, two = (RunPaths(place / "colours.safetensors", place / "colours-training") for place in places)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(ROOT / "tests" / "train_in_processes.py"), "--data", str(folder), "--epochs", "4", "--device", "cpu"]
    command = [*torchrun, *script, "--out", str(two.result.with_suffix(""))]
    runs = []
    for fate in ("stopped", "killed"):
        options: dict[str, Any] = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 600}
        runs.append(subprocess.run(command, env={**os.environ, "FATE": fate}, check=False, **options))
    stopped, killed = runs
    assert killed.returncode
    assert stopped.returncode
    assert stopped.stderr.count("Stopped. The same command resumes.") == 1
    assert "Resumes stage 1 after step 5" in killed.stderr
    assert killed.stdout.count("2 classes") == 1
    state = read_state(two.state)
    assert state is not None
    assert state.stage == 2
    data = read_data(folder, UNEVEN.input_size)
    # As in the processes: sums in another order round by thousandths in bfloat16.
    monkeypatch.setattr(trainer, "fast_precision", lambda _: torch.float32)
    for paths in (one, two):
        train(data, UNEVEN, paths, CardInfo("Colours", "drawn"), torch.device("cpu"), epochs=4)
    histories = [json.loads((paths.folder / "log.json").read_text("utf-8"))["history"] for paths in (one, two)]
    for alone, together in zip(*histories, strict=True):
        figures = [[entry[name] or 0.0 for name in FIGURES] for entry in (together, alone)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-3)
    first, second = (load_classifier(paths.result) for paths in (one, two))
    torch.testing.assert_close(second.network.state_dict(), first.network.state_dict(), rtol=1e-3, atol=1e-4)
