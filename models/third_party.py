"""Read classifiers that others have trained: checkpoints of the `robustness` library, and plain state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .architectures import Architecture, architectures, find_architecture
from .classifier import PIXEL_LIMIT, ClassifierCard, RobustClassifier
from .labels import LabelsError, labels_of
from .safe_load import load_tensors
from .state_dict import (
    CheckpointError,
    Shapes,
    assign_weights,
    checked_float32,
    shape_mismatches,
    shapes_of,
    weights,
)

PREFIXES = ("module.", "model.")
"""Of wrappers: DataParallel, and the `robustness` library's AttackerModel."""
ATTACKER = "attacker."
"""The `robustness` library stores the network a second time under this prefix."""
MEANS = ("normalizer.new_mean", "attacker.normalize.new_mean")
"""The `robustness` library's normalisation; each has a `new_std` beside it."""

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]


def read_third_party(path: Path, about: Mapping[str, Any] | None = None) -> tuple[RobustClassifier, str]:
    """Read a classifier that is not in this pack's format.

    The network is recognised from the names and shapes of its tensors, never from the file's name.

    Args:
        path: a `.ckpt`, `.pt` or `.pth` of the `robustness` library or of a plain state dict, or safetensors.
        about: `title`, `training` and `licence` for its card, where they are known.

    Returns:
        The classifier in float32 on the CPU, and what was recognised, as a phrase.

    Raises:
        CheckpointError: it is not such a file, is not whole, holds something else than tensors and plain values, or
            its network is not in the registry.
    """
    found = load_tensors(path)
    architecture, classes, state = _recognise(path, _without_wrappers(found))
    with torch.device("meta"):
        network = architecture.build(classes)
    own = weights(network)
    for key in own:
        # An expanded (stride-0) tensor claims more numbers than it stores, and a copy of it could fill the memory.
        if state[key].numel() * state[key].itemsize > state[key].untyped_storage().nbytes():
            raise CheckpointError(f"{path.name} is refused: its tensor {key} claims more numbers than the file holds.")
    try:
        labels, source = labels_of(path, classes, architecture.label_lists)
    except LabelsError as error:
        raise CheckpointError(str(error)) from error
    mean, std = _normalisation(found) or (architecture.mean, architecture.std)
    about = about or {}
    card = ClassifierCard(
        title=str(about.get("title", path.stem)),
        architecture={"name": architecture.name},
        labels=labels,
        input_size=architecture.input_size,
        mean=mean,
        std=std,
        training=about.get("training", {}),
        licence=str(about.get("licence", "")),
    )
    assign_weights(network, {key: checked_float32(path, key, state[key]) for key in own})
    return RobustClassifier(network, card), f"a {architecture.name} with {classes} classes, {source}"


def _without_wrappers(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip the prefixes of wrappers, and drop the `robustness` library's second copy."""
    return {
        _without_prefixes(name): tensor
        for name, tensor in found.items()
        if not name.removeprefix("module.").startswith(ATTACKER)
    }


def _without_prefixes(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def _renamed(state: Mapping[str, Tensor], renames: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in renames.items():
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


@cache
def _expected_shapes(name: str) -> Shapes:
    with torch.device("meta"):
        network = find_architecture(name).build(2)
    return shapes_of(weights(network))


def _recognise(path: Path, state: Mapping[str, Tensor]) -> tuple[Architecture, int, dict[str, Tensor]]:
    """Return the entry that fits the tensors, its number of classes, and the tensors under its own names."""
    if not any(tensor.ndim == 2 for tensor in state.values()):
        raise CheckpointError(f"{path.name} has no last layer of a classifier: it is another kind of model.")
    candidates = [(entry, _renamed(state, entry.renames)) for entry in architectures() if not entry.configurable]
    # Building a network for its shapes takes time, so those whose last layer is in the file come first.
    candidates.sort(key=lambda candidate: f"{candidate[0].classifier}.weight" not in candidate[1])
    faults: dict[str, list[str]] = {}
    for entry, renamed in candidates:
        classes, faults[entry.name] = _compare(entry, shapes_of(renamed))
        if not faults[entry.name]:
            return entry, classes, renamed
    nearest = min(faults, key=lambda name: len(faults[name]))
    more = f"; and {len(faults[nearest]) - 3} more" if len(faults[nearest]) > 3 else ""
    raise CheckpointError(
        f"{path.name} is of no network that this pack knows. The nearest is {nearest}, but "
        f"{'; '.join(faults[nearest][:3])}{more}. Known are: {', '.join(faults)}."
    )


def _compare(entry: Architecture, found: Shapes) -> tuple[int, list[str]]:
    """Return the number of classes, and what keeps a state dict of these shapes from being the entry's."""
    expected = _expected_shapes(entry.name)
    weight, bias = f"{entry.classifier}.weight", f"{entry.classifier}.bias"
    rows = found.get(weight, ())
    classes = rows[0] if len(rows) == 2 and rows[0] >= 2 else 2
    last_layer = {weight: (classes, expected[weight][1]), bias: (classes,)}
    # A deeper network of the same family has all tensors of a shallower one, and more.
    parts = {name.split(".")[0] for name in expected}
    surplus = [name for name in found if name not in expected and name.split(".")[0] in parts]
    missing = shape_mismatches({**expected, **last_layer}, found)
    return classes, [*missing.values(), *(f"it has {name} besides" for name in surplus)]


def _normalisation(found: Mapping[str, Tensor]) -> Statistics | None:
    """Return the mean and std that a checkpoint of the `robustness` library contains, if they are usable."""
    for name, tensor in found.items():
        deviation = found.get(name.replace("new_mean", "new_std"))
        if name.removeprefix("module.") in MEANS and deviation is not None and tensor.numel() == deviation.numel() == 3:
            mean, std = ([round(v, 6) for v in values.flatten().tolist()] for values in (tensor, deviation))
            if all(abs(m) <= PIXEL_LIMIT for m in mean) and all(1 / PIXEL_LIMIT <= s <= PIXEL_LIMIT for s in std):
                return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
    return None
