"""Files that would run code if they were unpickled: each is refused, and none is run."""

from __future__ import annotations

import argparse
import datetime
import io
import itertools
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_synthesis.models import CheckpointError, load_classifier, open_classifier


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.function, self.arguments


def _named(module: str, name: str, argument: str) -> bytes:
    """The opcodes of `module.name(argument)`, protocol 0."""
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


def _instance(module: str, name: str, argument: str) -> bytes:
    return f"(V{argument}\ni{module}\n{name}\n.".encode()


def _object(module: str, name: str, argument: str) -> bytes:
    return f"(c{module}\n{name}\nV{argument}\no.".encode()


def _stack_global(module: str, name: str, argument: str) -> bytes:
    def text(value: str) -> bytes:
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


OPCODES = {"reduce": _named, "inst": _instance, "obj": _object, "stack_global": _stack_global}
FUNCTIONS = {
    ("os", "system"): "touch {}",
    ("posix", "system"): "touch {}",
    ("os", "popen"): "touch {}",
    ("subprocess", "getoutput"): "touch {}",
    ("subprocess", "check_output"): "touch",
    ("builtins", "eval"): "open(r'{}', 'w')",
    ("builtins", "exec"): "open(r'{}', 'w')",
    ("builtins", "__import__"): "antigravity",
    ("builtins", "open"): "{}",
    ("torch", "load"): "{}",
    ("torch.hub", "load_state_dict_from_url"): "{}",
    ("runpy", "run_path"): "{}",
    ("pickle", "loads"): "{}",
    ("shutil", "rmtree"): "{}",
    ("numpy", "load"): "{}",
    ("builtins", "getattr"): "{}",
    ("pathlib", "Path.touch"): "{}",
    ("their_code", "Config"): "{}",
}


def streams(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield pickles that would create the marker, or do other harm."""
    for ((module, name), argument), (opcode, write) in itertools.product(FUNCTIONS.items(), OPCODES.items()):
        yield f"{module}.{name} by {opcode}", write(module, name, argument.format(marker))


def nested(marker: Path) -> Iterator[tuple[str, Any]]:
    """Yield objects in the layout of a checkpoint."""
    import os

    call = Call(os.system, f"touch {marker}")
    yield "in a state dict", {"model": {"module.model.fc.weight": call}}
    yield "beside the weights", {"model": {"fc.weight": torch.ones(2, 2)}, "optimizer": call}
    yield "as a key", {"model": {"fc.weight": torch.ones(2, 2)}, 3: [(call,)]}
    yield "a function", {"model": {"fc.weight": torch.ones(2, 2)}, "schedule": os.system}
    yield "a module", torch.nn.Linear(2, 2)
    yield "eval", {"epoch": Call(eval, f"open(r'{marker}', 'w')")}
    yield "a path", {"epoch": marker}
    yield "in a namespace", {"model": {"fc.weight": torch.ones(2, 2)}, "args": argparse.Namespace(lr=call)}
    yield "as an argument", {"model": {"fc.weight": torch.ones(2, 2)}, "time": Call(datetime.timedelta, call)}


def legacy(pickled: bytes) -> bytes:
    """In torch's format before 1.6: magic number, protocol, system, then the object."""
    start = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*start, pickled])


def zipped(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def tarred(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(pickled)
            archive.addfile(entry, io.BytesIO(pickled))
    return file.getvalue()


FORMATS = {"raw": lambda pickled: pickled, "legacy": legacy, "zip": zipped, "tar": tarred}
NAMES = [name for name, _ in streams(Path("marker"))]


def refused(path: Path, marker: Path, harmless: bool = False) -> str:
    with pytest.raises(CheckpointError) as raised:
        open_classifier(path)
    with pytest.raises(CheckpointError):
        load_classifier(path)
    assert path.name in str(raised.value)
    # torch's own advice is to load it unsafely, and ours is for files in which nothing dangerous was found.
    if not harmless:
        assert "weights_only" not in str(raised.value)
        assert "If you trust" not in str(raised.value)
    assert not marker.exists(), "code was run"
    assert list(path.parent.iterdir()) == [path]
    return str(raised.value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_a_call_is_never_made(tmp_path: Path, form: str, name: str) -> None:
    marker = tmp_path.with_name(f"{tmp_path.name}-marker")
    path = tmp_path / "evil.pt"
    path.write_bytes(FORMATS[form](dict(streams(marker))[name]))
    refused(path, marker)


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", [name for name, _ in nested(Path("marker"))])
def test_a_call_among_weights_is_never_made(tmp_path: Path, name: str, protocol: int, zip_format: bool) -> None:
    marker = tmp_path.with_name(f"{tmp_path.name}-marker")
    path = tmp_path / "evil.ckpt"
    torch.save(dict(nested(marker))[name], path, pickle_protocol=protocol, _use_new_zipfile_serialization=zip_format)
    # A whole layer is no attack: what may be wrong with it is that torch's reader does not know how it is pickled.
    refused(path, marker, harmless=name == "a module")


def test_what_was_found_is_named(tmp_path: Path) -> None:
    import os

    marker = tmp_path.with_name(f"{tmp_path.name}-marker")
    path = tmp_path / "evil.ckpt"
    torch.save({"model": Call(os.system, f"touch {marker}")}, path)
    message = refused(path, marker)
    assert f"{os.name}.system" in message
    assert "Nothing of it was run" in message
    # The same file under another name.
    disguised = tmp_path / "evil.safetensors"
    path.rename(disguised)
    assert f"{os.name}.system" in refused(disguised, marker)
