"""Read a list of class names, in any of the forms in which the public ones are written."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .names import label_names

MAX_BYTES = 1_000_000
WRAPPERS = ("labels", "names", "classes", "class_names", "id2label", "class_to_idx", "label2id")
"""Keys under which a list is found in an object that says more: of YOLO, of transformers, of torchvision."""
SYNSET = re.compile(r"n\d{8}")
_SEPARATOR = r"(?:\s*(?:[-=]>|[:;,=|).\]\uff1a\uff0c-])\s*|\s+)"
LEADING_INDEX = re.compile(rf"""["'\[(]?(?P<index>\d+)["']?{_SEPARATOR}(?P<name>.+)""")
TRAILING_INDEX = re.compile(r"""(?P<name>.+?)\s*(?:[-=]>|[\t:;,=|\uff1a\uff0c])\s*(?P<index>\d+)""")
LEADING_SYNSET = re.compile(rf"""["'\[(]?{SYNSET.pattern}["']?{_SEPARATOR}(?P<name>.+)""")
TRAILING_SYNSET = re.compile(rf"""(?P<name>.+?)[\s:;,=|(\[]+{SYNSET.pattern}[)\]]?""")
BULLET = re.compile(r"[-*\u2022]\s+(?P<name>.+)")
_COLUMN = r"(?:class|category|label|name|index|idx|id|wnid|synset)(?:[_ ]?(?:name|label|index|idx|id))?s?"
HEADER = re.compile(rf"\W*{_COLUMN}(?:\s*[:;,|\t]\s*{_COLUMN})+\W*|{_COLUMN}:", re.IGNORECASE)
"""The first line of a table (`index,name`), or of a list in YAML (`names:`)."""
QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}


class SideFileError(ValueError):
    """A file beside a classifier that cannot be used; the message names it and says why."""


class LabelsError(SideFileError):
    """A list of class names that does not fit its classifier or cannot be read."""


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        LabelsError: it is too large, or is not UTF-8.
    """
    if path.stat().st_size > MAX_BYTES:
        raise LabelsError(f"{path.name} is too large for a list of class names.")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path.name} is not a text file in UTF-8: save it as one.") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a list of class names, for each class its name, then further names after commas.

    It is one class a line, with or without its index (`0: tench`, `0 tench`, `tench,0`), its WordNet id
    (`n01440764 tench`), quotes, tabs and bullets; or a list or dict in JSON or Python (see `labels_from`). A heading
    (`index,name`, `names:`) and empty lines at the end are ignored.

    Raises:
        LabelsError: it is not UTF-8 text, is too large, leaves out a class, or begins as a list or dict and is none.
    """
    text = read_text(path)
    # As in a Python file.
    literal = re.sub(r"^\s*\w+\s*=\s*(?=[\[{])", "", text).strip()
    # `[0] tench` is a line with an index.
    if literal.startswith(("[", "{")) and not re.match(r"\[\d+\]\s*\S", literal):
        return labels_from(parse_literal(literal, path), path)
    lines = [line.strip() for line in text.rstrip().splitlines()]
    heading = int(bool(lines) and HEADER.fullmatch(lines[0]) is not None)
    lines = lines[heading:]
    for number, line in enumerate(lines, 1 + heading):
        if not label_names(line)[0]:
            raise LabelsError(f"Line {number} of {path.name} has no class name.")
    return _names(lines)


def parse_literal(text: str, path: Path) -> Any:
    """Parse JSON, or a Python literal.

    Raises:
        LabelsError: it is neither.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # Python's own message is about Python, and most such files are JSON.
        reason = str(error)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise LabelsError(
            f"{path.name} begins like a list or dict in JSON or Python, and is neither ({reason})."
        ) from error


def labels_from(value: Any, path: Path) -> tuple[str, ...]:
    """Read class names from a list or dict.

    Args:
        value: a list of names; a dict by index (`{"0": "tench"}`, `{0: "tench"}`), by name (`{"tench": 0}`) or by
            WordNet id, whose order is that of the ids; or an object that has one of these under a usual key. A name
            may be a list of the class's names, with or without its WordNet id (`["n01440764", "tench"]`), or a dict
            that has it under `name` or `label`.
        path: the file, for messages.

    Raises:
        LabelsError: it is something else, or leaves out a class.
    """
    if isinstance(value, Mapping):
        for key in WRAPPERS:
            if isinstance(value.get(key), (Mapping, list, tuple)):
                return labels_from(value[key], path)
        value = _by_index(value, path)
    if not isinstance(value, (list, tuple)) or not value:
        raise LabelsError(f"{path.name} has no list of class names, nor names by their index.")
    names = [_joined(entry) for entry in value]
    for index, name in enumerate(names):
        if not label_names(name)[0]:
            raise LabelsError(f"{path.name} has no name for class {index}.")
    return _names(names)


def _by_index(value: Mapping[Any, Any], path: Path) -> list[Any]:
    """The values of a dict in the order of the classes."""
    if value and all(isinstance(index, int) for index in value.values()):
        value = {index: name for name, index in value.items()}
    elif value and all(SYNSET.fullmatch(str(key)) for key in value):
        return [value[key] for key in sorted(value)]
    try:
        by_index = {int(key): name for key, name in value.items()}
    except (TypeError, ValueError):
        raise LabelsError(f"{path.name} has no list of class names, nor names by their index.") from None
    first = min(by_index, default=0)
    for index in range(first, first + len(by_index)):
        if first > 1 or index not in by_index:
            raise LabelsError(f"{path.name} has no name for class {0 if first > 1 else index}.")
    return [by_index[index] for index in sorted(by_index)]


def _joined(entry: Any) -> str:
    """One class's names: a text, or a list of texts, of which a WordNet id is none."""
    if isinstance(entry, Mapping):
        entry = entry.get("name", entry.get("label"))
    parts = entry if isinstance(entry, (list, tuple)) else [entry]
    names = [" ".join(part.split()) for part in parts if isinstance(part, str)]
    return ", ".join([name for name in names if not SYNSET.fullmatch(name)] or names)


def _names(rows: Sequence[str]) -> tuple[str, ...]:
    """Strip what is written around the names, where it is around each of them."""
    names = [_unquoted(row) for row in _without(BULLET, list(rows))]
    # `n02119789 1 kit_fox` has both, in either order.
    for strip in (_without_index, _without_synset, _without_index):
        names = strip(names)
    return tuple(", ".join(part.strip() for part in _unquoted(name).split("\t") if part.strip()) for name in names)


def _without_index(names: list[str]) -> list[str]:
    for pattern in (LEADING_INDEX, TRAILING_INDEX):
        found = [pattern.fullmatch(name) for name in names]
        by_index = {int(match["index"]): match["name"] for match in found if match}
        first = min(by_index, default=-1)
        # The names of classes can begin or end with numbers of their own, as `1 euro` and `2 euro` do.
        counted = first in (0, 1) and by_index.keys() == set(range(first, first + len(names)))
        if counted and len(set(by_index.values())) > len(names) / 2:
            return [by_index[index] for index in sorted(by_index)]
    return names


def _without_synset(names: list[str]) -> list[str]:
    for pattern in (LEADING_SYNSET, TRAILING_SYNSET):
        if (found := _without(pattern, names)) != names:
            return found
    return names


def _without(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    found = [match["name"] for match in map(pattern.fullmatch, names) if match]
    return found if len(found) == len(names) else names


def _unquoted(name: str) -> str:
    bare = name.strip().rstrip(",").strip()
    if len(bare) < 3 or QUOTES.get(bare[0]) != bare[-1]:
        return bare
    first, last = bare[0], bare[-1]
    # `"tench", "Tinca tinca"` is several names, each in its quotes; CSV doubles a quote inside.
    parts = re.split(rf"{last}\s*,\s*{first}", bare[1:-1])
    return ", ".join(part.replace(first * 2, first).strip() for part in parts)
