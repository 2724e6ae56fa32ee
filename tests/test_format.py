"""The file format: a round trip keeps everything, and each fault is refused with a message that names it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from robust_synthesis.models import (
    CheckpointError,
    ClassSeeds,
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    save_classifier,
)

ENTRY = "robust_classifier"


@pytest.fixture
def saved(tiny_classifier: Callable[..., RobustClassifier], tmp_path: Path) -> Path:
    classifier = tiny_classifier()
    generator = torch.Generator().manual_seed(1)
    classifier.seeds = ClassSeeds(
        torch.rand(3, 3, 8, 8, generator=generator), torch.rand(3, 2, 3, 8, 8, generator=generator), 4, (0, 1, 2)
    )
    path = tmp_path / "tiny.safetensors"
    save_classifier(classifier, path)
    return path


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[ENTRY]), load_file(path)


def rewrite(path: Path, header: object, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, path, metadata={ENTRY: header if isinstance(header, str) else json.dumps(header)})


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        load_classifier(path)
    assert path.name in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", bundled_classifiers())
def test_bundled_classifiers_are_what_their_cards_say(name: str) -> None:
    path = bundled_classifiers()[name]
    classifier = load_classifier(path)

    assert classifier.input_size == 96
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    assert all(tensor.dtype == torch.float32 for tensor in classifier.parameters())
    assert classifier.seeds is not None
    assert classifier(torch.rand(2, 3, 37, 53)).shape == (2, len(classifier.labels))
    card = path.with_suffix(".md").read_text("utf-8")
    training = classifier.card.training
    figures = (training["clean_accuracy"], *training["robust_accuracies"].values())
    assert all(f"{figure:.1%}" in card for figure in figures)
    robust = training["robust_accuracy"]
    # Where the card has stage one's figures, stage two cost 3 points at most.
    of_stage_one = re.search(r"Robust accuracy.*\(stage one: [\d.]+%, ([\d.]+)%", card)
    before = float(of_stage_one[1]) / 100 if of_stage_one else robust
    assert 0.4 < before < robust + 0.03
    assert robust < training["clean_accuracy"] < 1


def test_a_classifier_survives_saving(saved: Path) -> None:
    first = load_classifier(saved)
    again = saved.with_name("again.safetensors")
    save_classifier(first, again)
    second = load_classifier(again)

    assert second.card == first.card
    assert first.seeds is not None
    assert second.seeds is not None
    assert torch.equal(second.seeds.mean, first.seeds.mean)
    assert torch.equal(second.seeds.factors, first.seeds.factors)
    assert second.seeds.grain == first.seeds.grain == 4
    assert second.seeds.classes == first.seeds.classes == (0, 1, 2)
    images = torch.rand(2, 3, 33, 40)
    assert torch.equal(first(images), second(images))
    assert {tensor.dtype for tensor in load_file(again).values()} == {torch.float16}
    assert sorted(saved.parent.iterdir()) == [again, saved]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_saved_classifier_may_be_read_by_whoever_may_read_new_files(saved: Path) -> None:
    other = saved.with_name("other.txt")
    other.touch()
    save_classifier(load_classifier(saved), saved)
    assert saved.stat().st_mode == other.stat().st_mode


def test_half_precision_on_disk_changes_little(
    tiny_classifier: Callable[..., RobustClassifier], tmp_path: Path
) -> None:
    classifier = tiny_classifier()
    path = tmp_path / "folder" / "that is new" / "tiny.safetensors"
    save_classifier(classifier, path)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(load_classifier(path)(images), classifier(images), rtol=0.02, atol=0.02)


def test_a_file_may_begin_with_the_byte_that_pickles_begin_with(saved: Path) -> None:
    header, tensors = parts(saved)
    # The first bytes are the header's length, a multiple of 8: one title in 32 leads to 0x80.
    for length in range(0, 257, 8):
        rewrite(saved, header | {"title": "x" * length}, tensors)
        if saved.read_bytes()[0] == 0x80:
            break
    else:
        pytest.fail("no title led to the byte")
    assert load_classifier(saved).card.title == "x" * length


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_called_truncated(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    assert "cut off" in refusal(saved)


def test_files_of_other_kinds_are_refused(saved: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "torch.safetensors")
    assert "pickle" in refusal(tmp_path / "torch.safetensors")

    Image.new("RGB", (8, 8)).save(tmp_path / "picture.safetensors", format="PNG")
    assert "not a whole safetensors file" in refusal(tmp_path / "picture.safetensors")

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert f"no '{ENTRY}' entry" in refusal(tmp_path / "other.safetensors")

    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        load_classifier(saved.with_name("nothing.safetensors"))


def test_each_fault_of_the_tensors_is_named(saved: Path) -> None:
    header, whole = parts(saved)

    rewrite(saved, header, {name: tensor for name, tensor in whole.items() if name != "layer2.0.conv1.weight"})
    assert "lacks layer2.0.conv1.weight" in refusal(saved)

    rewrite(saved, header, {**whole, "conv1.weight": torch.zeros(4, 3, 5, 5)})
    assert "conv1.weight is [4, 3, 5, 5] instead of [4, 3, 3, 3]" in refusal(saved)

    rewrite(saved, header, {**whole, "layer9.weight": torch.zeros(1)})
    assert "does not have: layer9.weight" in refusal(saved)

    for bad in (torch.nan, torch.inf):
        weight = whole["conv1.weight"].clone()
        weight[0, 0, 0, 0] = bad
        rewrite(saved, header, {**whole, "conv1.weight": weight})
        assert "conv1.weight holds something else than finite numbers" in refusal(saved)

    rewrite(saved, header, {**whole, "fc.bias": torch.full((3,), 1e300, dtype=torch.float64)})
    assert "fc.bias holds something else than finite numbers" in refusal(saved)

    rewrite(saved, header, {**whole, "seeds.mean": whole["seeds.mean"][:2].clone()})
    assert "class seeds do not fit 3 classes" in refusal(saved)

    rewrite(saved, header, {name: tensor for name, tensor in whole.items() if name != "seeds.factors"})
    assert "class seeds are not whole" in refusal(saved)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": 2}, "its format is 2, and this version of the pack reads format 1"),
        ({"architecture": {"name": "vision_transformer"}}, "unknown architecture 'vision_transformer'"),
        ({"architecture": None}, "no architecture"),
        ({"labels": ["a", "b"]}, "class seeds are for [0, 1, 2], not for some of its 2 classes"),
        ({"labels": ["a", "b"], "seeds": {"grain": 4}}, "class seeds do not fit 2 classes"),
        ({"labels": ["a", "b", "c", "d"]}, "its tensors do not fit its architecture: fc.bias is [3] instead of [4]"),
        ({"labels": []}, "no list of labels"),
        ({"labels": "abc"}, "no list of labels"),
        ({"labels": ["alone"]}, "two or more"),
        ({"input_size": 0}, "input_size is 0"),
        ({"input_size": "96"}, "input_size is '96'"),
        ({"mean": [0.5, 0.5]}, "mean is [0.5, 0.5]"),
        ({"std": [0.2, 0.0, 0.2]}, "std is not above zero"),
        ({"seeds": {"grain": 0}}, "class seeds are not whole"),
        ({"seeds": {"grain": 4, "classes": [0, 1]}}, "class seeds do not fit 2 classes"),
        ({"seeds": {"grain": 4, "classes": [0, 1, 3]}}, "class seeds are for [0, 1, 3], not for some of its 3 classes"),
        ({"seeds": {"grain": 4, "classes": [0, 1, -1]}}, "class seeds are for [0, 1, -1]"),
        ({"seeds": {"grain": 4, "classes": [0, 1, 1]}}, "class seeds are for [0, 1, 1]"),
        ({"seeds": {"grain": 4, "classes": "012"}}, "class seeds are for '012'"),
    ],
)
def test_each_fault_of_the_header_is_named(saved: Path, changes: dict[str, Any], fault: str) -> None:
    header, tensors = parts(saved)
    rewrite(saved, header | changes, tensors)
    assert fault in refusal(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000])
def test_a_header_that_is_not_an_object_is_refused(saved: Path, text: str) -> None:
    _, tensors = parts(saved)
    rewrite(saved, text, tensors)
    assert ENTRY in refusal(saved)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
places = st.sampled_from(
    [
        *[(key,) for key in ("format", "architecture", "labels", "input_size", "mean", "std", "training", "seeds")],
        *[("architecture", key) for key in ("name", "widths", "blocks", "stem_stride", "activation")],
        ("mean", 0),
        ("std", 2),
        ("labels", 1),
        ("architecture", "widths", 0),
        ("architecture", "blocks", 1),
        ("seeds", "grain"),
        ("seeds", "classes"),
        ("seeds", "classes", 1),
    ]
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=places, value=json_values)
def test_any_header_loads_or_raises_checkpoint_error(saved: Path, place: tuple[Any, ...], value: object) -> None:
    header, tensors = parts(saved)
    inner: Any = header
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    changed = saved.with_name("changed.safetensors")
    rewrite(changed, header, tensors)

    try:
        classifier = load_classifier(changed)
    except CheckpointError as error:
        assert changed.name in str(error)  # noqa: PT017
    else:
        assert classifier(torch.full((1, 3, 32, 32), 0.5)).isfinite().all()


def test_a_failed_save_leaves_no_file_and_keeps_the_old_one_and_no_torchvision_is_imported(
    saved: Path, tmp_path: Path
) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX's")
    before = saved.read_bytes()
    new = tmp_path / "new.safetensors"
    # A real failure half-way: the process can write files of up to 1000 bytes only.
    script = f"""
import resource, sys
from pathlib import Path
from robust_synthesis.models import load_classifier, save_classifier
classifier = load_classifier(Path({str(saved)!r}))
print("torchvision" in sys.modules)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for path in ({str(saved)!r}, {str(new)!r}):
    try:
        save_classifier(classifier, Path(path))
    except Exception as error:
        print("failed:", type(error).__name__)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert result.stdout.count("failed:") == 2, result.stderr
    # Its import takes a second, and this architecture needs none of it.
    assert result.stdout.startswith("False")
    assert sorted(tmp_path.iterdir()) == [saved]
    assert saved.read_bytes() == before
