"""What a run goes on from after it was stopped: one safetensors file, replaced only when it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..models.format import write_whole

ENTRY = "robust_training"


class StateError(ValueError):
    """A file that no run can go on from."""


@dataclass(frozen=True)
class SavedState:
    """Where a run is."""

    identity: Mapping[str, Any]
    """The recipe, the epochs and the pictures, by which a run is known."""
    step: int
    """How many steps it has taken."""
    seconds: float
    """How long it has worked."""
    history: list[dict[str, Any]]
    best: float | None
    """The accuracy under attack of the classifier in the run's file; None before the first measurement."""
    unmeasured: list[tuple[float, float]]
    """Loss and accuracy of the steps since the last entry of the history."""
    finished: bool
    tensors: Mapping[str, Tensor]
    """Of `Trainer.state`; none where it is finished."""


def write_state(path: Path, state: SavedState) -> None:
    """Write a state.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    about = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "tensors"}
    write_whole(path, state.tensors, {ENTRY: json.dumps(about)})


def read_state(path: Path) -> SavedState | None:
    """Read a state; None where there is no such file.

    Raises:
        StateError: it is damaged, or something else.
    """
    if not path.is_file():
        return None
    try:
        # Copies, because Windows does not replace a file that something still looks into.
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[ENTRY])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return SavedState(**about, tensors=tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(f"{path} is damaged, or was written by another version of the pack ({error}).") from error
