"""Networks of timm's names and of robust training code: recognised by their tensors, equal to timm or a reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer
from timm.models.xcit import Xcit
from torch import Tensor, nn

from robust_synthesis.models import (
    CheckpointError,
    RobustClassifier,
    checkpointing,
    load_classifier,
    open_classifier,
    optimize_for_inference,
    save_classifier,
)
from robust_synthesis.models.architectures import ArchitectureError, architectures, build_network
from robust_synthesis.models.recognition import recognise
from robust_synthesis.models.state_dict import weights
from robust_synthesis.models.third_party import read_third_party
from tests.checkpoint_layouts import random_network, vary

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CLASSES = 6
State = Mapping[str, Tensor]
SMALL: dict[str, dict[str, Any]] = {
    "convnext": {"widths": [16, 24, 32, 40], "depths": [1, 1, 2, 1]},
    "convnext_convstem": {"widths": [16, 24, 32, 40], "depths": [1, 1, 2, 1], "stem": [8, 12, 16]},
    "cifar_wide_resnet": {"stem": 8, "widths": [16, 32, 64], "depth": 2},
    "deepmind_wide_resnet": {"stem": 8, "widths": [16, 32, 64], "depth": 2},
    "vit": {"width": 128, "depth": 2, "heads": 2, "patch_size": 16, "image_size": 64},
    "xcit": {"width": 64, "depth": 2, "heads": 4, "strides": 4},
    "swin": {"width": 16, "depths": [2, 2, 2, 2], "heads": [1, 2, 2, 4], "image_size": 64, "halving_ends": False},
}


def vit(**sizes: Any) -> nn.Module:
    return VisionTransformer(num_classes=CLASSES, **{"embed_dim": 128, "depth": 2, "num_heads": 2, **sizes})


def xcit(width: int, patch_size: int) -> nn.Module:
    return Xcit(
        img_size=64, patch_size=patch_size, num_classes=CLASSES, embed_dim=width, depth=2, num_heads=4,
        tokens_norm=width != 128,
    )  # fmt: skip


THEIRS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, Any], int]] = {
    "convnext": (lambda: ConvNeXt(num_classes=CLASSES, depths=(1, 1, 2, 1), dims=(16, 24, 32, 40)), IMAGENET, 64),
    "vit": (lambda: vit(img_size=64), IMAGENET, 64),
    "vit of small patches": (lambda: vit(img_size=32, patch_size=8), IMAGENET, 32),
    "vit as wide as H/14": (
        partial(vit, img_size=28, patch_size=14, embed_dim=1280, depth=1, num_heads=16),
        IMAGENET,
        28,
    ),
    "xcit": (lambda: xcit(64, 16), PLAIN, 64),
    "xcit of small patches": (lambda: xcit(96, 8), PLAIN, 64),
    "xcit nano": (lambda: xcit(128, 16), PLAIN, 64),
    **{
        name: (partial(timm.create_model, name, num_classes=CLASSES), IMAGENET, 70)
        for name in ("efficientnet_b0", "efficientnet_lite0", "seresnet50", "resnest50d")
    },
    "timm_vgg11": (lambda: timm.create_model("vgg11", num_classes=CLASSES), IMAGENET, 256),
    "timm_vgg11_bn at small sizes": (lambda: timm.create_model("vgg11_bn", num_classes=CLASSES), IMAGENET, 70),
}
"""A network of timm; the mean and std that are assumed of it; the size of the images."""
FULL = {
    "xcit_tiny_24_p8_224": "xcit",
    "convnext_tiny": "convnext",
    "convnext_base": "convnext",
    "convnext_large": "convnext",
    "vit_base_patch16_224": "vit",
    "vit_base_patch32_224": "vit",
    "vit_huge_patch14_224": "vit",
    "deit_small_patch16_224": "vit",
    "xcit_small_12_p16_224": "xcit",
    "efficientnet_b3": "efficientnet_b3",
    "resnest50d": "resnest50d",
    "seresnet101": "seresnet101",
    "vgg16": "timm_vgg16",
}


def assert_equal(ours: RobustClassifier, theirs: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Check that logits, and the gradients of images in [0, 1], are equal."""
    results = []
    for network in (ours, theirs):
        leaf = images.clone().requires_grad_()
        logits = network(leaf)
        weights = torch.linspace(-1, 1, logits.shape[1])
        (gradient,) = torch.autograd.grad((logits * weights).sum(), leaf)
        results.append((logits.detach() / logits.detach().abs().max(), gradient / gradient.abs().max()))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def behind(statistics: tuple[Any, Any], network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in statistics)
    return lambda images: network((images - mean) / std)


@pytest.mark.parametrize("case", THEIRS)
def test_a_file_of_timm_computes_as_in_timm(tmp_path: Path, case: str) -> None:
    torch.manual_seed(0)
    build, statistics, size = THEIRS[case]
    theirs = vary(build().eval())
    path = tmp_path / "any.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    ours, sentence = read_third_party(path)
    assert f"a {case.split(' ')[0]} with {CLASSES} classes" in sentence
    assert (ours.card.mean, ours.card.std) == statistics
    assert_equal(ours, behind(statistics, theirs), torch.rand(2, 3, size, size))


def test_a_vit_at_another_size_computes_as_in_timm(tmp_path: Path) -> None:
    theirs = vary(
        VisionTransformer(64, embed_dim=64, depth=1, num_heads=1, num_classes=3, dynamic_img_size=True).eval()
    )
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    ours, _ = read_third_party(tmp_path / "vit.pth")
    assert ours.input_size == 64
    assert_equal(ours, behind(IMAGENET, theirs), torch.rand(1, 3, 96, 48))


@pytest.mark.parametrize("name", ["convnext", "vit", "swin"])
def test_recomputed_activations_give_the_same_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network({"name": name, **SMALL[name]}, CLASSES).requires_grad_(False)
    images = torch.rand(2, 3, 64, 64, requires_grad=True)

    def gradient() -> tuple[Tensor, int]:
        saved: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = network(images).square().sum()
        return torch.autograd.grad(loss, images)[0], sum(saved)

    results = []
    for limit in (2**40, 0):
        monkeypatch.setattr(checkpointing, "KEPT_BYTES", limit)
        results.append(gradient())
    (kept, many), (recomputed, few) = results
    torch.testing.assert_close(recomputed, kept, rtol=1e-5, atol=1e-6)
    assert few < many / 2


@pytest.mark.parametrize("name", FULL)
def test_full_sizes_are_recognised(name: str) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=1000)
    recognised = recognise(Path(f"{name}.pth"), weights(theirs))
    assert (recognised.architecture["name"], recognised.classes) == (FULL[name], 1000)
    if name.startswith(("xcit", "vit", "deit")):
        assert recognised.architecture["heads"] == theirs.get_submodule("blocks.0.attn").num_heads
    assert recognised.architecture.get("image_size", 224) == 224


def norm(state: State, name: str, x: Tensor) -> Tensor:
    """A batch norm, or a layer norm over channels where there are no running statistics."""
    if f"{name}.running_mean" in state:
        mean, var = state[f"{name}.running_mean"][:, None, None], state[f"{name}.running_var"][:, None, None]
        x = (x - mean) / (var + 1e-5).sqrt()
    else:
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
    return x * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def reference_wide_resnet(state: State, x: Tensor) -> Tensor:
    """Robust training code's Wide ResNet, read off its tensors' names."""
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for stage, index in itertools.product((1, 2, 3), range(2)):
        place, stride = f"block{stage}.layer.{index}", 2 if stage > 1 and index == 0 else 1
        y = F.relu(norm(state, f"{place}.bn1", x))
        if f"{place}.convShortcut.weight" in state:
            x = F.conv2d(y, state[f"{place}.convShortcut.weight"], stride=stride)
        y = F.conv2d(y, state[f"{place}.conv1.weight"], stride=stride, padding=1)
        x = x + F.conv2d(F.relu(norm(state, f"{place}.bn2", y)), state[f"{place}.conv2.weight"], padding=1)
    x = F.relu(norm(state, "bn1", x)).mean((2, 3))
    return x @ state["fc.weight"].T + state["fc.bias"]


def reference_deepmind(state: State, x: Tensor) -> Tensor:
    """DeepMind's: SiLU, and padding below and to the right alone where the size halves."""
    x = F.conv2d(x, state["init_conv.weight"], padding=1)
    for stage, index in itertools.product(range(3), range(2)):
        place, halves = f"layer.{stage}.block.{index}", stage > 0 and index == 0
        y = F.silu(norm(state, f"{place}.batchnorm_0", x))
        if f"{place}.shortcut.weight" in state:
            x = F.conv2d(y, state[f"{place}.shortcut.weight"], stride=2 if halves else 1)
        y = F.pad(y, (0, 1, 0, 1) if halves else (1, 1, 1, 1))
        y = F.conv2d(y, state[f"{place}.conv_0.weight"], stride=2 if halves else 1)
        x = x + F.conv2d(F.silu(norm(state, f"{place}.batchnorm_1", y)), state[f"{place}.conv_1.weight"], padding=1)
    x = F.silu(norm(state, "batchnorm", x)).mean((2, 3))
    return x @ state["logits.weight"].T + state["logits.bias"]


def reference_convnext(state: State, x: Tensor) -> Tensor:
    """Singh's: 3x3 convolutions, two of stride 2, in place of the patches."""
    for index in range(3):
        x = F.conv2d(
            x, state[f"stem.stem.{3 * index}.weight"], state[f"stem.stem.{3 * index}.bias"], 2 if index < 2 else 1, 1
        )
        x = F.gelu(norm(state, f"stem.stem.{3 * index + 1}", x))
    for stage in range(4):
        if stage:
            x = norm(state, f"stages.{stage}.downsample.0", x)
            x = F.conv2d(x, state[f"stages.{stage}.downsample.1.weight"], state[f"stages.{stage}.downsample.1.bias"], 2)
        for index in range(2 if stage == 2 else 1):
            place = f"stages.{stage}.blocks.{index}"
            y = F.conv2d(
                x, state[f"{place}.conv_dw.weight"], state[f"{place}.conv_dw.bias"], padding=3, groups=x.shape[1]
            )
            y = norm(state, f"{place}.norm", y).movedim(1, -1)
            y = F.gelu(F.linear(y, state[f"{place}.mlp.fc1.weight"], state[f"{place}.mlp.fc1.bias"]))
            y = F.linear(y, state[f"{place}.mlp.fc2.weight"], state[f"{place}.mlp.fc2.bias"])
            x = x + (y * state[f"{place}.gamma"]).movedim(-1, 1)
    x = norm(state, "head.norm", x.mean((2, 3), keepdim=True))[:, :, 0, 0]
    return x @ state["head.fc.weight"].T + state["head.fc.bias"]


def deepmind_names(state: State) -> dict[str, Tensor]:
    names = {
        "fc.": "logits.", ".bn1.": ".batchnorm_0.", ".bn2.": ".batchnorm_1.",
        ".conv1.": ".conv_0.", ".conv2.": ".conv_1.", ".convShortcut.": ".shortcut.", ".layer.": ".block.",
        "block1.": "layer.0.", "block2.": "layer.1.", "block3.": "layer.2.",
    }  # fmt: skip
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        head = {"conv1": "init_conv", "bn1": "batchnorm"}
        first, _, rest = name.partition(".")
        renamed[f"{head.get(first, first)}.{rest}"] = tensor
    return renamed


REFERENCES: dict[str, tuple[Callable[[State, Tensor], Tensor], tuple[Any, Any], int]] = {
    "convnext_convstem": (reference_convnext, PLAIN, 64),
    "cifar_wide_resnet": (
        reference_wide_resnet,
        ((0.4914, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159)),
        32,
    ),
    "deepmind_wide_resnet": (reference_deepmind, ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)), 32),
}


def file_state(name: str, classes: int = CLASSES) -> dict[str, Tensor]:
    """The tensors of a small network, by the names of the public files."""
    state = random_network({"name": name, **SMALL[name]}, classes).state_dict()
    return deepmind_names(state) if name == "deepmind_wide_resnet" else dict(state)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("prefix", ["", "module.", "module.0."])
def test_a_layout_without_a_library_computes_as_its_description(tmp_path: Path, name: str, prefix: str) -> None:
    reference, statistics, size = REFERENCES[name]
    state = file_state(name)
    torch.save({f"{prefix}{key}": tensor for key, tensor in state.items()}, tmp_path / "any.pt")
    ours, sentence = read_third_party(tmp_path / "any.pt")
    assert f"a {name} with {CLASSES} classes" in sentence
    assert (ours.card.mean, ours.card.std) == statistics
    images = torch.rand(2, 3, size, size)
    assert_equal(ours, behind(statistics, lambda x: reference(state, x)), images)


WRAPPERS: dict[str, Callable[[State, State], dict[str, Any]]] = {
    "bare": lambda ema, _: dict(ema),
    "base_model": lambda ema, _: {f"base_model.{name}": tensor for name, tensor in ema.items()},
    "module": lambda ema, _: {f"module.{name}": tensor for name, tensor in ema.items()},
    "averaged": lambda ema, _: {
        "module.n_averaged": torch.tensor(7),
        **{f"module.module.{name}": tensor for name, tensor in ema.items()},
    },
    "training state": lambda ema, other: {
        "model_state_dict": {f"module.{name}": tensor for name, tensor in other.items()},
        "ema_state_dict": {"n_averaged": torch.tensor(7)} | {f"module.module.{n}": t for n, t in ema.items()},
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 3e-4}]},
        "step": 4000,
    },
}


# Those of a ResNet-50 are read by the same code.
@pytest.mark.parametrize(
    ("name", "wrapper"),
    [*itertools.product(["convnext_convstem", "cifar_wide_resnet"], WRAPPERS), ("resnet18", "bare")],
)
def test_dats_files_are_read_in_all_their_wrappers_the_averaged_weights_first(
    tmp_path: Path, name: str, wrapper: str
) -> None:
    architecture = {"name": name, **SMALL.get(name, {})}
    ema, other = (random_network(architecture, 10, seed).state_dict() for seed in (1, 2))
    torch.save(WRAPPERS[wrapper](ema, other), tmp_path / "model_bestfid.pth")
    classifier, _ = read_third_party(tmp_path / "model_bestfid.pth")
    assert dict(classifier.card.architecture) == architecture
    assert torch.equal(classifier.network.get_classifier().weight, ema[CLASSIFIERS[name]])
    assert (classifier.card.mean == PLAIN[0]) == (name == "convnext_convstem")


CLASSIFIERS = {"convnext_convstem": "head.fc.weight", "cifar_wide_resnet": "fc.weight", "resnet18": "fc.weight"}


@pytest.mark.parametrize(("wide", "depth", "count"), [(10, 4, 36_479_194), (10, 5, 46_160_474), (16, 11, 266_796_506)])
def test_the_wide_resnets_have_the_published_numbers_of_weights(wide: int, depth: int, count: int) -> None:
    widths = [16 * wide, 32 * wide, 64 * wide]
    with torch.device("meta"):
        network = build_network({"name": "cifar_wide_resnet", "stem": 16, "widths": widths, "depth": depth}, 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_cifar_100_has_names_and_deepminds_statistics_for_it(tmp_path: Path) -> None:
    torch.save(file_state("deepmind_wide_resnet", 100), tmp_path / "wide.pt")
    classifier, _ = read_third_party(tmp_path / "wide.pt")
    assert classifier.labels[0] == "apple"
    assert classifier.labels[99] == "worm"
    assert classifier.card.mean == (0.5071, 0.4865, 0.4409)


@pytest.mark.parametrize("name", SMALL)
def test_the_contract_holds(tmp_path: Path, name: str) -> None:
    entry = next(entry for entry in architectures() if entry.name == name)
    network = random_network({"name": name, **SMALL[name]}, CLASSES)
    torch.save(network.state_dict() if name != "deepmind_wide_resnet" else file_state(name), tmp_path / "any.pt")
    classifier = open_classifier(tmp_path / "any.pt").classifier
    assert classifier.network.get_submodule(entry.classifier) is classifier.network.get_classifier()
    # No side is a multiple of a patch.
    images = torch.rand(2, 3, 100, 70, requires_grad=True)
    logits, features, maps = classifier(images), classifier.features(images), classifier.feature_maps(images)
    bias = classifier.network.get_classifier().bias
    torch.testing.assert_close(features @ classifier.feature_effects.T + bias, logits)
    assert maps.shape[:2] == features.shape
    assert min(maps.shape[2:]) > 1
    torch.testing.assert_close(classifier(images, fake_relu=True), logits)
    # Every pixel has a gradient.
    (gradient,) = torch.autograd.grad(logits.square().sum(), images)
    assert bool((gradient.abs().amax((0, 1)) > 0).all())
    assert classifier.activation_bytes(100, 70) > 0
    alone = torch.cat([classifier(image[None]) for image in images])
    torch.testing.assert_close(alone, logits, rtol=1e-3, atol=1e-4)

    save_classifier(classifier, tmp_path / "saved.safetensors")
    loaded = load_classifier(tmp_path / "saved.safetensors")
    assert loaded.card.architecture == {"name": name, **SMALL[name]}
    spread = float(logits.detach().std())
    torch.testing.assert_close(loaded(images), logits, rtol=0.02, atol=0.02 * spread)
    folded = optimize_for_inference(loaded)(images)
    torch.testing.assert_close(folded, logits, rtol=0.02, atol=0.02 * spread)
    half = optimize_for_inference(load_classifier(tmp_path / "saved.safetensors"), torch.bfloat16)(images)
    torch.testing.assert_close(half, logits, rtol=0.1, atol=0.15 * spread)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("convnext", {"depths": [1, 1]}),
        ("convnext_convstem", {"stem": [8, 12]}),
        ("cifar_wide_resnet", {"widths": [16, 16, 64]}),
        ("cifar_wide_resnet", {"depth": True}),
        ("vit", {"heads": 3}),
        ("vit", {"image_size": 65}),
        ("xcit", {"strides": 0}),
        ("xcit", {"width": 10**9}),
    ],
)
def test_an_impossible_description_is_refused(name: str, change: Mapping[str, Any]) -> None:
    with pytest.raises(ArchitectureError):
        build_network({"name": name, **SMALL[name], **change}, 2)


def test_a_relative_that_computes_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relative.pth"
    state = dict(vit(img_size=64).state_dict())
    for name in ("norm_pre.weight", "reg_token", "blocks.0.ls1.gamma"):
        torch.save({**state, name: torch.ones(128)}, path)
        with pytest.raises(CheckpointError, match="of no network that this pack knows"):
            read_third_party(path)
    convnext = dict(random_network({"name": "convnext", **SMALL["convnext"]}, 4).state_dict())
    del convnext["stages.2.blocks.1.gamma"]
    torch.save(convnext, path)
    with pytest.raises(CheckpointError, match=r"The nearest is convnext, but it lacks stages\.2\.blocks\.1\.gamma"):
        read_third_party(path)
