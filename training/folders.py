"""The class folders of a data set: in a folder or in a zip, in one set or split into `train` and `test`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.files import shortened, too_long
from ..synthesis import ExpressionError, parse_class_expression
from ..synthesis.picture_folder import SUFFIXES

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

MAX_CLASSES = 1000
LISTED_NAMES = 5
"""Messages name so many files or folders."""


class DataError(ValueError):
    """A folder that cannot be trained on; the message says why, and what to do."""


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of one split, in alphabetical order."""

    labels: tuple[str, ...]
    folders: tuple[Traversable, ...]

    def files(self) -> dict[str, list[Traversable]]:
        """The pictures of each class, by its label."""
        return {label: _picture_files(folder) for label, folder in zip(self.labels, self.folders, strict=True)}


def find_splits(source: Path) -> dict[str, ClassFolders]:
    """The class folders of the split `train`, and of `test` if there is one.

    A folder that holds exactly the folders `train` and `test` is split; any other holds the class folders themselves,
    and its only split is `train`.

    Args:
        source: a folder, or a zip file of one.

    Raises:
        DataError: there is no such folder, it has less than 2 or more than 1000 classes, a class has no pictures or an
            impossible name, or the splits have different classes.
    """
    root = _root(source)
    inside = {folder.name: folder for folder in _folders(root)}
    if inside.keys() != {"train", "test"}:
        return {"train": _class_folders(root, source.name)}
    splits = {name: _class_folders(folder, source.name) for name, folder in inside.items()}
    if splits["train"].labels != splits["test"].labels:
        odd = listed(sorted({*splits["train"].labels} ^ {*splits["test"].labels}))
        raise DataError(f"The folders 'train' and 'test' of '{source.name}' do not have the same classes: {odd}.")
    return splits


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    return ", ".join(names[:LISTED_NAMES]) + more


def _root(source: Path) -> Traversable:
    if too_long(source):
        raise DataError(f"'{shortened(source.name)}' is too long for the name of a folder: no folder can have it.")
    if source.is_dir():
        root: Traversable = source
    elif source.is_file() and zipfile.is_zipfile(source):
        root = _open_zip(source)
    elif source.exists():
        raise DataError(f"'{source.name}' is neither a folder nor a zip file.")
    else:
        raise DataError(f"There is no folder '{source.name}' at {source.parent}.")
    # The zip of a folder holds that folder.
    inside = _folders(root)
    while len(inside) == 1 and len(_folders(inside[0])) > 0 and not _picture_files(root):
        root, inside = inside[0], _folders(inside[0])
    return root


def _open_zip(source: Path) -> zipfile.Path:
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise DataError(f"'{source.name}' is a damaged zip file ({error}).") from error
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise DataError(f"'{source.name}' is locked with a password: unpack it into a folder.")
    return zipfile.Path(archive)


def _folders(parent: Traversable) -> list[Traversable]:
    # Archives made on a Mac have a folder __MACOSX for file attributes.
    inside = [entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]
    return sorted(inside, key=lambda entry: entry.name)


def _picture_files(parent: Traversable) -> list[Traversable]:
    inside = [e for e in parent.iterdir() if Path(e.name).suffix.lower() in SUFFIXES and not e.name.startswith(".")]
    return sorted((entry for entry in inside if not entry.is_dir()), key=lambda entry: entry.name)


def _class_folders(parent: Traversable, source: str) -> ClassFolders:
    folders = _folders(parent)
    labels = tuple(folder.name for folder in folders)
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
        if not _can_be_asked_for(label, index, labels):
            raise DataError(
                f"The folder '{label}' of '{source}' cannot be the name of a class, because a comma or a leading minus "
                "means something else where a class is asked for, or because another folder has nearly the same name. "
                "Rename it."
            )
    empty = [folder.name for folder in folders if not _picture_files(folder)]
    if empty:
        raise DataError(
            f"There are no pictures in {listed(empty)} of '{source}': put some in ({', '.join(sorted(SUFFIXES))}), or "
            "take the folder away."
        )
    return ClassFolders(labels, tuple(folders))


def _can_be_asked_for(label: str, index: int, labels: Sequence[str]) -> bool:
    try:
        return parse_class_expression(label, labels).weights == ((index, 1.0),)
    except ExpressionError:
        return False
