"""The comparison of networks that were trained for the same time, and the public network in it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from benchmarks.quality import judge as judge_module
from benchmarks.training import networks
from benchmarks.training.public_network import ARCHITECTURE, Teacher, load_public_weights
from robust_synthesis.models import load_classifier
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.network import ClassifierNetwork
from robust_synthesis.training.data import read_split
from tests.pictures_to_train_on import make_folder
from tools import public_start

EGYPTIAN_CAT = 285


@pytest.fixture(scope="module")
def cat() -> Tensor:
    """A photograph, `[1, 3, 300, 300]` in [0, 1]."""
    photograph = np.ascontiguousarray(skimage.data.chelsea()[:, 75:375])  # type: ignore[no-untyped-call]
    return torch.from_numpy(photograph).permute(2, 0, 1)[None].float() / 255


def public() -> ClassifierNetwork:
    network = build_network(ARCHITECTURE, 1000)
    load_public_weights(network)
    return network.eval()


def test_the_public_network_has_its_weights_where_they_belong(cat: Tensor) -> None:
    network = public()
    seen = nn.functional.interpolate(cat, (224, 224), mode="bicubic", antialias=True)
    with torch.no_grad():
        assert network((seen - judge_module.MEAN) / judge_module.STD).argmax() == EGYPTIAN_CAT


def test_the_file_to_fine_tune_is_smooth_and_has_larger_maps(
    cat: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lite0.safetensors"
    monkeypatch.setattr(sys, "argv", ["public_start", str(file)])
    public_start.main()
    network = load_classifier(file).network
    assert network.forward_features(cat[..., :96, :96]).shape[2:] == (6, 6)
    kinds = {type(module) for module in network.modules()}
    assert nn.SiLU in kinds
    assert nn.ReLU6 not in kinds
    halving = {name for name, module in network.named_modules() if getattr(module, "stride", 1) == (2, 2)}
    assert len(halving) == 4
    for name, tensor in public().state_dict().items():
        own = network.state_dict()[name]
        if name.removesuffix(".weight") not in halving:
            torch.testing.assert_close(own, tensor, rtol=1e-3, atol=1e-6)
            continue
        # Seen by as much of a window, wherever it lies: there is no grid in the gradient.
        parts = [own[:, :, row::2, column::2].sum((2, 3)) for row in (0, 1) for column in (0, 1)]
        for part in parts:
            torch.testing.assert_close(part, tensor.sum((2, 3)) / 4, rtol=1e-2, atol=1e-2 * float(tensor.std()))


def test_a_teacher_tells_what_it_was_fitted_to(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "green", "blue", each=12)
    pictures, labels = read_split(tmp_path, "train", 96)
    teacher = Teacher(pictures, labels)
    told = teacher.probabilities(pictures.images.float() / 255)
    assert told.shape == (36, 3)
    torch.testing.assert_close(told.sum(1), torch.ones(36))
    assert (told.argmax(1) == pictures.classes).all()


def test_contenders_train_measure_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge_module, "BUILD", tmp_path / "build")
    monkeypatch.setattr(networks, "BUILD", tmp_path / "build")
    # Their time does not matter here.
    monkeypatch.setattr(networks, "SETTLING_STEPS", 0)
    monkeypatch.setattr(networks, "TIMED_STEPS", 1)
    data = tmp_path / "colours"
    for split, first in (("train", 0), ("test", 12)):
        make_folder(data / split, "red", "green", each=12, first=first)
    sheet = tmp_path / "sheet.png"
    command = ["networks", str(data), "--minutes", "0.001", "--pictures", "1", "--sheet", str(sheet)]
    monkeypatch.setattr(sys, "argv", [*command, "--only", "taught"])
    networks.main()
    printed = capsys.readouterr().out
    assert sheet.exists()
    kept = {path: path.read_bytes() for path in (tmp_path / "build" / "networks").iterdir()}
    assert len(kept) == 2
    networks.main()
    assert capsys.readouterr().out == printed
    assert {path: path.read_bytes() for path in kept} == kept
    rows = [line for line in printed.splitlines() if line.startswith("| taught")]
    # Both stages, in both tables.
    assert len(rows) == 4
