"""The mean and std that a checkpoint holds are read from it, and where it has none, the node says what was assumed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robust_synthesis.models import open_classifier
from robust_synthesis.models.architectures._entry import IMAGENET_MEAN, IMAGENET_STD
from robust_synthesis.models.third_party import read_third_party
from tests.checkpoint_layouts import MEAN, STD, Normalised, random_network

SMALL = "shufflenet_v2_x1_0"
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def assert_same(path: Path, wrapper: nn.Module, scale: float = 1) -> str:
    """Check that a file's classifier has the statistics, and computes what the wrapper does. Returns the sentences."""
    classifier, sentences = read_third_party(path)
    assert classifier.card.mean == pytest.approx(MEAN, abs=1e-6)
    assert classifier.card.std == pytest.approx(STD, abs=1e-6)
    with torch.no_grad():
        expected = wrapper.eval()(IMAGES * scale)
    torch.testing.assert_close(classifier(IMAGES), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    return sentences


@pytest.mark.parametrize(
    ("mean", "std", "inner", "shape"),
    [
        ("normalize.mean", "normalize.std", "model", (1, 3, 1, 1)),
        ("normalizer.new_mean", "normalizer.new_std", "model", (3, 1, 1)),
        ("normalizer.mean", "normalizer.std", "net", (3,)),
        ("mu", "sigma", "model", (3, 1, 1)),
        ("mu", "std", "backbone", (3, 1, 1)),
        ("mean", "std", "base_model", (1, 3, 1, 1)),
        ("_mean", "_std", "_model", (3,)),
        ("mean_", "std_", "network", (3,)),
        ("means", "stds", "classifier_net", (3,)),
        ("MEAN", "STD", "model", (3,)),
        ("pixel_mean", "pixel_std", "backbone", (3, 1, 1)),
        ("preprocess.image_mean", "preprocess.image_std", "encoder", (3,)),
        ("norm.mean", "norm.sigma", "module", (3,)),
        ("mean_layer.mean", "mean_layer.stddev", "model", (3,)),
        ("normalize_mean.value", "normalize_std.value", "model", (3,)),
    ],
)
def test_each_pair_beside_a_network_is_read(
    tmp_path: Path, mean: str, std: str, inner: str, shape: tuple[int, ...]
) -> None:
    wrapper = Normalised(random_network(SMALL, 5), mean, std, inner, shape)
    path = tmp_path / "wrapped.pt"
    torch.save(wrapper.state_dict(), path)
    assert f"(from {mean} and {std})" in assert_same(path, wrapper)
    # The same one level down, in a DataParallel, and averaged.
    prefixed = {f"module.module.{name}": tensor for name, tensor in wrapper.state_dict().items()}
    torch.save({"epoch": 3, "ema_state_dict": prefixed | {"n_averaged": torch.tensor(4)}}, path)
    assert f"from ema_state_dict.module.module.{mean}" in assert_same(path, wrapper)


class Normalize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = (x - self.mean) / self.std  # type: ignore[operator]
        return result


def test_a_sequential_is_read(tmp_path: Path) -> None:
    wrapper = nn.Sequential(Normalize(), random_network(SMALL, 5))
    path = tmp_path / "sequential.pth"
    torch.save(wrapper.state_dict(), path)
    assert "from 0.mean and 0.std" in assert_same(path, wrapper)


def test_statistics_for_bytes_are_brought_to_the_range_of_images(tmp_path: Path) -> None:
    wrapper = Normalised(random_network(SMALL, 5), "pixel_mean", "pixel_std", scale=255)
    path = tmp_path / "bytes.pth"
    torch.save(wrapper.state_dict(), path)
    assert "pixels from 0 to 255" in assert_same(path, wrapper, 255)


@pytest.mark.parametrize("affine", [False, True])
def test_a_batch_norm_of_the_image_is_a_normalisation(tmp_path: Path, affine: bool) -> None:
    norm = nn.BatchNorm2d(3, affine=affine)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    std = torch.tensor(STD)
    if affine:
        norm.weight.data, norm.bias.data = torch.tensor([0.5, 2.0, 1.5]), torch.tensor([0.1, -0.2, 0.3])
        norm.running_var.copy_((std * norm.weight).square() - norm.eps)
        norm.running_mean.copy_(torch.tensor(MEAN) + norm.bias.detach() * std)
    else:
        norm.running_var.copy_(std.square() - norm.eps)
        norm.running_mean.copy_(torch.tensor(MEAN))
    wrapper = nn.Sequential(norm, random_network(SMALL, 5))
    path = tmp_path / "norm.pth"
    torch.save(wrapper.state_dict(), path)
    assert_same(path, wrapper)


@pytest.mark.parametrize(
    "beside",
    [
        {"mean": list(MEAN), "std": list(STD)},
        {"normalize": {"mean": MEAN, "std": STD}},
        {"config": {"data": {"mean": list(MEAN), "std": list(STD), "size": [3, 32, 32]}}},
        {"args": argparse.Namespace(mean=list(MEAN), std=list(STD), lr=0.1)},
        {"mu": torch.tensor(MEAN), "sigma": torch.tensor(STD)},
    ],
)
def test_statistics_beside_the_state_dict_are_read(tmp_path: Path, beside: dict[str, Any]) -> None:
    wrapper = Normalised(random_network(SMALL, 5))
    path = tmp_path / "beside.pth"
    torch.save({"state_dict": wrapper.get_submodule("model").state_dict(), **beside}, path)
    assert_same(path, wrapper)


def test_the_pair_of_the_weights_that_are_taken_is_read(tmp_path: Path) -> None:
    wrapper, other = Normalised(random_network(SMALL, 5, seed=1)), Normalised(random_network(SMALL, 5, seed=2))
    other.get_buffer("normalize.mean").zero_()
    path = tmp_path / "two.pth"
    torch.save({"state_dict": other.state_dict(), "state_dict_ema": wrapper.state_dict()}, path)
    assert "those under state_dict_ema.model; those under state_dict.model were not taken" in assert_same(path, wrapper)


@pytest.mark.parametrize(
    ("beside", "hint"),
    [
        ({}, "no mean and std for its colours. What"),
        ({"normalize.offset": torch.ones(3)}, "(it has normalize.offset, in no form that is known)"),
        ({"normalize.mean": torch.zeros(3), "normalize.std": torch.zeros(3)}, "normalize.mean, normalize.std, in no"),
        ({"normalize.mean": torch.full((3,), torch.nan), "normalize.std": torch.ones(3)}, "in no form"),
        ({"normalize.mean": torch.ones(3)}, "normalize.mean"),
        ({"target.mean": torch.ones(5), "target.std": torch.ones(5)}, "no mean and std for its colours. What"),
    ],
)
def test_what_was_assumed_is_said_each_time(tmp_path: Path, beside: dict[str, Tensor], hint: str) -> None:
    path = tmp_path / "plain.pth"
    torch.save({**random_network(SMALL, 5).state_dict(), **beside}, path)
    first, second = open_classifier(path), open_classifier(path)
    assert second.source == tmp_path / "plain.safetensors"
    for opened in (first, second):
        assert (opened.classifier.card.mean, opened.classifier.card.std) == (IMAGENET_MEAN, IMAGENET_STD)
        notes = " ".join(opened.notes)
        assert hint in notes
        assert "was assumed: mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225" in notes
        assert "may be deleted" not in notes


def test_a_file_that_an_older_version_converted_is_converted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.pth"
    torch.save(Normalised(random_network(SMALL, 5)).state_dict(), path)
    with monkeypatch.context() as patch:
        patch.setattr("robust_synthesis.models.conversion.READER_VERSION", 1)
        open_classifier(path)
    assert "Converted" in open_classifier(path).notes[-1]
    assert open_classifier(path).notes == ()
