"""Presets as data: `presets.json` has those of the pack, a folder of such files those of the user.

A file maps an operation to named presets: `{"translate": {"mine": {"summary": "...", "steps": 20, ...}}}`. The keys of
a preset are the flat values of its settings (see `settings.VALUE_TYPES`), and:

- `summary`: one line for the tooltip;
- `inputs`: values that the artist sets on the node beside the preset;
- `empty_class`: `guess`, if an empty class means the class that the classifier sees;
- `hidden`: true for settings that the nodes do not list, as the paper's own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from .settings import VALUE_TYPES, OperationSettings

BUILT_IN = Path(__file__).with_name("presets.json")
CUSTOM = "custom"
"""What the nodes call settings of one's own; no preset has this name."""
LARGEST_FILE = 1_000_000

S = TypeVar("S", bound=OperationSettings)


@dataclass(frozen=True)
class Preset(Generic[S]):
    """Named settings of an operation."""

    name: str
    settings: S
    summary: str = ""
    inputs: tuple[str, ...] = ()
    """Values that the artist sets on the node beside the preset."""
    guesses_class: bool = False
    """Whether an empty class means the class that the classifier sees in the image."""
    hidden: bool = False
    """Whether the nodes leave it out of their lists."""


def presets(settings: type[S]) -> dict[str, Preset[S]]:
    """The pack's presets of an operation by name, in the order of the file, hidden ones included."""
    return {name: _preset(settings, name, entry) for name, entry in _built_in().get(settings.operation, {}).items()}


def preset(settings: type[S], name: str) -> Preset[S]:
    """One of the pack's presets.

    Raises:
        KeyError: there is none of that name.
    """
    return _preset(settings, name, _built_in()[settings.operation][name])


def read_presets(
    folder: Path, settings: type[S], possible_inputs: Collection[str] = VALUE_TYPES
) -> dict[str, Preset[S]]:
    """The presets of an operation in the JSON files of a folder, by name; none where there is no such folder.

    A file that cannot be read, or has a broken preset, is named in the log and left out whole. So is a preset with
    a name that is taken.

    Args:
        folder: of the user.
        settings: of the operation.
        possible_inputs: the values that can be set on a node; a preset that lists another one is broken.
    """
    found: dict[str, Preset[S]] = {}
    taken = {CUSTOM, *_built_in().get(settings.operation, {})}
    for path in sorted(folder.glob("*.json")):
        try:
            entries = _read_file(path).get(settings.operation, {})
            if not isinstance(entries, Mapping):
                raise ValueError(f"'{settings.operation}' is not an object of presets")
            own = {name: _preset(settings, name, entry, possible_inputs) for name, entry in entries.items()}
        except (OSError, ValueError, RecursionError) as error:
            logging.warning("Robust Synthesis left out the presets of %s: %s", path.name, error)
            continue
        for name in own.keys() & (taken | found.keys()):
            logging.warning("Robust Synthesis left out the preset '%s' of %s: the name is taken.", name, path.name)
        found |= {name: preset for name, preset in own.items() if name not in taken and name not in found}
    return found


@cache
def _built_in() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return _read_file(BUILT_IN)


def _read_file(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("it is too large for a file of presets")
    content = json.loads(path.read_text("utf-8-sig"))
    if not isinstance(content, Mapping):
        raise ValueError("it is not an object of operations")
    return content


def _preset(settings: type[S], name: str, entry: Any, possible_inputs: Collection[str] = VALUE_TYPES) -> Preset[S]:
    if not isinstance(entry, Mapping):
        raise ValueError(f"the preset '{name}' is not an object")
    values = dict(entry)
    summary, inputs = values.pop("summary", ""), values.pop("inputs", [])
    empty_class, hidden = values.pop("empty_class", ""), values.pop("hidden", False)
    names = isinstance(inputs, list) and all(isinstance(each, str) for each in inputs)
    if not isinstance(summary, str) or not names or empty_class not in ("", "guess"):
        raise ValueError(
            f"the preset '{name}': summary is a text, inputs is a list of names, empty_class is 'guess' or absent"
        )
    try:
        made = settings.from_values(**values)
    except ValueError as error:
        raise ValueError(f"the preset '{name}': {error}") from error
    unknown = set(inputs) - (made.values().keys() & set(possible_inputs))
    if unknown:
        raise ValueError(f"the preset '{name}' has no setting {' or '.join(unknown)} to be an input")
    return Preset(name, made, summary, tuple(inputs), empty_class == "guess", bool(hidden))
