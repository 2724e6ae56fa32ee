"""The registry of networks, the contract that each fulfils, and the network of the bundled classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import models

from robust_synthesis.models import (
    ClassifierCard,
    RobustClassifier,
    load_classifier,
    open_classifier,
    optimize_for_inference,
    save_classifier,
)
from robust_synthesis.models import architectures as registry
from robust_synthesis.models.architectures import ArchitectureError, build_network
from robust_synthesis.models.architectures.narrow_resnet import Downsampling
from tests.checkpoint_layouts import ONE_OF_EACH_FAMILY, random_network

THIRD_PARTY = {entry.name: entry for entry in registry.architectures() if not entry.configurable}
CONVNEXT = """
from functools import partial

from torch import nn

from robust_synthesis.models.architectures import Architecture
from robust_synthesis.models.network import ClassifierNetwork


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width), ChannelNorm(width),
            nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1),
        )

    def forward(self, x):
        return x + self.layers(x)


class ConvNeXt(ClassifierNetwork):
    def __init__(self, width, num_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 4, 4), ChannelNorm(width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, num_classes)

    def forward_features(self, x, fake_relu=False):
        return self.blocks(self.stem(x))

    def forward_head(self, features, pre_logits=False):
        pooled = self.norm(features.mean((2, 3))).to(self.fc.weight.dtype)
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self):
        return self.fc


ARCHITECTURES = [
    Architecture(
        "convnext_tiny", partial(ConvNeXt, 8), input_size=256, mean=(0, 0, 0), std=(1, 1, 1),
        renames={r"^head\\.norm\\.": "norm.", r"^head\\.": ""},
    )
]
"""
"""The file of a new family: its head normalises after pooling, and it has no last activation."""


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_each_network_has_torchvisions_tensors_and_names_its_last_layer(name: str) -> None:
    with torch.device("meta"):
        network = THIRD_PARTY[name].build(1000)
        theirs = getattr(models, name)() if hasattr(models, name) else network
    assert network.get_submodule(THIRD_PARTY[name].classifier) is network.get_classifier()
    assert network.get_classifier().out_features == 1000
    ours, torchvisions = ({k: v.shape for k, v in n.state_dict().items()} for n in (network, theirs))
    assert ours == torchvisions
    others = ("cifar_", "seresnet", "resnest", "timm_", "wide_resnet50_4", "efficientnet_lite0")
    assert (network is theirs) == name.startswith(others)


@pytest.mark.parametrize("architecture", ONE_OF_EACH_FAMILY, ids=str)
def test_fake_relu_gives_inactive_features_a_gradient_and_the_same_values(architecture: Any) -> None:
    network = random_network(architecture, 4)
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps, fake = (network.feature_maps(network.forward_features(images, fake_relu)) for fake_relu in (False, True))
    assert torch.equal(maps, fake)
    pre_logits = network.forward_head(maps, pre_logits=True)
    torch.testing.assert_close(maps.mean((2, 3)), pre_logits)
    torch.testing.assert_close(network.get_classifier()(pre_logits), network(images))
    inactive = (maps.flatten(2).amax(2) == 0).flatten().nonzero().flatten()
    assert len(inactive), "all features are active"
    feature = int(inactive[0])
    (plain,) = torch.autograd.grad(maps[0, feature].sum(), images, retain_graph=True)
    (straight_through,) = torch.autograd.grad(fake[0, feature].sum(), images)
    assert plain.abs().max() == 0
    assert straight_through.abs().max() > 0


def test_one_new_file_adds_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "throwaway_convnext.py").write_text(CONVNEXT)
    monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(tmp_path)])

    network = build_network({"name": "convnext_tiny"}, 3)
    card = ClassifierCard("ConvNeXt", {"name": "convnext_tiny"}, ("a", "b", "c"), 64, (0, 0, 0), (1, 1, 1))
    classifier = RobustClassifier(network, card)
    images = torch.rand(2, 3, 64, 96, requires_grad=True)
    logits, features, maps = classifier(images), classifier.features(images), classifier.feature_maps(images)
    assert (logits.shape, features.shape, maps.shape) == ((2, 3), (2, 8), (2, 8, 16, 24))
    assert classifier.feature_count == 8
    torch.testing.assert_close(features @ classifier.feature_effects.T + network.get_classifier().bias, logits)
    assert torch.equal(classifier(images, fake_relu=True), logits)
    assert torch.autograd.grad(logits.sum(), images)[0].abs().max() > 0
    assert classifier.activation_bytes(64, 96) > 0

    save_classifier(classifier, tmp_path / "saved.safetensors")
    loaded = load_classifier(tmp_path / "saved.safetensors")
    torch.testing.assert_close(loaded(images), logits, rtol=0.02, atol=0.02)
    torch.testing.assert_close(optimize_for_inference(loaded, torch.bfloat16)(images), logits, rtol=0.05, atol=0.05)

    # timm's tensor names, which the entry's renames translate.
    state = {f"head.{k}" if k.startswith(("norm", "fc")) else k: v for k, v in network.state_dict().items()}
    torch.save(state, tmp_path / "theirs.pt")
    (tmp_path / "labels.txt").write_text("x\ny\nz")
    theirs = open_classifier(tmp_path / "theirs.pt").classifier
    assert theirs.card.architecture == {"name": "convnext_tiny"}
    assert (theirs.input_size, theirs.card.mean, theirs.card.std) == (256, (0, 0, 0), (1, 1, 1))
    torch.testing.assert_close(theirs(images), logits, rtol=0.02, atol=0.02)


KINDS = get_args(Downsampling)


def narrow(downsampling: str, stem_stride: int = 2) -> dict[str, Any]:
    return {
        "name": "narrow_resnet",
        "widths": [4, 6, 8],
        "blocks": [1, 1, 2],
        "stem_stride": stem_stride,
        "activation": "silu",
        "downsampling": downsampling,
    }


@given(
    downsampling=st.sampled_from(KINDS),
    stem_stride=st.sampled_from([1, 2]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_an_image_of_any_size_has_logits(downsampling: str, stem_stride: int, height: int, width: int) -> None:
    network = build_network(narrow(downsampling, stem_stride), 3).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 3)


@pytest.mark.parametrize(("downsampling", "even"), [("strided", False), ("even", True)])
def test_only_even_windows_cover_every_pixel_equally_often(downsampling: str, even: bool) -> None:
    first = build_network(narrow(downsampling), 3).get_submodule("conv1")
    torch.nn.init.ones_(first.weight)  # type: ignore[arg-type]
    image = torch.zeros(1, 3, 12, 12, requires_grad=True)
    first(image).sum().backward()
    assert image.grad is not None
    inside = image.grad[..., 2:-2, 2:-2]
    assert bool((inside == inside[0, 0, 0, 0]).all()) == even


@pytest.mark.parametrize(("downsampling", "blocks"), [("even", True), ("overlapping", False)])
def test_only_overlapping_pooling_leaves_no_blocks_in_the_gradient(downsampling: str, blocks: bool) -> None:
    pool = build_network(narrow(downsampling), 3).get_submodule("layer2.0.pool")
    image = torch.zeros(1, 1, 12, 12, requires_grad=True)
    (pool(image) * torch.rand(1, 1, 6, 6)).sum().backward()
    assert image.grad is not None
    two_by_two = torch.nn.functional.pixel_unshuffle(image.grad, 2)
    assert bool((two_by_two == two_by_two[:, :1]).all()) == blocks


def test_an_unknown_downsampling_is_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"unknown downsampling 'dilated' \(known: strided, even, over"):
        build_network(narrow("dilated"), 3)
