"""Recognise the network of a checkpoint from the names and shapes of its tensors, under any prefix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .architectures import Architecture, ArchitectureError, architectures, build_network
from .state_dict import CheckpointError, Shapes, shape_mismatches, shapes_of, weights

COPY = "attacker"
"""The `robustness` library stores the network a second time under this name."""
AVERAGED = frozenset(("ema", "swa", "averaged", "avg", "best"))
"""Weights under a name with one of these words are preferred, as timm prefers its `state_dict_ema`."""
NEAR = 0.25
"""A network is named in a refusal if less than this share of its tensors is missing or differs."""


@dataclass(frozen=True)
class Recognised:
    """A network that fits tensors of a file."""

    entry: Architecture
    architecture: Mapping[str, Any]
    """Its name and hyperparameters, for `build_network`."""
    classes: int
    tensors: Mapping[str, Tensor]
    """Those under the prefix, and a head from elsewhere, by the network's own names."""
    prefix: str
    """Of the network's tensors in the file: empty, or a path that ends with a dot."""
    origins: Mapping[str, str]
    """The name in the file of each tensor."""
    others: tuple[str, ...]
    """Prefixes of further networks in the file, which were not taken."""


@dataclass(frozen=True)
class _Candidate:
    entry: Architecture
    architecture: Mapping[str, Any]
    expected: Shapes
    prefix: str
    origins: dict[str, str]
    classes: int
    faults: list[str]

    @property
    def share(self) -> float:
        """The share of its tensors that is missing or differs."""
        return len(self.faults) / len(self.expected)


def recognise(path: Path, found: Mapping[str, Tensor]) -> Recognised:
    """Find the network that a file holds.

    Args:
        path: the file, for messages.
        found: all its tensors by their paths in it.

    Raises:
        CheckpointError: it holds no network of the registry; the message names the nearest where one is near.
    """
    found = {name: tensor for name, tensor in found.items() if COPY not in name.split(".")}
    heads = [name for name, tensor in found.items() if tensor.ndim == 2]
    if not heads:
        raise CheckpointError(f"{path.name} has no last layer of a classifier: it is another kind of model.")
    entries = [entry for entry in architectures() if entry.infer or not entry.configurable]
    candidates: list[_Candidate] = []
    # The last layer's name says quickly where a network can be. Only without one are all networks built for their
    # shapes, which takes a second or two.
    for places in (_by_last_layer(heads, entries), _by_first_layer(list(found), entries)):
        candidates += [one for prefix, entry in places if (one := _compare(entry, prefix, found))]
        fitting = [candidate for candidate in candidates if not candidate.faults]
        if fitting:
            return _preferred(fitting, found)
    raise CheckpointError(_refusal(path, found, candidates, entries))


def _by_last_layer(heads: list[str], entries: list[Architecture]) -> Iterator[tuple[str, Architecture]]:
    for name in heads:
        for prefix, rest in _splits(name):
            for entry in entries:
                if _renamed(rest, entry) == f"{entry.classifier}.weight":
                    yield prefix, entry


def _by_first_layer(names: list[str], entries: list[Architecture]) -> Iterator[tuple[str, Architecture]]:
    splits: dict[str, list[str]] = {}
    for name in names:
        for prefix, rest in _splits(name):
            splits.setdefault(rest, []).append(prefix)
    for entry in entries:
        first = entry.first or next(iter(_expected_shapes(json.dumps({"name": entry.name}))))
        for rest, prefixes in splits.items():
            if _renamed(rest, entry) == first:
                yield from ((prefix, entry) for prefix in prefixes)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Split a name before each of its parts: a prefix, which is empty or ends with a dot, and the rest."""
    parts = name.split(".")
    for index in range(len(parts)):
        yield "".join(f"{part}." for part in parts[:index]), ".".join(parts[index:])


def _renamed(name: str, entry: Architecture) -> str:
    for pattern, replacement in entry.renames.items():
        name = re.sub(pattern, replacement, name)
    return name


@cache
def _expected_shapes(architecture: str) -> Shapes:
    """The shapes of a network's tensors, of its description in JSON and for two classes."""
    with torch.device("meta"):
        network = build_network(json.loads(architecture), 2)
    return shapes_of(weights(network))


def _compare(entry: Architecture, prefix: str, found: Mapping[str, Tensor]) -> _Candidate | None:
    """Compare the tensors under a prefix with the entry's, whatever the number of classes.

    None if they are not of its kind, so that its hyperparameters are unknown.
    """
    origins = {_renamed(name.removeprefix(prefix), entry): name for name in found if name.startswith(prefix)}
    sizes = entry.sizes(_shapes(origins, found))
    if sizes is None:
        return None
    architecture = {"name": entry.name, **sizes}
    try:
        expected = _expected_shapes(json.dumps(architecture))
    except ArchitectureError:
        return None
    weight, bias = f"{entry.classifier}.weight", f"{entry.classifier}.bias"
    if weight not in origins:
        origins |= _head_elsewhere(found, set(origins.values()), expected[weight][1], weight, bias)
    shapes = _shapes(origins, found)
    rows = shapes.get(weight, ())
    classes = rows[0] if len(rows) == 2 and rows[0] >= 2 else 2
    last_layer = {weight: (classes, expected[weight][1]), bias: (classes,)}
    # A deeper network of the same family has all tensors of a shallower one, and more.
    parts = {name.split(".")[0] for name in expected}
    surplus = [name for name in shapes if name not in expected and name.split(".")[0] in parts]
    missing = shape_mismatches({**expected, **last_layer}, shapes)
    faults = [*missing.values(), *(f"it has {name} besides" for name in surplus)]
    return _Candidate(entry, architecture, expected, prefix, origins, classes, faults)


def _shapes(origins: Mapping[str, str], found: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(found[origin].shape) for name, origin in origins.items()}


def _head_elsewhere(
    found: Mapping[str, Tensor], taken: set[str], features: int, weight: str, bias: str
) -> dict[str, str]:
    """Find the last layer of a network whose features and classifier were saved as two modules."""
    heads = [
        name.removesuffix("weight")
        for name, tensor in found.items()
        if name.endswith(".weight") and name not in taken and tensor.ndim == 2 and tensor.shape[1] == features
    ]
    whole = [head for head in heads if f"{head}bias" in found]
    return {weight: f"{whole[0]}weight", bias: f"{whole[0]}bias"} if len(whole) == 1 else {}


def _preferred(fitting: list[_Candidate], found: Mapping[str, Tensor]) -> Recognised:
    """Take averaged weights before others, and what is least deep in the file before what is deeper."""
    fitting.sort(key=lambda one: (not AVERAGED & set(re.split(r"[._]", one.prefix)), one.prefix.count(".")))
    best = fitting[0]
    others = dict.fromkeys(one.prefix for one in fitting if one.prefix != best.prefix)
    own = {name: best.origins[name] for name in best.expected}
    tensors = {name: found[origin] for name, origin in own.items()}
    return Recognised(best.entry, best.architecture, best.classes, tensors, best.prefix, own, tuple(others))


def _refusal(path: Path, found: Mapping[str, Tensor], candidates: list[_Candidate], entries: list[Architecture]) -> str:
    unknown = f"{path.name} is of no network that this pack knows"
    nearest = min(candidates, key=lambda one: one.share, default=None)
    if nearest and nearest.share < NEAR:
        faults = nearest.faults
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        return f"{unknown}. The nearest is {nearest.entry.name}, but {'; '.join(faults[:3])}{more}."
    # resnet18 and resnet50 are one family to an artist, and so are the versions of a MobileNet.
    families = dict.fromkeys(re.split(r"_?[vb]?\d", entry.name)[0] for entry in entries)
    return f"{unknown} (it begins with {', '.join(list(found)[:3])}). Known are: {', '.join(families)}."
