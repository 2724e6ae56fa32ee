"""What a run resumes from after it was stopped: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..models.files import is_file
from ..models.format import write_whole
from .paths import RunError, RunExistsError, RunPaths

ENTRY = "robust_training"
NEAR_COPIES = "keeps_near_copies"
"""Key of the identity; runs of earlier versions, which do not have it, kept near copies."""
SAMPLER_VALUES = "sampler"
"""Key of the identity: the settings of the sampler that the training follows; None where it follows none."""
_OLD_KEYS = {
    "pictures": "samples_seen",
    "most_epochs": "max_epochs",
    "warm_up": "warmup",
    "clip_norm": "max_grad_norm",
    "averaging": "ema_decay",
    "smallest_crop": "min_crop_scale",
    "colour": "color_jitter",
    "cut_mix": "cutmix_prob",
    "few_cut_mix": "small_data_cutmix_prob",
    "start": "pretrained",
    "step_share": "rel_step_size",
}
"""Keys of recipes and attacks in files of version 0.1.0, so that its runs still resume, and finished ones load."""


class StateError(ValueError):
    """A file that no run can resume from."""


@dataclass(frozen=True)
class SavedState:
    """The state of a run."""

    identity: Mapping[str, Any]
    """Recipe, epochs, the digest of the pictures, whether near copies were kept, and the sampler that it follows.

    The same: it is the same run."""
    step: int
    """How many steps its stage has taken."""
    seconds: float
    """Of work so far."""
    history: list[dict[str, Any]]
    """The evaluations, see `log.EvalRecord`."""
    best: float | None
    """The score of the classifier in the run's file, see `stages.Outcome`; None before the stage's first evaluation."""
    unmeasured: list[tuple[float, float]]
    """Loss and accuracy of the steps since the last evaluation."""
    finished: bool
    tensors: Mapping[str, Tensor]
    """See `Trainer.state`; none if the run has finished."""
    stage: int = 1


def write_state(path: Path, state: SavedState) -> None:
    """Write a state.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    header = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "tensors"}
    write_whole(path, state.tensors, {ENTRY: json.dumps(header)})


def read_state(path: Path) -> SavedState | None:
    """Read a state; None if there is no such file.

    Raises:
        StateError: it is damaged, or something else.
    """
    if not is_file(path):
        return None
    try:
        # Cloned, because Windows does not replace a file that is memory-mapped.
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[ENTRY])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        header["identity"] = _of_this_version(header["identity"])
        for entry in header["history"]:
            # Earlier versions logged it.
            entry.pop("chain_steps", None)
        return SavedState(**header, tensors=tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(f"{path} is damaged, or was written by another version of the pack ({error}).") from error


def find_state(paths: RunPaths, identity: Mapping[str, Any]) -> SavedState | None:
    """The state of an earlier run with these paths and this identity; None if the paths are unused.

    Raises:
        RunExistsError: another run, or another classifier, has these paths.
        RunError: the state is damaged.
    """
    try:
        state = read_state(paths.state)
    except StateError as error:
        raise RunError(f"{error} Delete it and {paths.result.name} to begin anew.") from error
    if state is None:
        if paths.result.exists():
            raise RunExistsError(f"There is a classifier at {paths.result} already. Choose another name.")
        return None
    if state.identity != identity:
        raise RunExistsError(
            f"'{paths.result.stem}' is the name of a run with other pictures or settings. Choose another name, or "
            f"delete {paths.state} and {paths.result.name}."
        )
    return state


@dataclass(frozen=True)
class Beginning:
    """How a run was begun, and so resumes, where earlier versions of the pack began otherwise."""

    near_copies: bool = False
    """Only copies with the same pixels were left out."""
    stage_two: bool = True


def beginning(paths: RunPaths) -> Beginning:
    """How the run with these paths was begun; as this version does, where there is none."""
    try:
        state = read_state(paths.state)
    except StateError:
        # `find_state` says so.
        state = None
    if state is None:
        return Beginning()
    return Beginning(bool(state.identity[NEAR_COPIES]), state.identity["recipe"]["contrastive"] is not None)


def _of_this_version(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity with what earlier versions did not have.

    They kept near copies, followed no sampler, and fine-tuned nothing.
    """
    identity = _current_keys(identity)
    recipe = {"contrastive": None, "fine_tune": "", "preconditioned_epsilon": 0.0, **identity["recipe"]}
    return {NEAR_COPIES: True, SAMPLER_VALUES: None, **identity, "recipe": recipe}


def _current_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_OLD_KEYS.get(key, key): _current_keys(item) for key, item in value.items()}
    return value
