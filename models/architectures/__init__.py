"""The registry of networks. Each module here is a family and lists its entries in `ARCHITECTURES`.

A module that is added is found by itself, and so are its networks in files of this pack and of third parties.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

from ..network import ClassifierNetwork
from ._entry import Architecture as Architecture
from ._entry import ArchitectureError as ArchitectureError


def architectures(first: str = "") -> Iterator[Architecture]:
    """Yield all entries, importing their modules one after the other, the module named `first` before the others."""
    families = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    for family in sorted(families, key=lambda name: name != first):
        yield from importlib.import_module(f"{__name__}.{family}").ARCHITECTURES


def find_architecture(name: object) -> Architecture:
    """Return the entry of this name.

    Raises:
        ArchitectureError: there is none.
    """
    # The network of most bundled classifiers is in the module of its own name, so that they load without torchvision,
    # whose import takes a second.
    for entry in architectures(first=str(name)):
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in architectures())
    raise ArchitectureError(f"unknown architecture {name!r} (known: {known})")


def build_network(architecture: Mapping[str, Any], classes: int) -> ClassifierNetwork:
    """Build a network with random weights.

    Args:
        architecture: `name`, and the hyperparameters where the network of that name has any (see its module).
        classes: the number of logits.

    Raises:
        ArchitectureError: an unknown name, or a hyperparameter that is missing or out of range.
    """
    entry = find_architecture(architecture.get("name"))
    return entry.build(classes, architecture) if entry.configurable else entry.build(classes)
