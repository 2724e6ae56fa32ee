"""Opening any classifier file; what is not in this pack's format is written in it once, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .catalog import EXTENSION
from .checkpoints import CheckpointError, load_classifier, read_card, save_classifier
from .classifier import RobustClassifier
from .labels import LabelsError, own_labels, read_labels
from .third_party import read_third_party

ORIGIN = "converted_from"
SIZE = "converted_bytes"


@dataclass(frozen=True)
class Opened:
    """A classifier, and what was done to get it."""

    classifier: RobustClassifier
    source: Path
    """The file it was read from: the conversion where there is one."""
    notes: tuple[str, ...]
    """What the user should know, in sentences."""


def open_classifier(path: Path, about: Mapping[str, Any] | None = None) -> Opened:
    """Read a classifier from a file of any kind this pack knows.

    A file of another format is converted: written beside the original in this pack's format, which is what is read
    the next time, and when the original is gone.

    Args:
        path: the file.
        about: `title`, `training` and `licence` for the card of a file of another format.

    Raises:
        FileNotFoundError: neither the file nor a conversion of it is there.
        CheckpointError: it cannot be read; nothing was written.
    """
    if not path.is_file() and not conversion_of(path).is_file():
        raise FileNotFoundError(f"There is no classifier file at {path}.")
    if read_card(path):
        return _with_own_labels(load_classifier(path), path)
    converted = conversion_of(path)
    card = read_card(converted)
    ours = card is not None and card.training.get(ORIGIN) == path.name
    if card and ours and (not path.is_file() or card.training.get(SIZE) == path.stat().st_size):
        return _with_own_labels(load_classifier(converted), converted)
    classifier, recognised = read_third_party(path, about)
    notes = [f"{path.name} is {recognised}."]
    if card and not ours:
        return Opened(classifier, path, (*notes, f"It was not converted, because {converted.name} is another file."))
    size = path.stat().st_size
    training = {**classifier.card.training, ORIGIN: path.name, SIZE: size}
    classifier.card = replace(classifier.card, training=training)
    try:
        save_classifier(classifier, converted)
        classifier = load_classifier(converted)
    except (OSError, ValueError) as error:
        return Opened(classifier, path, (*notes, f"It could not be converted to {converted.name}: {error}"))
    notes.append(
        f"Converted to {converted.name}: {converted.stat().st_size / 1e6:.0f} MB instead of {size / 1e6:.0f}. "
        f"{path.name} is no longer needed and may be deleted."
    )
    return Opened(classifier, converted, tuple(notes))


def conversion_of(path: Path) -> Path:
    """Where the conversion of a file is, or would be."""
    if path.suffix.lower() == EXTENSION:
        return path.with_name(f"{path.stem}.converted{EXTENSION}")
    return path.with_suffix(EXTENSION)


def _with_own_labels(classifier: RobustClassifier, path: Path) -> Opened:
    """A conversion with the class names that its user has written since."""
    origin = classifier.card.training.get(ORIGIN)
    try:
        own = own_labels(path, len(classifier.labels)) if origin else None
        labels = read_labels(own) if own else classifier.card.labels
    except LabelsError as error:
        raise CheckpointError(str(error)) from error
    classifier.card = replace(classifier.card, labels=labels)
    return Opened(classifier, path, ())
