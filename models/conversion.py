"""Open any classifier file; a file of another format is converted once, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .architectures import build_network
from .catalog import EXTENSION, SECOND_EXTENSIONS
from .classifier import ClassifierCard, RobustClassifier
from .clip import text_tensors, tower_of
from .files import is_file, too_long
from .format import load_classifier, read_card, save_classifier
from .label_file import SideFileError
from .labels import SHARED, fitting, own_labels
from .normalisation import assumption
from .sidecar import DataConfig, files_beside, read_sidecar
from .state_dict import CheckpointError, assign_weights, weights
from .third_party import ASSUMED, read_third_party

# Keys of `card.training` in a converted file.
ORIGIN = "converted_from"
SIZE = "converted_bytes"
READER = "converted_by"
READER_VERSION = 2
"""Raised when files are read differently, so that a file is converted again. The first overlooked most statistics."""
SIDECAR = "sidecar"
"""The name of the sidecar there was. Its values are not in the converted file: it may change, or be taken away."""
CONVERSION = (ORIGIN, SIZE, READER, SIDECAR)


@dataclass(frozen=True)
class Opened:
    """A classifier, and how it was read."""

    classifier: RobustClassifier
    source: Path
    """The file it was read from: the converted file where there is one."""
    notes: tuple[str, ...]
    """Sentences for the user."""


def open_classifier(path: Path, about: Mapping[str, Any] | None = None, given: DataConfig | None = None) -> Opened:
    """Read a classifier from a file of any format this pack knows.

    A file of another format is converted to this pack's format beside the original. The converted file is read from
    then on, also when the original has been deleted. What the user says in files beside it is read each time.

    Args:
        path: the file.
        about: `title`, `training` and `licence` for the card of a file of another format.
        given: input size, mean and std instead of those of the file and its sidecar.

    Raises:
        FileNotFoundError: neither the file nor a converted file exists.
        CheckpointError: it, or a file beside it, cannot be read; nothing was written.
    """
    try:
        # First, because a broken one is to be mended before anything is converted.
        read_sidecar(path)
        opened = _open(path, about)
        card, notes = _with_side_files(opened.classifier.card, opened.source, given)
    except SideFileError as error:
        raise CheckpointError(str(error)) from error
    network = opened.classifier.network
    if card.architecture != opened.classifier.card.architecture:
        # A sidecar can name the activation of a CLIP, which has no weights.
        with torch.device("meta"):
            network = build_network(card.architecture, len(card.labels))
        assign_weights(network, weights(opened.classifier.network))
    classifier = RobustClassifier(network, card, opened.classifier.seeds)
    return Opened(classifier, opened.source, (*opened.notes, *notes))


def read_any_card(path: Path) -> ClassifierCard | None:
    """Read the card of a classifier as `open_classifier` would give it; None before its file is converted.

    Raises:
        SideFileError: a file beside it cannot be used.
    """
    for source in (path, conversion_of(path)):
        card = read_card(source)
        if card is not None:
            return _with_side_files(card, source)[0]
    return None


def side_files(path: Path) -> list[Path]:
    """The files beside a classifier's file that say something about it, which need not exist."""
    card = read_card(path)
    file = _original(card, path) if card else path
    return [*files_beside(file, ".json"), *files_beside(file, ".txt"), *(file.with_name(name) for name in SHARED)]


def independent(card: ClassifierCard) -> ClassifierCard:
    """The card of a copy that is nobody's converted file: nothing beside it says more about it."""
    training = {key: value for key, value in card.training.items() if key not in CONVERSION}
    return replace(card, training=training)


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
    return long if is_file(short) else short


def _is_conversion(card: ClassifierCard | None, path: Path) -> bool:
    return card is not None and card.training.get(ORIGIN) == path.name


def _is_current(card: ClassifierCard, path: Path) -> bool:
    return (card.training.get(SIZE), card.training.get(READER)) == (path.stat().st_size, READER_VERSION)


def _open(path: Path, about: Mapping[str, Any] | None) -> Opened:
    converted = conversion_of(path)
    if not is_file(path) and not is_file(converted):
        raise FileNotFoundError(f"There is no classifier file at {path}.")
    if read_card(path):
        return Opened(load_classifier(path), path, ())
    card = read_card(converted)
    ours = _is_conversion(card, path)
    if card and ours and (not is_file(path) or _is_current(card, path)):
        return Opened(load_classifier(converted), converted, ())
    classifier, recognised = read_third_party(path, about)
    notes = [recognised]
    if card and not ours:
        return Opened(classifier, path, (*notes, f"It was not converted, because {converted.name} is another file."))
    if too_long(converted):
        too_long_note = f"It was not converted, because {converted.name} is too long for a name: give it a shorter one."
        return Opened(classifier, path, (*notes, too_long_note))
    return _converted(classifier, path, converted, notes)


def _converted(classifier: RobustClassifier, path: Path, converted: Path, notes: list[str]) -> Opened:
    size, sidecar = path.stat().st_size, read_sidecar(path)
    training = {**classifier.card.training, ORIGIN: path.name, SIZE: size, READER: READER_VERSION}
    kept = ""
    if sidecar and (sidecar.config != DataConfig() or sidecar.quick_gelu is not None):
        training[SIDECAR] = sidecar.path.name
        kept = f" Keep {sidecar.path.name}."
    classifier.card = replace(classifier.card, training=training)
    try:
        save_classifier(classifier, converted, text_tensors(path) if tower_of(classifier) else None)
        classifier = load_classifier(converted)
    except (OSError, ValueError) as error:
        return Opened(classifier, path, (*notes, f"It could not be converted to {converted.name}: {error}"))
    notes.append(f"Converted to {converted.name}: {converted.stat().st_size / 1e6:.0f} MB instead of {size / 1e6:.0f}.")
    # Where something was assumed, the original may be needed again.
    if ASSUMED not in _configured(classifier.card, sidecar.config if sidecar else DataConfig()).training:
        notes[-1] += f" {path.name} is no longer needed and may be deleted.{kept}"
    return Opened(classifier, converted, tuple(notes))


def _with_side_files(
    card: ClassifierCard, source: Path, given: DataConfig | None = None
) -> tuple[ClassifierCard, tuple[str, ...]]:
    """Give a card what its user has written beside its file, also since it was converted, and what is given.

    Returns:
        The card, and sentences for the user.
    """
    file, classes = _original(card, source), len(card.labels)
    sidecar = read_sidecar(file)
    own = None
    # What was converted from another format was recognised, too, and says no more than its original.
    own_format = file == source and read_card(source) is not None
    # A CLIP's image tower without classes has no names to read, whatever lies beside it.
    if classes and not own_format:
        own = own_labels(file, classes)
    elif classes and sidecar and sidecar.labels:
        own = fitting(sidecar.labels, sidecar.path, file, classes)
    if own:
        card = replace(card, labels=own[0])
    notes = []
    if sidecar:
        notes.append(str(sidecar))
    elif file != source and (gone := card.training.get(SIDECAR)):
        notes.append(
            f"{gone}, which gave its input size, mean, std or activation, is gone: {source.name} is used without them."
        )
    if "quick_gelu" in card.architecture:
        if sidecar and sidecar.quick_gelu is not None:
            card = replace(card, architecture={**card.architecture, "quick_gelu": sidecar.quick_gelu})
        elif not own_format:
            activation = "QuickGELU" if card.architecture["quick_gelu"] else "GELU"
            notes.append(f"Its activation was taken to be {activation}, which the file does not say.")
    card = _configured(card, (given or DataConfig()).over(sidecar.config if sidecar else DataConfig()))
    if sentence := card.training.get(ASSUMED):
        notes.append(str(sentence))
    return card, tuple(notes)


def _configured(card: ClassifierCard, config: DataConfig) -> ClassifierCard:
    """Give a card the data config of its user, which takes the place of what was assumed."""
    card = config.apply_to(card)
    if ASSUMED not in card.training or not (config.mean or config.std):
        return card
    training = {key: value for key, value in card.training.items() if key != ASSUMED}
    if not config.mean:
        training[ASSUMED] = assumption(mean=card.mean)
    elif not config.std:
        training[ASSUMED] = assumption(std=card.std)
    return replace(card, training=training)


def _original(card: ClassifierCard, source: Path) -> Path:
    """The file that a converted file was made from, which need not exist any more; any other file itself."""
    origin = source.with_name(str(card.training.get(ORIGIN) or source.name))
    return origin if conversion_of(origin) == source else source
