"""The class names of a classifier that is not loaded: for a list to choose from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .catalog import Choice, find
from .checkpoints import read_card
from .conversion import conversion_of
from .labels import known_labels

NOT_YET = "Run once, and the classes of this file are listed here."


def class_list(name: str, folders: Iterable[Path]) -> tuple[list[list[str]], str]:
    """The names of each class of a classifier, the first of them its own; or why they are not known, as a phrase."""
    try:
        choice = find(name, folders)
    except LookupError as error:
        return [], str(error.args[0])
    labels = _labels(choice)
    return [[name.strip() for name in label.split(",")] for label in labels], "" if labels else NOT_YET


def _labels(choice: Choice) -> tuple[str, ...]:
    card = choice.path and (read_card(choice.path) or read_card(conversion_of(choice.path)))
    if card:
        return card.labels
    return known_labels(choice.hub.labels) if choice.hub else ()
