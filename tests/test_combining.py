"""Two classifiers of the same classes as one, in the library and in a real ComfyUI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from robust_synthesis.bulk.making import load
from robust_synthesis.models import (
    CheckpointError,
    ClassifierCard,
    RobustClassifier,
    bundled_classifiers,
    combine,
    load_classifier,
    save_classifier,
)
from robust_synthesis.models.combining import CombineError
from robust_synthesis.models.format import files_of, read_card, save_combination
from robust_synthesis.training.fine_tuning import fine_tuning
from robust_synthesis.training.recipes import RECIPES
from tests.checkpoint_layouts import random_network

LABELS = ("sea", "mountain, hill", "street")
CONVNEXT = {"name": "convnext", "widths": [16, 24, 32, 40], "depths": [1, 1, 2, 1]}


def classifier(
    architecture: str | Mapping[str, Any], labels: tuple[str, ...] = LABELS, **changes: Any
) -> RobustClassifier:
    described = {"name": architecture} if isinstance(architecture, str) else architecture
    network = random_network(described, len(labels))
    card = ClassifierCard(described["name"], described, labels, 32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    return RobustClassifier(network, replace(card, **changes))


def pictures(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@given(height=st.integers(33, 90), width=st.integers(33, 90), weight=st.floats(0, 1))
def test_logits_are_the_weighted_mean(height: int, width: int, weight: float) -> None:
    first = classifier("cifar_resnet18")
    second = classifier("mobilenet_v2", mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.7))
    both = combine(first, second, weight)
    images = pictures(height, width)
    wanted = (1 - weight) * first(images) + weight * second(images)
    torch.testing.assert_close(both(images), wanted, rtol=1e-3, atol=1e-3)
    assert both.feature_count == first.feature_count + second.feature_count
    features = torch.cat([first.features(images), second.features(images)], 1)
    torch.testing.assert_close(both.features(images), features, rtol=1e-3, atol=1e-3)


def test_classes_match_by_name_and_the_first_has_the_names_and_seeds(canvas: RobustClassifier) -> None:
    order = list(range(len(canvas.labels)))[::-1]
    network = load_classifier(bundled_classifiers()["canvas"]).network
    with torch.no_grad():
        last = network.get_classifier()
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())
    turned = RobustClassifier(network, replace(canvas.card, labels=tuple(reversed(canvas.card.labels))))
    both = combine(canvas, turned)
    assert both.labels == canvas.labels
    assert both.seeds is canvas.seeds
    images = pictures(96, 96)
    torch.testing.assert_close(both(images), canvas(images), rtol=1e-3, atol=1e-3)


def test_classes_that_share_their_first_name_keep_their_order() -> None:
    labels = ("crane, bird", "sea", "crane, machine")
    first = classifier("cifar_resnet18", labels)
    second = classifier("mobilenet_v2", labels)
    images = pictures(40, 50)
    wanted = (first(images) + second(images)) / 2
    torch.testing.assert_close(combine(first, second)(images), wanted, rtol=1e-3, atol=1e-3)
    turned = classifier("mobilenet_v2", ("crane, machine", "sea", "crane, bird"))
    wanted = (first(images) + turned(images)[:, [2, 1, 0]]) / 2
    torch.testing.assert_close(combine(first, turned)(images), wanted, rtol=1e-3, atol=1e-3)
    with pytest.raises(CombineError, match="more than one is called 'crane'"):
        combine(first, classifier("mobilenet_v2", ("crane, heron", "crane, machine", "sea")))


def test_what_is_in_half_precision_combines_in_full() -> None:
    first, second = classifier("cifar_resnet18", licence="MIT"), classifier("mobilenet_v2", licence="MIT")
    images = pictures(40, 50)
    wanted = combine(first, second)
    second.network.to(torch.bfloat16)
    both = combine(first, second)
    assert both.card.licence == "MIT"
    assert {parameter.dtype for parameter in both.parameters()} == {torch.float32}
    torch.testing.assert_close(both(images), wanted(images), rtol=0.1, atol=0.1)


def test_what_was_combined_is_a_classifier_in_one_file(tmp_path: Path) -> None:
    first, second = classifier("cifar_resnet18"), classifier("mobilenet_v2", licence="MIT")
    both = combine(first, second, 0.3)
    save_classifier(both, tmp_path / "both.safetensors")
    again = load_classifier(tmp_path / "both.safetensors")
    images = pictures(40, 50)
    torch.testing.assert_close(again(images), both(images), rtol=1e-2, atol=1e-2)
    assert again.card.licence == "cifar_resnet18: not stated; mobilenet_v2: MIT"
    before = second(images)
    with torch.no_grad():
        for parameter in both.network.parameters():
            parameter.zero_()
    assert torch.equal(second(images), before), "what was combined shares tensors"


@pytest.mark.parametrize(
    ("second", "weight", "words"),
    [
        (lambda: classifier("mobilenet_v2", ("sea", "hill", "street")), 0.5, "know different classes"),
        (lambda: classifier("mobilenet_v2", input_size=64), 0.5, "sees 32 x 32 pixels and 'mobilenet_v2' 64 x 64"),
        (lambda: classifier("densenet121"), 1.5, "The weight is 1.5"),
        (lambda: classifier(CONVNEXT), 0.5, "'convnext' cannot be combined"),
        (lambda: combine(classifier("mobilenet_v2"), classifier("cifar_resnet18")), 0.5, "is an ensemble itself"),
    ],
)
def test_what_cannot_be_combined_is_said(second: Callable[[], RobustClassifier], weight: float, words: str) -> None:
    with pytest.raises(CombineError, match=words):
        combine(classifier("cifar_resnet18"), second(), weight)


@pytest.fixture
def of_two(tmp_path: Path) -> Path:
    first, second = classifier("cifar_resnet18"), classifier("mobilenet_v2")
    files = (tmp_path / "first.safetensors", tmp_path / "second.safetensors")
    for owner, file in zip((first, second), files, strict=True):
        save_classifier(owner, file)
    path = tmp_path / "both.safetensors"
    save_combination(replace(combine(first, second).card, title="Both"), files, path)
    return path


def test_a_file_of_two_members_is_what_they_are_together(of_two: Path) -> None:
    both = load_classifier(of_two)
    first, second = (load_classifier(of_two.with_name(f"{name}.safetensors")) for name in ("first", "second"))
    images = pictures(40, 50)
    assert torch.equal(both(images), combine(first, second)(images))
    assert both.card == read_card(of_two)
    assert both.card.title == "Both"
    assert of_two.stat().st_size < 4000
    assert [file.name for file in files_of(of_two)] == ["both.safetensors", "first.safetensors", "second.safetensors"]
    link = of_two.parent / "links" / "both.safetensors"
    link.parent.mkdir()
    link.symlink_to(of_two)
    assert torch.equal(load_classifier(link)(images), both(images))
    save_classifier(both, of_two.with_name("whole.safetensors"))
    for member in ("first", "second"):
        of_two.with_name(f"{member}.safetensors").unlink()
    whole = load_classifier(of_two.with_name("whole.safetensors"))
    torch.testing.assert_close(whole(images), both(images), rtol=1e-2, atol=1e-2)


def test_a_member_that_is_missing_or_another_is_named(of_two: Path) -> None:
    with safe_open(of_two, framework="pt") as file:
        header = json.loads(file.metadata()["robust_classifier"])
    second = of_two.with_name("second.safetensors")

    def refusal(**changes: Any) -> str:
        save_file({}, of_two, metadata={"robust_classifier": json.dumps(header | changes)})
        with pytest.raises(CheckpointError) as raised:
            load_classifier(of_two)
        return str(raised.value)

    def with_second(owner: RobustClassifier) -> str:
        save_classifier(owner, second)
        return refusal()

    assert "are ['first.safetensors'], not the names of two files" in refusal(members=["first.safetensors"])
    assert "its format is 2" in refusal(format=2)
    # A member is looked for in the file's own folder, whatever its name says.
    assert "put passwd beside it" in refusal(members=["first.safetensors", "/etc/passwd"])
    assert f"{of_two.name} combines two files itself" in refusal(members=["first.safetensors", of_two.name])
    others = "first.safetensors and second.safetensors beside it are not those it was made of"
    assert others in refusal(labels=["a", "b", "c"])
    assert "know different classes" in with_second(classifier("mobilenet_v2", ("sea", "hill", "street")))
    assert others in with_second(classifier("cifar_resnet18"))
    save_classifier(classifier("cifar_resnet18", mean=(0.1, 0.2, 0.3)), of_two.with_name("first.safetensors"))
    assert others in with_second(classifier("mobilenet_v2"))
    second.write_bytes(second.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 2'))
    assert "in second.safetensors, its format is 2" in refusal()
    second.unlink()
    assert "put second.safetensors beside it" in refusal()


def test_what_is_combined_is_not_fine_tuned_as_one(of_two: Path) -> None:
    with pytest.raises(ValueError, match=r"combines two classifiers\. Fine-tune one of them"):
        fine_tuning(RECIPES["quick"], str(of_two))


def test_a_combination_stays_with_its_members(of_two: Path) -> None:
    card = load_classifier(of_two).card
    with pytest.raises(ValueError, match="is not in the folder of what it combines"):
        save_combination(card, (of_two, of_two), of_two.parent / "other" / "both.safetensors")


def test_a_changed_member_is_noticed(of_two: Path, pack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda _: [str(of_two.parent)])

    def marks() -> tuple[object, str]:
        load.cache_clear()
        return pack.RobustLoadClassifier.fingerprint_inputs(of_two.name), load(str(of_two), "cpu").sha256

    before = marks()
    assert marks() == before
    save_classifier(classifier("mobilenet_v2", title="another"), of_two.with_name("second.safetensors"))
    version, digest = marks()
    assert version != before[0]
    assert digest != before[1]


def test_the_node_combines_and_what_is_saved_is_the_same(pack: ModuleType) -> None:
    canvas, bold = (pack.RobustLoadClassifier.execute(name).result[0] for name in ("canvas", "canvas-bold"))
    both = pack.RobustCombineClassifiers.execute(canvas, bold, 0.5).result[0]
    image = torch.rand(1, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    preset = {"preset": "generate"}

    def made(value: Any) -> Tensor:
        result: Tensor = pack.RobustTranslate.execute(value, image, "lion", preset=preset).result[0]
        return result

    assert (made(both) - made(canvas)).abs().mean() > 0.01
    shipped = pack.RobustLoadClassifier.execute("canvas-ensemble").result[0]
    torch.testing.assert_close(made(shipped), made(both), rtol=0, atol=0.02)
    pack.RobustSaveClassifier.execute(both, "both")
    saved = pack.RobustLoadClassifier.execute("both.safetensors").result[0]
    torch.testing.assert_close(made(saved), made(both), rtol=0, atol=0.02)
    assert saved.model.labels == canvas.model.labels
    assert torch.equal(saved.model.seeds.mean, canvas.model.seeds.mean)
