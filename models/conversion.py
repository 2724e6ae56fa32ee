"""Open any classifier file; a file of another format is converted once, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .catalog import EXTENSION
from .classifier import RobustClassifier
from .format import load_classifier, read_card, save_classifier
from .labels import LabelsError, own_labels, read_labels
from .state_dict import CheckpointError
from .third_party import read_third_party

# Keys of `card.training` in a converted file.
ORIGIN = "converted_from"
SIZE = "converted_bytes"


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
    """Return the path of a file's converted file, which need not exist."""
    if path.suffix.lower() == EXTENSION:
        return path.with_name(f"{path.stem}.converted{EXTENSION}")
    return path.with_suffix(EXTENSION)


def _with_own_labels(classifier: RobustClassifier, path: Path) -> Opened:
    """Give a converted classifier the class names that its user has written since."""
    origin = classifier.card.training.get(ORIGIN)
    try:
        own = own_labels(path, len(classifier.labels)) if origin else None
        labels = read_labels(own) if own else classifier.card.labels
    except LabelsError as error:
        raise CheckpointError(str(error)) from error
    classifier.card = replace(classifier.card, labels=labels)
    return Opened(classifier, path, ())
