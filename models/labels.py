"""Class names for classifiers whose files have none: a user's own list, or that of a known data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .names import label_names

KNOWN = Path(__file__).parent / "labels"
OWN = "labels.txt"
MAX_BYTES = 1_000_000
DATA_SETS = {
    "imagenet": "ImageNet's 1000 class names",
    "cifar10": "CIFAR-10's class names",
    "restricted_imagenet": "Restricted ImageNet's nine class names",
}
# Data sets of two classes are told apart by words of the file's name: their own names or the paper's short ones.
PAIRS = {"horse2zebra": "h2z", "apple2orange": "a2o", "summer2winter": "s2w"}


class LabelsError(ValueError):
    """A list of class names that does not fit its classifier or cannot be read; the message names the file."""


def labels_of(file: Path, classes: int, label_lists: Mapping[int, str]) -> tuple[tuple[str, ...], str]:
    """Find the class names of a classifier whose file has none.

    Looks for `<name>.txt` beside the file, then for `labels.txt` in its folder (ignored where it has another number of
    classes: it may belong to another file), then for a data set known by the number of classes.

    Args:
        file: the classifier's.
        classes: the number of logits.
        label_lists: the known list for a number of classes, see `Architecture.label_lists`.

    Returns:
        For each class its name, then further names after commas; and the source of the names, as a phrase.

    Raises:
        LabelsError: `<name>.txt` has another number of names, or a list is not text.
    """
    own = own_labels(file, classes)
    if own is not None:
        return read_labels(own), f"the class names of {own.name}"
    if classes in label_lists:
        known = label_lists[classes]
        return known_labels(known), DATA_SETS[known]
    if classes == 2:
        words = set(re.split(r"[^a-z0-9]+", file.stem.lower()))
        for pair, short in PAIRS.items():
            if words & {pair, short}:
                return known_labels(pair), f"the class names {' and '.join(known_labels(pair))}"
    numbered = tuple(f"class {index}" for index in range(classes))
    return numbered, f"no class names (put a {file.stem}.txt beside it, a line for each of its {classes} classes)"


def own_labels(file: Path, classes: int) -> Path | None:
    """Find a user's list of class names for a classifier file.

    Raises:
        LabelsError: the list named after the classifier has another number of names, or a list is not text.
    """
    named, shared = file.with_suffix(".txt"), file.with_name(OWN)
    if named.is_file():
        count = len(read_labels(named))
        if count != classes:
            raise LabelsError(
                f"{named.name} has {count} lines, and {file.name} has {classes} classes. Write one line for each "
                "class, in the order of the logits."
            )
        return named
    if shared.is_file() and len(read_labels(shared)) == classes:
        return shared
    return None


def known_labels(name: str) -> tuple[str, ...]:
    """Read the class names of a known data set, by the name of its file in `labels/`."""
    return read_labels(KNOWN / f"{name}.txt")


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a list of class names, one class a line; empty lines at the end are ignored.

    Raises:
        LabelsError: it is not UTF-8 text, has an empty line between others, or is too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise LabelsError(f"{path.name} is too large for a list of class names.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path.name} is not a text file in UTF-8: save it as one.") from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    for number, line in enumerate(lines, 1):
        if not label_names(line)[0]:
            raise LabelsError(f"Line {number} of {path.name} has no class name.")
    return tuple(lines)
