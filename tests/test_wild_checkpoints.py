"""Checkpoints as training code writes them: their names, their layouts, and files that are none."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robust_synthesis.models import CheckpointError, open_classifier
from robust_synthesis.models.catalog import find, user_classifiers
from robust_synthesis.models.third_party import read_third_party
from tests.checkpoint_layouts import random_network, write_robustness_checkpoint

SMALL = "shufflenet_v2_x1_0"
State = dict[str, Tensor]


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        open_classifier(path)
    assert str(raised.value).startswith(path.name)
    return str(raised.value)


def assert_read(path: Path, network: nn.Module) -> str:
    """Check that a file's weights are the network's. Returns the sentences."""
    classifier, sentences = read_third_party(path)
    expected = network.state_dict()
    for name, tensor in classifier.network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, expected[name]), name
    return sentences


def test_the_names_that_training_code_gives_are_listed_and_each_is_converted_to_its_own_file(tmp_path: Path) -> None:
    names = [
        "checkpoint.pt",
        "checkpoint.pt.best",
        "checkpoint.pt.latest",
        "checkpoint.ckpt",
        "checkpoint.pth.tar",
        "model_best.pth.tar",
        "model_best.tar",
        "pytorch_model.bin",
    ]
    for classes, name in enumerate(names, 2):
        write_robustness_checkpoint(tmp_path / name, SMALL, classes)
    assert set(user_classifiers([tmp_path])) == set(names)
    sources = set()
    for classes, name in enumerate(names, 2):
        opened = open_classifier(tmp_path / name)
        assert len(opened.classifier.labels) == classes
        sources.add(opened.source)
    assert len(sources) == len(names)
    assert tmp_path / "checkpoint.pt.best.safetensors" in sources
    assert tmp_path / "checkpoint.safetensors" in sources
    for classes, name in enumerate(names, 2):
        # Converted once, also where another file has the shorter name; and found when the original is gone.
        assert open_classifier(tmp_path / name).notes == ()
        (tmp_path / name).unlink()
        path = find(name, [tmp_path]).path
        assert path is not None
        assert len(open_classifier(path).classifier.labels) == classes


PREFIXES = [
    "_orig_mod.",
    "net.",
    "backbone.",
    "encoder.",
    "1.",
    "module.module.",
    "base_model.",
    "a.b.c.",
    "fc.",
    "seq.1.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", ["", "net", "model_state_dict", "ema_state_dict", "last", "state.model"])
def test_weights_are_found_under_any_prefix_and_key(tmp_path: Path, prefix: str, key: str) -> None:
    network = random_network(SMALL, 6)
    content: Any = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    content |= {"n_averaged": torch.tensor(7)}
    for part in reversed(key.split(".") if key else []):
        content = {"epoch": 3, part: content, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}}
    path = tmp_path / "any.pth"
    torch.save(content, path)
    assert f"a {SMALL} with 6 classes" in assert_read(path, network)


def test_names_that_torch_compile_inserts_are_passed_over(tmp_path: Path) -> None:
    network = random_network("resnet18", 6)
    path = tmp_path / "compiled.pth"
    state = {name.replace("layer1.", "layer1._orig_mod."): tensor for name, tensor in network.state_dict().items()}
    torch.save(state, path)
    assert_read(path, network)


def test_a_swa_model_and_a_list_are_read(tmp_path: Path) -> None:
    network = random_network(SMALL, 6)
    path = tmp_path / "swa.pth"
    torch.save(torch.optim.swa_utils.AveragedModel(network).state_dict(), path)
    assert_read(path, network)
    torch.save((12, network.state_dict()), path)
    assert_read(path, network)


@pytest.mark.parametrize(("body", "head"), [("backbone.", "head."), ("0.", "1."), ("encoder.", "fc.")])
def test_a_head_beside_its_network_is_found(tmp_path: Path, body: str, head: str) -> None:
    network = random_network("resnet18", 6)
    state = {
        f"{head}{name.removeprefix('fc.')}" if name.startswith("fc.") else f"{body}{name}": tensor
        for name, tensor in network.state_dict().items()
    }
    path = tmp_path / "split.pth"
    torch.save({"state_dict": state}, path)
    assert_read(path, network)


@pytest.mark.parametrize(
    ("taken", "other"),
    [("state_dict_ema", "state_dict"), ("ema_state_dict", "model"), ("best", "last"), ("swa_model", "model")],
)
def test_averaged_and_best_weights_are_preferred_and_it_is_said(tmp_path: Path, taken: str, other: str) -> None:
    network = random_network(SMALL, 6, seed=1)
    path = tmp_path / "two.pth"
    torch.save({other: random_network(SMALL, 6, seed=2).state_dict(), taken: network.state_dict()}, path)
    assert f"under {taken}; those under {other} were not taken" in assert_read(path, network)


def test_a_refusal_names_the_nearest_network_only_when_it_is_near(tmp_path: Path) -> None:
    path = tmp_path / "near.pth"
    state = random_network("resnet18", 5).state_dict()
    del state["layer4.1.bn2.weight"]
    torch.save({"net": {f"encoder.{name}": tensor for name, tensor in state.items()}}, path)
    assert "The nearest is resnet18, but it lacks layer4.1.bn2.weight" in refusal(path)
    torch.save({"blocks.0.attn.weight": torch.ones(8, 8), "head.weight": torch.ones(4, 8)}, path)
    message = refusal(path)
    assert "nearest" not in message
    assert "it begins with blocks.0.attn.weight, head.weight" in message
    assert "densenet, efficientnet, efficientnet_lite, mnasnet, mobilenet, resnest, resnet, resnext, wide_" in message
    assert len(message) < 400
    del state["fc.weight"], state["fc.bias"]
    torch.save(state | {"projector.weight": torch.ones(64, 128)}, path)
    assert "The nearest is resnet18, but it lacks fc.bias; it lacks fc.weight" in refusal(path)


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("download/mine.pt", content)
    return file.getvalue()


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("mine.pth")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 102540417\n"
OTHER_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "lfs": (lambda _: LFS, "is a Git LFS pointer: a few lines of text in place of the file of 103 MB. Run 'git lfs"),
    "gzip": (gzip.compress, "is packed with gzip. Unpack it"),
    "bzip2": (bz2.compress, "is packed with bzip2. Unpack it"),
    "xz": (lzma.compress, "is packed with xz. Unpack it"),
    "zip": (_zip, "is a zip archive, not a checkpoint. Unpack it, and put download/mine.pt from inside in its place."),
    "tar": (_tar, "is a tar archive, not a checkpoint. Unpack it, and put mine.pth from inside in its place."),
    "page": (lambda _: b"\xef\xbb\xbf  <!-- x -->\n<HTML><body>Sign in", "is a web page, not a checkpoint"),
    "doctype": (lambda _: b"\n<!DOCTYPE html><html>", "is a web page, not a checkpoint"),
    "text": (lambda _: b"Entry not found", "is a text file that begins with 'Entry not found', not a checkpoint"),
    "json": (lambda _: b'{"error":"Repository not found"}', 'is a text file that begins with \'{"error":"Repos'),
    "keras": (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file, as Keras and TensorFlow write them."),
    "numpy": (lambda _: b"\x93NUMPY\x01\x00" + bytes(50), "is a NumPy array."),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kind", OTHER_FILES)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, kind: str, suffix: str) -> None:
    file = io.BytesIO()
    torch.save(random_network(SMALL, 2).state_dict(), file)
    make, words = OTHER_FILES[kind]
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(make(file.getvalue()))
    assert words in refusal(path)


def test_the_lines_for_a_torchscript_archive_save_what_this_pack_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network(SMALL, 3)
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(network, torch.rand(1, 3, 64, 64)), path)
    message = refusal(path)
    assert "is a TorchScript archive" in message
    monkeypatch.chdir(tmp_path)
    lines = message.splitlines()[1:]
    assert len(lines) == 3
    exec("\n".join(lines), {})
    assert_read(tmp_path / "script-weights.pt", network)
