"""The class names of a classifier that is not loaded, for the editor's class picker."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .catalog import Choice, find
from .conversion import read_any_card
from .label_file import SideFileError
from .labels import known_labels
from .names import label_names

NOT_YET = "Run once, and the classes of this file are listed here."
FROM_TEXT = "It has no classes of its own: put Classes from Text behind it, and write them there."


def class_list(name: str, folders: Iterable[Path]) -> tuple[list[list[str]], str]:
    """Return the names of each class, the main one first, and a message that says why there are none, else empty."""
    try:
        choice = find(name, folders)
    except LookupError as error:
        return [], str(error.args[0])
    try:
        labels = _labels(choice)
    except SideFileError as error:
        return [], str(error)
    if labels is None:
        return [], NOT_YET
    return [label_names(label) for label in labels], "" if labels else FROM_TEXT


def _labels(choice: Choice) -> tuple[str, ...] | None:
    """Its class names, none for the image tower of a CLIP; None if they are not known yet."""
    card = choice.path and read_any_card(choice.path)
    if card:
        return card.labels
    if choice.download is None:
        return None
    return known_labels(choice.download.labels) if choice.download.labels else ()
