"""The names of classes, for classifiers whose files do not tell: a user's own list, or that of a known data set."""

from __future__ import annotations

import re
from pathlib import Path

KNOWN = Path(__file__).parent / "labels"
OWN = "labels.txt"
LARGEST = 1_000_000
# Two classes tell nothing by their number: names of the paper's files, and of the data's, do.
PAIRS = {"horse2zebra": "h2z", "apple2orange": "a2o", "summer2winter": "s2w"}


class LabelsError(ValueError):
    """A list of class names that does not fit its classifier, or cannot be read; the message names the file."""


def labels_of(file: Path, classes: int, cifar: bool) -> tuple[tuple[str, ...], str]:
    """The class names of a classifier whose file has none.

    Looks for `<name>.txt` beside the file, then for `labels.txt` in its folder (passed over where it has another
    number of classes: it may be a neighbour's), then for a data set known by the number of classes.

    Args:
        file: the classifier's.
        classes: the number of logits.
        cifar: whether the network is made for CIFAR's 32 x 32 pixels.

    Returns:
        For each class its name, then further names after commas; and where they come from, as a phrase.

    Raises:
        LabelsError: `<name>.txt` has another number of names, or a list is no text.
    """
    own = own_labels(file, classes)
    if own is not None:
        return read_labels(own), f"the class names of {own.name}"
    if classes == 1000:
        return known_labels("imagenet"), "ImageNet's 1000 class names"
    if classes == 10 and cifar:
        return known_labels("cifar10"), "CIFAR-10's class names"
    if classes == 9:
        return known_labels("restricted_imagenet"), "Restricted ImageNet's nine class names"
    if classes == 2:
        words = set(re.split(r"[^a-z0-9]+", file.stem.lower()))
        for pair, short in PAIRS.items():
            if words & {pair, short}:
                return known_labels(pair), f"the class names {' and '.join(known_labels(pair))}"
    numbered = tuple(f"class {index}" for index in range(classes))
    return numbered, f"no class names (put a {file.stem}.txt beside it, a line for each of its {classes} classes)"


def own_labels(file: Path, classes: int) -> Path | None:
    """A user's list of class names for a classifier file, if there is one.

    Raises:
        LabelsError: the list that bears the classifier's name has another number of names, or a list is no text.
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
    """The class names of a known data set, by the name of its file here."""
    return read_labels(KNOWN / f"{name}.txt")


def read_labels(path: Path) -> tuple[str, ...]:
    """A list of class names, one class a line, empty lines at the end left out.

    Raises:
        LabelsError: it is no UTF-8 text, has an empty line in between, or is far too large.
    """
    if path.stat().st_size > LARGEST:
        raise LabelsError(f"{path.name} is too large for a list of class names.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path.name} is not a text file in UTF-8: save it as one.") from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    for number, line in enumerate(lines, 1):
        if not line.split(",")[0].strip():
            raise LabelsError(f"Line {number} of {path.name} has no class name.")
    return tuple(lines)
