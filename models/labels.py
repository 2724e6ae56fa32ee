"""Class names for classifiers whose files have none: a user's own list, or that of a known data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .files import is_file
from .label_file import LabelsError as LabelsError
from .label_file import read_labels as read_labels
from .sidecar import files_beside, read_sidecar

KNOWN = Path(__file__).parent / "labels"
SHARED = ("labels.txt", "labels.json")
DATA_SETS = {
    "imagenet": "ImageNet's 1000 class names",
    "cifar10": "CIFAR-10's class names",
    "cifar100": "CIFAR-100's class names",
    "restricted_imagenet": "Restricted ImageNet's nine class names",
}
# Data sets of two classes are told apart by words of the file's name: their own names or the paper's short ones.
PAIRS = {"horse2zebra": "h2z", "apple2orange": "a2o", "summer2winter": "s2w"}


def labels_of(file: Path, classes: int, label_lists: Mapping[int, str]) -> tuple[tuple[str, ...], str]:
    """Find the class names of a classifier whose file has none.

    Looks for `<name>.txt` beside the file, then in its sidecar, then for `labels.txt` or `labels.json` in its folder
    (ignored where it has another number of classes: it may belong to another file), then for a data set known by the
    number of classes.

    Args:
        file: the classifier's.
        classes: the number of logits.
        label_lists: the known list for a number of classes, see `Architecture.label_lists`.

    Returns:
        For each class its name, then further names after commas; and the source of the names, as a phrase.

    Raises:
        SideFileError: `<name>.txt` or the sidecar has another number of names, or a list cannot be read.
    """
    own = own_labels(file, classes)
    if own is not None:
        return own[0], f"the class names of {own[1]}"
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


def own_labels(file: Path, classes: int) -> tuple[tuple[str, ...], str] | None:
    """Read a user's list of class names for a classifier file, and the name of the list's file; None if there is none.

    Raises:
        SideFileError: the list named after the classifier has another number of names, or a list cannot be read.
    """
    for path in files_beside(file, ".txt"):
        if is_file(path):
            return fitting(read_labels(path), path, file, classes)
    sidecar = read_sidecar(file)
    if sidecar and sidecar.labels:
        return fitting(sidecar.labels, sidecar.path, file, classes)
    for name in SHARED:
        path = file.with_name(name)
        if is_file(path) and len(labels := read_labels(path)) == classes:
            return labels, name
    return None


def fitting(labels: tuple[str, ...], path: Path, file: Path, classes: int) -> tuple[tuple[str, ...], str]:
    """Class names, and the name of their file.

    Raises:
        LabelsError: there are more or fewer of them than classes.
    """
    if len(labels) != classes:
        names = "1 class name" if len(labels) == 1 else f"{len(labels)} class names"
        raise LabelsError(
            f"{path.name} has {names}, and {file.name} has {classes} classes. Write one name for each class, in the "
            "order of the logits."
        )
    return labels, path.name


def known_labels(name: str) -> tuple[str, ...]:
    """Read the class names of a known data set, by the name of its file in `labels/`."""
    return read_labels(KNOWN / f"{name}.txt")
