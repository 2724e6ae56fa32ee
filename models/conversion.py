"""Open any classifier file; a file of another format is converted once, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .catalog import EXTENSION, SECOND_EXTENSIONS
from .classifier import ClassifierCard, RobustClassifier
from .format import load_classifier, read_card, save_classifier
from .labels import LabelsError, own_labels, read_labels
from .state_dict import CheckpointError
from .third_party import ASSUMED, read_third_party

# Keys of `card.training` in a converted file.
ORIGIN = "converted_from"
SIZE = "converted_bytes"
READER = "converted_by"
READER_VERSION = 2
"""Raised when files are read differently, so that a file is converted again. The first overlooked most statistics."""


@dataclass(frozen=True)
class Opened:
    """A classifier, and how it was read."""

    classifier: RobustClassifier
    source: Path
    """The file it was read from: the converted file where there is one."""
    notes: tuple[str, ...]
    """Sentences for the user."""


def open_classifier(path: Path, about: Mapping[str, Any] | None = None) -> Opened:
    """Read a classifier from a file of any format this pack knows.

    A file of another format is converted to this pack's format beside the original. The converted file is read from
    then on, also when the original has been deleted.

    Args:
        path: the file.
        about: `title`, `training` and `licence` for the card of a file of another format.

    Raises:
        FileNotFoundError: neither the file nor a converted file exists.
        CheckpointError: it cannot be read; nothing was written.
    """
    if not path.is_file() and not conversion_of(path).is_file():
        raise FileNotFoundError(f"There is no classifier file at {path}.")
    if read_card(path):
        return _with_own_labels(load_classifier(path), path)
    converted = conversion_of(path)
    card = read_card(converted)
    ours = _is_conversion(card, path)
    if card and ours and (not path.is_file() or _is_current(card, path)):
        return _with_own_labels(load_classifier(converted), converted)
    classifier, recognised = read_third_party(path, about)
    notes = [recognised, *_assumed(classifier)]
    if card and not ours:
        return Opened(classifier, path, (*notes, f"It was not converted, because {converted.name} is another file."))
    size = path.stat().st_size
    training = {**classifier.card.training, ORIGIN: path.name, SIZE: size, READER: READER_VERSION}
    classifier.card = replace(classifier.card, training=training)
    try:
        save_classifier(classifier, converted)
        classifier = load_classifier(converted)
    except (OSError, ValueError) as error:
        return Opened(classifier, path, (*notes, f"It could not be converted to {converted.name}: {error}"))
    notes.append(f"Converted to {converted.name}: {converted.stat().st_size / 1e6:.0f} MB instead of {size / 1e6:.0f}.")
    # Where something was assumed, the original may be needed again.
    if not _assumed(classifier):
        notes[-1] += f" {path.name} is no longer needed and may be deleted."
    return Opened(classifier, converted, tuple(notes))


def conversion_of(path: Path) -> Path:
    """Return the path of a file's converted file, which need not exist.

    It is `mine.safetensors` for `mine.ckpt`, and `mine.ckpt.safetensors` where the first is another file. A file whose
    name has two extensions (`mine.pt.best`) keeps both.
    """
    if path.suffix.lower() == EXTENSION:
        return path.with_name(f"{path.stem}.converted{EXTENSION}")
    long = path.with_name(f"{path.name}{EXTENSION}")
    if path.suffix.lower() in SECOND_EXTENSIONS:
        return long
    short = path.with_suffix(EXTENSION)
    for converted in (short, long):
        if _is_conversion(read_card(converted), path):
            return converted
    return long if short.is_file() else short


def _is_conversion(card: ClassifierCard | None, path: Path) -> bool:
    return card is not None and card.training.get(ORIGIN) == path.name


def _is_current(card: ClassifierCard, path: Path) -> bool:
    return (card.training.get(SIZE), card.training.get(READER)) == (path.stat().st_size, READER_VERSION)


def _assumed(classifier: RobustClassifier) -> list[str]:
    sentence = classifier.card.training.get(ASSUMED)
    return [str(sentence)] if sentence else []


def _with_own_labels(classifier: RobustClassifier, path: Path) -> Opened:
    """Give a converted classifier the class names that its user has written since."""
    origin = classifier.card.training.get(ORIGIN)
    try:
        own = own_labels(path, len(classifier.labels)) if origin else None
        labels = read_labels(own) if own else classifier.card.labels
    except LabelsError as error:
        raise CheckpointError(str(error)) from error
    classifier.card = replace(classifier.card, labels=labels)
    return Opened(classifier, path, tuple(_assumed(classifier)))
