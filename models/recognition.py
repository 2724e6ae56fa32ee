"""Recognise the network of a checkpoint from the names and shapes of its tensors, under any prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .architectures import Architecture, architectures, find_architecture
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

    architecture: Architecture
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
    prefix: str
    origins: dict[str, str]
    classes: int
    faults: list[str]


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
    entries = [entry for entry in architectures() if not entry.configurable]
    candidates: list[_Candidate] = []
    # The last layer's name says quickly where a network can be. Only without one are all networks built for their
    # shapes, which takes a second or two.
    for places in (_by_last_layer(heads, entries), _by_first_layer(list(found), entries)):
        candidates += [_compare(entry, prefix, found) for prefix, entry in places]
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
        for prefix in splits.get(next(iter(_expected_shapes(entry.name))), ()):
            yield prefix, entry


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
def _expected_shapes(name: str) -> Shapes:
    with torch.device("meta"):
        network = find_architecture(name).build(2)
    return shapes_of(weights(network))


def _compare(entry: Architecture, prefix: str, found: Mapping[str, Tensor]) -> _Candidate:
    """Compare the tensors under a prefix with the entry's, whatever the number of classes."""
    expected = _expected_shapes(entry.name)
    weight, bias = f"{entry.classifier}.weight", f"{entry.classifier}.bias"
    origins = {_renamed(name.removeprefix(prefix), entry): name for name in found if name.startswith(prefix)}
    if weight not in origins:
        origins |= _head_elsewhere(found, set(origins.values()), expected[weight][1], weight, bias)
    shapes = {name: tuple(found[origin].shape) for name, origin in origins.items()}
    rows = shapes.get(weight, ())
    classes = rows[0] if len(rows) == 2 and rows[0] >= 2 else 2
    last_layer = {weight: (classes, expected[weight][1]), bias: (classes,)}
    # A deeper network of the same family has all tensors of a shallower one, and more.
    parts = {name.split(".")[0] for name in expected}
    surplus = [name for name in shapes if name not in expected and name.split(".")[0] in parts]
    missing = shape_mismatches({**expected, **last_layer}, shapes)
    faults = [*missing.values(), *(f"it has {name} besides" for name in surplus)]
    return _Candidate(entry, prefix, origins, classes, faults)


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
    own = {name: best.origins[name] for name in _expected_shapes(best.entry.name)}
    tensors = {name: found[origin] for name, origin in own.items()}
    return Recognised(best.entry, best.classes, tensors, best.prefix, own, tuple(others))


def _refusal(path: Path, found: Mapping[str, Tensor], candidates: list[_Candidate], entries: list[Architecture]) -> str:
    def share(one: _Candidate) -> float:
        return len(one.faults) / len(_expected_shapes(one.entry.name))

    unknown = f"{path.name} is of no network that this pack knows"
    nearest = min(candidates, key=share, default=None)
    if nearest and share(nearest) < NEAR:
        faults = nearest.faults
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        return f"{unknown}. The nearest is {nearest.entry.name}, but {'; '.join(faults[:3])}{more}."
    # resnet18 and resnet50 are one family to an artist, and so are the versions of a MobileNet.
    families = dict.fromkeys(re.split(r"_?v?\d", entry.name)[0] for entry in entries)
    return f"{unknown} (it begins with {', '.join(list(found)[:3])}). Known are: {', '.join(families)}."
