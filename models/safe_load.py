"""Read the tensors of an untrusted checkpoint file without running any code in it.

Pickles are read with torch's weights-only reader, and refused where it refuses them.
"""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .state_dict import CheckpointError

SAFE_TORCH = (2, 6)
"""Older weights-only readers could be made to run code (CVE-2025-32434)."""
STATE_DICT_KEYS = ("model", "state_dict")
"""Where the `robustness` library stores the network's state dict, in newer and in older versions."""
HARMLESS = ("torch.", "collections.")
"""Modules whose names a pickle of tensors contains."""
WEB_PAGE_STARTS = (b"<!doc", b"<html", b"<?xml")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a file: its dense floating-point tensors by name, on the CPU, unchecked.

    Args:
        path: safetensors, or a pickle of a state dict, which may be in a dict with other values.

    Raises:
        CheckpointError: the file is of another kind, is not whole, would run code, or has no such tensors.
    """
    content = _read(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not the tensors of a network.")
    for key in STATE_DICT_KEYS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    found = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, Tensor) and _is_dense_float(tensor)
    }
    if not found:
        names = ", ".join(sorted(str(name) for name in content)[:6]) or "nothing"
        raise CheckpointError(f"{path.name} has no weights of a network in it; it holds {names}.")
    return found


def _is_dense_float(tensor: Tensor) -> bool:
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return strided and tensor.device.type == "cpu" and tensor.is_floating_point()


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(64)
    if start.lstrip().lower().startswith(WEB_PAGE_STARTS):
        raise CheckpointError(f"{path.name} is a web page, not a checkpoint. Delete it and download the file again.")
    if start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path.name} is not a whole safetensors file: {error}. Fetch it again.") from error
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        raise CheckpointError(
            f"{path.name} is a pickle, which torch {torch.__version__} cannot read safely. Update torch to 2.6 or "
            "newer, or take a safetensors file."
        )
    if start.startswith(b"PK"):
        _refuse_bomb(path)
    try:
        # Given the path, torch would read a pickle named .safetensors as safetensors.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is refused: {_refused(path, error)}. Nothing of it was run. Take a file that holds only the "
            "weights (a state dict), or safetensors."
        ) from error
    # A truncated or forged file can raise almost any exception.
    except Exception as error:
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({_reason(error)}). It may have been cut off while it was copied "
            "or downloaded: fetch it again."
        ) from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that is larger unpacked; torch stores its archives uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({error}). It may have been cut off: fetch it again."
        ) from error
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(
            f"{path.name} is refused: it is an archive that grows when unpacked, as no checkpoint is."
        )


def _refused(path: Path, error: Exception) -> str:
    """Describe what torch's reader refused."""
    blamed = re.search(r"GLOBAL (\S+)", str(error))
    names = [blamed[1]] if blamed else [name for name in _global_names(path) if not name.startswith(HARMLESS)]
    if names:
        return f"it asks for {names[0][:100]} (a pickled function or object), which could run code when it is opened"
    return f"it is broken, or holds something else than tensors and plain values ({_reason(error)})"


def _global_names(path: Path) -> Iterator[str]:
    """Yield the functions and classes that a pickle names, without importing or running them."""
    # Best effort: a corrupt pickle can raise almost any exception, and the names found before it are enough.
    with contextlib.suppress(Exception), contextlib.ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(path.open("rb"))
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            stream = stack.enter_context(archive.open(name))
        while True:
            # torch's older format is several pickles in a row.
            strings: list[str] = []
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(strings[-2:])
                elif isinstance(argument, str):
                    strings.append(argument)


def _reason(error: Exception) -> str:
    """Return torch's message without its advice to load the file unsafely."""
    text = str(error)
    if "legacy .tar format" in text:
        return "torch's oldest format, a tar archive, which cannot be read safely"
    found = text.rpartition("WeightsUnpickler error:")[2].strip().split("\n")[0]
    for advice in (" was not an allowed", " by default", ", use `", ". Please use"):
        found = found.split(advice)[0]
    return found[:200] or "a pickle of a kind that cannot be read safely"
