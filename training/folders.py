"""The class folders of a data set: in a folder or in a zip, in one set or split for training, validation and test."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..models.files import shortened, too_long
from ..models.names import comparable, label_names
from ..synthesis import single_class
from ..synthesis.picture_files import (
    Entry,
    FoundFiles,
    ReadReport,
    find_files,
    is_picture,
    listed,
    not_read,
    subfolders,
)
from .archive import open_zip
from .errors import DataError

MAX_CLASSES = 1000
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What a folder of that name is for, see `comparable`."""


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of one split, in alphabetical order."""

    labels: tuple[str, ...]
    found: tuple[FoundFiles, ...]
    """The files of each class."""
    prefix: str = ""
    """Before the names of its files in messages: `test/`; empty for the training pictures."""

    def files(self) -> Iterator[tuple[int, str, Entry]]:
        """The class, the name for messages, and the file of each picture."""
        for index, (label, found) in enumerate(zip(self.labels, self.found, strict=True)):
            for path, entry in found.pictures.items():
                yield index, f"{self.prefix}{label}/{path}", entry

    def others(self) -> list[str]:
        """The names of the files that are no pictures."""
        found = zip(self.labels, self.found, strict=True)
        return [f"{self.prefix}{label}/{path}" for label, files in found for path in files.others]


@dataclass(frozen=True)
class DataFolders:
    """The class folders of a data set."""

    splits: dict[str, ClassFolders]
    """Of `train`, and of `validation` and `test` if they have folders of their own."""
    beside: tuple[str, ...]
    """Pictures in no class folder, and folders (`a/`) beside those of the splits."""


def find_folders(source: Path, report: ReadReport | None = None) -> DataFolders:
    """The class folders of a data set.

    A folder that holds a folder `train` and a folder `val` or `test` is split, whatever else it holds; the names of
    `SPLITS` are known in any case. Any other holds the class folders themselves. All files below a class folder
    are its own.

    Args:
        source: a folder, or a zip file of one.
        report: see `ReadReport`.

    Raises:
        DataError: there is no such folder, it has less than 2 or more than 1000 classes, a class has no pictures or an
            impossible name, or the splits have different classes.
        ValueError: a class has more than a million files.
    """
    root = _root(source)
    inside = subfolders(root)
    splits = _split_folders(inside, source.name)
    if not splits:
        return DataFolders({"train": _class_folders(root, source.name, report)}, tuple(_pictures_in(root)))
    train = _class_folders(splits["train"], source.name, report)
    found = {"train": train}
    beside = [*_pictures_in(root), *(f"{folder.name}/" for folder in inside if folder not in splits.values())]
    for split, folder in splits.items():
        beside += [f"{folder.name}/{name}" for name in _pictures_in(folder)]
        if split != "train":
            found[split] = _same_classes(folder, train, splits["train"].name, source.name, report)
    return DataFolders(found, tuple(beside))


def _root(source: Path) -> Entry:
    if too_long(source):
        raise DataError(f"'{shortened(source.name)}' is too long for the name of a folder: no folder can have it.")
    if source.is_dir():
        root: Entry = source
    elif source.is_file() and zipfile.is_zipfile(source):
        root = open_zip(source)
    elif source.exists():
        raise DataError(f"'{source.name}' is neither a folder nor a zip file.")
    else:
        raise DataError(f"There is no folder '{source.name}' at {source.parent}.")
    # The zip of a folder holds that folder.
    inside = subfolders(root)
    while len(inside) == 1 and subfolders(inside[0]) and not _pictures_in(root):
        root, inside = inside[0], subfolders(inside[0])
    return root


def _pictures_in(folder: Entry) -> list[str]:
    """The names of the pictures directly in a folder."""
    return sorted(entry.name for entry in folder.iterdir() if is_picture(entry.name) and entry.is_file())


def _split_folders(inside: Sequence[Entry], source: str) -> dict[str, Entry]:
    """The folders of the splits, by what they are for; none: they are the class folders."""
    found: dict[str, Entry] = {}
    for folder in inside:
        split = SPLITS.get(comparable(folder.name))
        if split in found:
            raise DataError(
                f"'{source}' has '{found[split].name}' and '{folder.name}', which mean the same: join them."
            )
        if split is not None:
            found[split] = folder
    if "train" not in found and len(found) == len(inside) == 2:
        names = " and ".join(f"'{folder.name}'" for folder in inside)
        raise DataError(f"'{source}' holds {names}, but no folder 'train': put the pictures to learn from into one.")
    return found if "train" in found and len(found) > 1 else {}


def _same_classes(
    folder: Entry, train: ClassFolders, train_name: str, source: str, report: ReadReport | None
) -> ClassFolders:
    """The class folders of another split in the order of the training pictures'."""
    other = _class_folders(folder, source, report)
    names = {comparable(label): label for label in train.labels}
    own = {comparable(label): found for label, found in zip(other.labels, other.found, strict=True)}
    if names.keys() != own.keys():
        odd = listed(sorted({*train.labels} ^ {*other.labels}))
        raise DataError(
            f"The folders '{train_name}' and '{folder.name}' of '{source}' do not have the same classes: {odd}."
        )
    return ClassFolders(train.labels, tuple(own[name] for name in names), f"{folder.name}/")


def _class_folders(parent: Entry, source: str, report: ReadReport | None) -> ClassFolders:
    folders = subfolders(parent)
    # macOS writes accents as characters of their own.
    labels = tuple(unicodedata.normalize("NFC", folder.name) for folder in folders)
    if len(labels) < 2:
        found = f"has one class only, '{labels[0]}'" if labels else "holds no class folders"
        raise DataError(
            f"'{source}' {found}. A classifier tells classes apart: make a folder for each of two or more, with "
            "pictures of that class alone (for instance roses/ and other_flowers/)."
        )
    if len(labels) > MAX_CLASSES:
        raise DataError(
            f"'{source}' has {len(labels)} class folders, and {MAX_CLASSES} is the most. Each folder is one class, "
            "not one picture: put pictures of the same kind into the same folder."
        )
    for index, label in enumerate(labels):
        if label.encode("utf-8", "replace").decode() != label:
            raise DataError(
                f"The folder {label!a} of '{source}' has characters in its name that cannot be written. Rename it."
            )
        if not _can_be_asked_for(label, index, labels):
            raise DataError(
                f"The folder '{label}' of '{source}' cannot be the name of a class, because a comma or a leading minus "
                "means something else where a class is asked for, or because another folder has nearly the same name. "
                "Rename it."
            )
    classes = ClassFolders(labels, tuple(find_files(folder, report) for folder in folders))
    empty = [label for label, files in zip(labels, classes.found, strict=True) if not files.pictures]
    if empty:
        raise DataError(
            f"There are no pictures in {listed(empty)} of '{source}' that can be read: put some in (PNG, JPEG, WebP, "
            f"TIFF and others), or take the folder away. {not_read(classes.others())}".strip()
        )
    return classes


def _can_be_asked_for(label: str, index: int, labels: Sequence[str]) -> bool:
    # A comma separates classes, or the names of one.
    return len(label_names(label)) == 1 and single_class(label, labels) == index
