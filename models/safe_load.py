"""Read the tensors of an untrusted checkpoint file without running any code in it.

Pickles are read with torch's weights-only reader. Classes and functions that it does not know are replaced by inert
stand-ins, and where it still refuses a file, so does this pack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .file_kinds import refuse_other_kinds, refuse_text, resave_advice
from .stand_ins import PickleScan, StandIn, scan_pickle, standing_in
from .state_dict import CheckpointError

SAFE_TORCH = (2, 6)
"""Older weights-only readers could be made to run code (CVE-2025-32434)."""
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "net", "network")
"""Where checkpoints store a network's weights, for the advice on how to save them alone."""
MOST_LEVELS = 40
"""Of mappings in mappings; a pickled network has two for each level of its modules."""
OF_WRAPPERS = re.compile(
    r"(^|(?<=\.))(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_modules|_parameters|_buffers)\."
)
"""What torch.compile, FSDP and activation checkpointing insert into names, and a pickled network has between them."""


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read the dense floating-point tensors of a file, on the CPU, unchecked.

    Args:
        path: safetensors, or a pickle of a state dict, of a checkpoint with state dicts in it, or of a network.

    Returns:
        Each tensor under its path in the file: `state_dict.module.fc.weight`. Lists of three numbers, such as a mean
        in a configuration, are tensors, too.

    Raises:
        CheckpointError: the file is of another kind, is not whole, would run code, or has no such tensors.
    """
    content = _read(path)
    found: dict[str, Tensor] = {}
    for name, tensor in _named_tensors(content, "", set(), MOST_LEVELS):
        found.setdefault(OF_WRAPPERS.sub("", name), tensor)
    if found:
        return found
    if isinstance(content, Mapping):
        names = ", ".join(sorted(str(name) for name in content)[:6]) or "nothing"
        raise CheckpointError(f"{path.name} has no weights of a network in it; it holds {names}.")
    raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not the tensors of a network.")


def _named_tensors(value: Any, name: str, seen: set[int], levels: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested mappings, lists and attributes, each with the dotted path to it."""
    if isinstance(value, Tensor):
        if _is_dense_float(value):
            yield name, value
        return
    if isinstance(value, StandIn):
        value = value.attributes
    if isinstance(value, (list, tuple)) and len(value) == 3 and all(type(n) in (int, float) for n in value):
        yield name, torch.tensor([float(number) for number in value])
        return
    # A pickle can hold a mapping that contains itself, or one that is in many places.
    if not isinstance(value, (Mapping, list, tuple)) or id(value) in seen or not levels:
        return
    seen.add(id(value))
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        if isinstance(key, (str, int)):
            yield from _named_tensors(item, f"{name}.{key}" if name else str(key), seen, levels - 1)


def _is_dense_float(tensor: Tensor) -> bool:
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return strided and tensor.device.type == "cpu" and tensor.is_floating_point()


def _read(path: Path) -> Any:
    refuse_other_kinds(path)
    with path.open("rb") as file:
        start = file.read(9)
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
    scan = scan_pickle(path)
    if scan.dangerous:
        raise CheckpointError(
            f"{path.name} is refused: it asks for {scan.dangerous[0][:100]}, which could run code when it is opened, "
            "as no checkpoint does. Nothing of it was run. Do not open it with another program; take a file from "
            "another source."
        )
    try:
        # Given the path, torch would read a pickle named .safetensors as safetensors.
        with path.open("rb") as file, standing_in(scan):
            return torch.load(file, map_location="cpu", weights_only=True)
    # A truncated or forged file can raise almost any exception.
    except Exception as error:
        if scan.whole and scan.names:
            raise CheckpointError(
                f"{path.name} is refused: torch's safe reader cannot read it ({_reason(error)}). Nothing of it was "
                f"run. {_resave(path, scan)}"
            ) from error
        refuse_text(path)
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({_reason(error)}). It may have been cut off while it was copied "
            "or downloaded: fetch it again."
        ) from error


def _resave(path: Path, scan: PickleScan) -> str:
    """Advise how to save the weights of a whole file alone, outside of this pack."""
    if not scan.has_tensors:
        return "There are no weights in it: take another file."
    key = next((key for key in STATE_DICT_KEYS if key in scan.strings), None)
    inside = ".state_dict()" if scan.is_object else f'["{key}"]' if key else ""
    return resave_advice(path, f'torch.load({path.name!r}, map_location="cpu", weights_only=False){inside}')


def _reason(error: Exception) -> str:
    """Return torch's message without its advice to load the file unsafely."""
    found = str(error).rpartition("WeightsUnpickler error:")[2].strip().split("\n")[0]
    for advice in (" was not an allowed", " by default", ", use `", ". Please use"):
        found = found.split(advice)[0]
    if "Unsupported operand" in found:
        return "it is pickled in a newer way"
    return found[:200] or "it holds something else than tensors and plain values"
