"""Checkpoints that others have trained: read, recognised and converted once, or refused with a clear message."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import dill
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from robust_synthesis.models import CheckpointError, load_classifier, open_classifier
from robust_synthesis.models.catalog import HubFile, catalog_files
from tests.checkpoint_layouts import MEAN, STD, random_network, robustness_state, write_robustness_checkpoint

# wide_resnet50_4 and vgg16_bn would be files of more than a gigabyte.
CATALOGUE = sorted(
    {file.architecture for file in catalog_files().values() if isinstance(file, HubFile) and file.labels}
    - {"wide_resnet50_4", "vgg16_bn"}
)
SMALL = "shufflenet_v2_x1_0"


def logits(network: nn.Module, images: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    with torch.no_grad():
        result: Tensor = network((images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    return result


def refusal(path: Path) -> str:
    before = sorted(path.parent.iterdir())
    with pytest.raises(CheckpointError) as raised:
        open_classifier(path)
    assert path.name in str(raised.value)
    assert sorted(path.parent.iterdir()) == before, "a refused file left something behind"
    return str(raised.value)


@pytest.mark.parametrize("architecture", CATALOGUE)
def test_each_network_of_the_catalogue_is_recognised_and_computes_the_same(tmp_path: Path, architecture: str) -> None:
    # The name gives no hint.
    path = tmp_path / "something.ckpt"
    network = write_robustness_checkpoint(path, architecture, 7, wrapped=architecture in ("densenet161", SMALL))
    opened = open_classifier(path)
    classifier = opened.classifier
    assert classifier.card.architecture == {"name": architecture}
    assert classifier.input_size == 224
    assert classifier.card.mean == pytest.approx(MEAN, abs=1e-4)
    images = torch.rand(2, 3, 64, 96)
    expected = logits(network, images)
    torch.testing.assert_close(classifier(images), expected, rtol=0.03, atol=0.03 * float(expected.std()) + 0.01)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("old", [False, True])
def test_cifars_networks_are_recognised(tmp_path: Path, depth: int, old: bool) -> None:
    path = tmp_path / "cifar.pt"
    network = write_robustness_checkpoint(path, f"cifar_resnet{depth}", 10, old=old, legacy=old)
    classifier = open_classifier(path).classifier
    assert classifier.input_size == 32
    assert classifier.labels[0] == "airplane"
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(classifier(images), logits(network, images), rtol=0.03, atol=0.03)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_pickled_with_dill_is_read(tmp_path: Path, legacy: bool) -> None:
    # dill stores functions by their code, which is passed over.
    more = {"args": SimpleNamespace(lr=0.1, step=lambda epoch: epoch // 30), "store": None}
    path = tmp_path / "imagenet_l2_10_0.pt"
    network = write_robustness_checkpoint(path, SMALL, 7, legacy=legacy, pickle_module=dill, more=more)
    assert b"dill" in path.read_bytes()
    classifier = open_classifier(path).classifier
    assert classifier.card.mean == pytest.approx(MEAN, abs=1e-4)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(classifier(images), logits(network, images), rtol=0.03, atol=0.03)


def test_what_the_catalogue_says_of_the_colours_is_not_assumed(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pt"
    torch.save(random_network(SMALL, 2).state_dict(), path)
    opened = open_classifier(path, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    assert (opened.classifier.card.mean, opened.classifier.card.std) == ((0, 0, 0), (1, 1, 1))
    assert not any("assumed" in note for note in opened.notes)
    assert load_classifier(opened.source).card == opened.classifier.card


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_is_converted_once(tmp_path: Path, old: bool, legacy: bool) -> None:
    path, converted = tmp_path / "mine.ckpt", tmp_path / "mine.safetensors"
    write_robustness_checkpoint(path, SMALL, 1000, old=old, legacy=legacy)
    about = {"title": "Mine", "training": {"epsilon": 3}, "licence": "MIT"}
    opened = open_classifier(path, about)
    assert opened.source == converted
    assert f"a {SMALL} with 1000 classes, ImageNet" in opened.notes[0]
    assert "may be deleted" in opened.notes[1]
    assert converted.stat().st_size <= path.stat().st_size / 2
    assert opened.classifier.labels[340] == "zebra"
    assert opened.classifier.card.title == "Mine"
    assert opened.classifier.card.training["epsilon"] == 3

    written = converted.stat().st_mtime_ns
    again = open_classifier(path)
    assert (again.source, again.notes) == (converted, ())
    assert converted.stat().st_mtime_ns == written
    path.unlink()
    assert open_classifier(path).source == converted
    assert open_classifier(converted).classifier.card == again.classifier.card
    assert load_classifier(converted).labels[340] == "zebra"


def test_another_file_of_the_same_name_is_converted_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    write_robustness_checkpoint(path, SMALL, 3)
    open_classifier(path)
    write_robustness_checkpoint(path, SMALL, 5)
    opened = open_classifier(path)
    assert len(opened.classifier.labels) == 5
    # A file that is no conversion of this one is not overwritten.
    other = tmp_path / "other.pt"
    write_robustness_checkpoint(other, SMALL, 4)
    (tmp_path / "other.safetensors").write_bytes((tmp_path / "mine.safetensors").read_bytes())
    kept = open_classifier(other)
    assert len(kept.classifier.labels) == 4
    assert kept.source == tmp_path / "other.pt.safetensors"
    assert len(load_classifier(tmp_path / "other.safetensors").labels) == 5
    # Nor is a second one.
    kept.source.write_bytes((tmp_path / "mine.safetensors").read_bytes())
    unconverted = open_classifier(other)
    assert unconverted.source == other
    assert "another file" in unconverted.notes[1]


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_plain_state_dict_is_read(tmp_path: Path, prefix: str, suffix: str) -> None:
    network = random_network(SMALL, 6)
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    # What is not the network's is dropped.
    state |= {"ema.decay": torch.tensor(0.5), f"{prefix}other.weight": torch.ones(3)}
    path = tmp_path / f"plain{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    opened = open_classifier(path)
    assert opened.classifier.card.mean == (0.485, 0.456, 0.406)
    images = torch.rand(1, 3, 64, 64)
    expected = logits(network, images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(opened.classifier(images), expected, rtol=0.05, atol=0.05)
    assert path.is_file()
    assert opened.source != path


def test_a_users_class_names_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "trees.pt"
    write_robustness_checkpoint(path, SMALL, 2)
    assert open_classifier(path).classifier.labels == ("class 0", "class 1")
    (tmp_path / "labels.txt").write_text("oak, Quercus\nfir")
    assert open_classifier(path).classifier.labels == ("oak", "fir")
    (tmp_path / "trees.txt").write_text("only one")
    with pytest.raises(CheckpointError, match=r"trees\.txt has 1 class name, and"):
        open_classifier(path)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    network = random_network("resnet18", 5)
    path, state = tmp_path / "broken.pt", dict(robustness_state(network))
    del state["module.model.layer3.1.conv2.weight"]
    torch.save({"model": state}, path)
    assert "The nearest is resnet18, but it lacks layer3.1.conv2.weight" in refusal(path)
    state["module.model.layer3.1.conv2.weight"] = torch.zeros(256, 256, 1, 1)
    torch.save({"model": state}, path)
    assert "layer3.1.conv2.weight is [256, 256, 1, 1] instead of [256, 256, 3, 3]" in refusal(path)
    # An expanded tensor of one number, larger than any memory.
    state["module.model.layer3.1.conv2.weight"] = torch.zeros(1).expand(10**6, 10**6, 10**5)
    torch.save({"model": state}, path)
    assert "instead of [256, 256, 3, 3]" in refusal(path)
    state["module.model.layer3.1.conv2.weight"] = torch.full((256, 256, 3, 3), torch.nan)
    torch.save({"model": state}, path)
    assert "layer3.1.conv2.weight holds something else than finite numbers" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 3}, "no weights of a network in it; it holds epoch"),
        ({"model": {"weight": torch.ones(3)}}, "no last layer of a classifier"),
        ({"lora.weight": torch.ones(8, 4)}, "of no network that this pack knows"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    assert words in refusal(path)


def test_a_web_page_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.ckpt"
    path.write_bytes(b"\n<!DOCTYPE html><html>Sign in</html>")
    assert "is a web page, not a checkpoint" in refusal(path)
    path.write_bytes(b"")
    assert "not a whole checkpoint" in refusal(path)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * 50_000_000)
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    assert path.stat().st_size < 100_000
    assert "grows when unpacked" in refusal(path)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """A whole checkpoint, in the zip format and in the older one."""
    path = tmp_path_factory.mktemp("good") / "good.pt"
    written = {}
    for legacy in (False, True):
        torch.save(robustness_state(random_network(SMALL, 2)), path, _use_new_zipfile_serialization=not legacy)
        written[legacy] = path.read_bytes()
    return written


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
@example(share=0.0001)
@example(share=0.5)
@example(share=0.999)
def test_a_truncated_checkpoint_is_refused(good: dict[bool, bytes], tmp_path: Path, legacy: bool, share: float) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(good[legacy][: int(share * len(good[legacy]))])
    refusal(path)


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), byte=st.integers(0, 255), near_end=st.booleans())
def test_a_damaged_checkpoint_is_read_or_refused(
    good: dict[bool, bytes], tmp_path: Path, legacy: bool, place: float, byte: int, near_end: bool
) -> None:
    content = bytearray(good[legacy])
    offset = int(place * min(len(content) - 1, 60_000))
    index = len(content) - 1 - offset if near_end else offset
    content[index] = byte
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    (tmp_path / "damaged.safetensors").unlink(missing_ok=True)
    try:
        classifier = open_classifier(path).classifier
    except CheckpointError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        assert len(classifier.labels) == 2


def test_a_conversion_that_cannot_be_written_leaves_nothing_and_the_classifier_works(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX's")
    path = tmp_path / "mine.pt"
    write_robustness_checkpoint(path, SMALL, 2)
    script = f"""
import resource
from pathlib import Path
from robust_synthesis.models import open_classifier
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
opened = open_classifier(Path({str(path)!r}))
print(opened.source.name, len(opened.classifier.labels), opened.notes[1])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("mine.pt 2 It could not be converted"), result.stderr
    assert sorted(tmp_path.iterdir()) == [path]
