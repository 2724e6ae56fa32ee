"""The pictures to train on: a folder of class folders, or a zip of one, decoded once into memory."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..synthesis import ExpressionError, parse_class_expression
from ..synthesis.picture_folder import PICTURE_ERRORS, SUFFIXES, opaque_picture

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FEWEST_PICTURES = 10
"""Of a class, that it can be learned from."""
MOST_CLASSES = 1000
VALIDATION_SHARE, MOST_VALIDATION = 0.1, 650
_SHOWN = 5

Report = Callable[[int, int], None]
"""Called with (pictures read, pictures in all); may raise to stop."""


class DataError(ValueError):
    """A folder that cannot be trained on; the message says why, and what to do."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and what they show."""

    images: Tensor
    """`[N, 3, S, S]`, uint8."""
    classes: Tensor
    """`[N]`, int64."""

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, rows: Tensor | slice) -> Pictures:
        return Pictures(self.images[rows], self.classes[rows])


@dataclass(frozen=True)
class TrainingData:
    """What a classifier is trained on, and what it is measured with."""

    labels: tuple[str, ...]
    """The names of the class folders, in the order of the alphabet."""
    train: Pictures
    validation: Pictures
    """Part of the training pictures, kept aside: what decides anything is decided by these."""
    test: Pictures | None
    """For the last report only; None where there is no folder of that name."""
    unreadable: tuple[str, ...]
    """The files that are no pictures that can be read, and were left out."""
    copies: tuple[str, ...]
    """The training files that were left out because they show, to the pixel as they are read, what another does: all
    but one of a class; all where two classes have the picture, because only one can be right; and what is in `test`
    too, so that nothing is measured with what was learned."""

    @property
    def left_out(self) -> str:
        """Which files were left out, and why, in words; empty: none."""
        why = {"cannot be read": self.unreadable, "are copies of other pictures": self.copies}
        return "\n".join(f"Left out, because they {reason}: {_some(names)}" for reason, names in why.items() if names)

    @property
    def digest(self) -> str:
        """What another folder with the same pictures would give, and no other."""
        hashed = hashlib.sha256("\0".join(self.labels).encode())
        for pictures in (self.train, self.validation):
            hashed.update(pictures.images.numpy().tobytes())
            hashed.update(pictures.classes.numpy().tobytes())
        return hashed.hexdigest()


def read_data(source: Path, size: int, report: Report | None = None) -> TrainingData:
    """Read all pictures of a folder, or zip, of class folders.

    It may hold the class folders, or the folders `train` and `test` with the class folders in each. Pictures are cut
    to their middle square, reduced (or enlarged) to `size` by Lanczos; transparency is flattened onto white; of a
    moving picture the first frame is taken. Each training picture is taken once. The validation pictures are the same
    each time.

    Args:
        source: the folder or the zip file.
        size: height and width of a picture, in pixels.
        report: see `Report`.

    Raises:
        DataError: there is no such folder, or it does not hold two or more classes with enough pictures each.
    """
    root = _root(source)
    parts = {place.name: place for place in _folders(root)}
    labels, folders = _class_folders(parts["train"] if _is_split(parts) else root, source.name)
    files = {label: _files(folder) for label, folder in zip(labels, folders, strict=True)}
    test_files: dict[str, list[Traversable]] = {}
    if _is_split(parts):
        test_labels, test_folders = _class_folders(parts["test"], source.name)
        if test_labels != labels:
            odd = _some(sorted({*labels} ^ {*test_labels}))
            raise DataError(f"The folders 'train' and 'test' of '{source.name}' do not have the same classes: {odd}.")
        test_files = {label: _files(folder) for label, folder in zip(labels, test_folders, strict=True)}
    reader = _Reader(size, sum(map(len, [*files.values(), *test_files.values()])), report)
    pictures, names = reader.read(files)
    test = reader.read(test_files)[0] if test_files else None
    kept = deduplicate(pictures, test)
    copies = tuple(name for name, keep in zip(names, kept.tolist(), strict=True) if not keep)
    pictures = pictures[kept]
    _refuse_too_few(labels, pictures, reader.unreadable, copies, source.name)
    if test is not None and not len(test):
        raise DataError(f"No picture in 'test' of '{source.name}' can be read: {_some(reader.unreadable)}.")
    rows = torch.zeros(len(pictures), dtype=torch.bool)
    share = min(VALIDATION_SHARE, MOST_VALIDATION / len(pictures))
    generator = torch.Generator().manual_seed(0)
    for index in range(len(labels)):
        own = (pictures.classes == index).nonzero().flatten()
        rows[own[torch.randperm(len(own), generator=generator)[: max(1, round(share * len(own)))]]] = True
    return TrainingData(labels, pictures[~rows], pictures[rows], test, tuple(reader.unreadable), copies)


def class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes that `read_data` would find, without reading a picture.

    Raises:
        DataError: as `read_data`.
    """
    root = _root(source)
    parts = {place.name: place for place in _folders(root)}
    return _class_folders(parts["train"] if _is_split(parts) else root, source.name)[0]


def read_split(source: Path, split: str, size: int) -> tuple[Pictures, tuple[str, ...]]:
    """The pictures of one of the folders `train` and `test`, and the names of their classes.

    Raises:
        DataError: see `read_data`.
    """
    labels, folders = _class_folders({place.name: place for place in _folders(_root(source))}[split], source.name)
    files = {label: _files(folder) for label, folder in zip(labels, folders, strict=True)}
    return _Reader(size, sum(map(len, files.values())), None).read(files)[0], labels


def _root(source: Path) -> Traversable:
    if source.is_dir():
        root: Traversable = source
    elif source.is_file() and zipfile.is_zipfile(source):
        root = _opened(source)
    elif source.exists():
        raise DataError(f"'{source.name}' is neither a folder nor a zip file.")
    else:
        raise DataError(f"There is no folder '{source.name}' at {source.parent}.")
    # A zip of a folder holds that folder.
    inside = _folders(root)
    while len(inside) == 1 and len(_folders(inside[0])) > 0 and not _files(root):
        root, inside = inside[0], _folders(inside[0])
    return root


def _opened(source: Path) -> zipfile.Path:
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise DataError(f"'{source.name}' is a damaged zip file ({error}).") from error
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise DataError(f"'{source.name}' is locked with a password: unpack it into a folder.")
    return zipfile.Path(archive)


def _is_split(parts: Mapping[str, Traversable]) -> bool:
    return parts.keys() == {"train", "test"}


def _folders(place: Traversable) -> list[Traversable]:
    # Archives made on a Mac have a folder of their own for its attributes.
    inside = [entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]
    return sorted(inside, key=lambda entry: entry.name)


def _files(place: Traversable) -> list[Traversable]:
    inside = [e for e in place.iterdir() if Path(e.name).suffix.lower() in SUFFIXES and not e.name.startswith(".")]
    return sorted((entry for entry in inside if not entry.is_dir()), key=lambda entry: entry.name)


def _class_folders(place: Traversable, source: str) -> tuple[tuple[str, ...], list[Traversable]]:
    folders = _folders(place)
    labels = tuple(folder.name for folder in folders)
    if len(labels) < 2:
        found = f"has one class only, '{labels[0]}'" if labels else "holds no class folders"
        raise DataError(
            f"'{source}' {found}. A classifier tells classes apart: make a folder for each of two or more, with "
            "pictures of that class alone (for instance roses/ and other_flowers/)."
        )
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"'{source}' has {len(labels)} class folders, and {MOST_CLASSES} is the most. Each folder is one class, "
            "not one picture: put pictures of the same kind into the same folder."
        )
    for index, label in enumerate(labels):
        if not _can_be_asked_for(label, index, labels):
            raise DataError(
                f"The folder '{label}' of '{source}' cannot be the name of a class, because a comma or a leading minus "
                "means something else where a class is asked for, or because another folder has nearly the same name. "
                "Rename it."
            )
    empty = [folder.name for folder in folders if not _files(folder)]
    if empty:
        raise DataError(
            f"There are no pictures in {_some(empty)} of '{source}': put some in ({', '.join(sorted(SUFFIXES))}), or "
            "take the folder away."
        )
    return labels, folders


def _can_be_asked_for(label: str, index: int, labels: Sequence[str]) -> bool:
    try:
        return parse_class_expression(label, labels).weights == ((index, 1.0),)
    except ExpressionError:
        return False


def deduplicate(pictures: Pictures, others: Pictures | None) -> Tensor:
    """Which pictures to keep, `[N]`, so that each is there once, in one class, and is none of `others`: see
    `TrainingData.copies`."""
    shown = [_content(image) for image in pictures.images]
    taken = set() if others is None else {_content(image) for image in others.images}
    classes: dict[bytes, set[int]] = {}
    for content, index in zip(shown, pictures.classes.tolist(), strict=True):
        classes.setdefault(content, set()).add(index)
    kept: list[bool] = []
    for content in shown:
        kept.append(content not in taken and len(classes[content]) == 1)
        taken.add(content)
    return torch.tensor(kept, dtype=torch.bool)


def _content(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def _refuse_too_few(
    labels: Sequence[str], pictures: Pictures, unreadable: Sequence[str], copies: Sequence[str], source: str
) -> None:
    counts = torch.bincount(pictures.classes, minlength=len(labels)).tolist()
    few = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True) if count < FEWEST_PICTURES]
    if few:
        broken = f" Not read, because they are damaged or no pictures: {_some(unreadable)}." if unreadable else ""
        broken += f" Not counted, because they are copies of other pictures: {_some(copies)}." if copies else ""
        raise DataError(
            f"'{source}' has too few pictures of {_some(few)}: a class needs {FEWEST_PICTURES} at the very least, and "
            f"looks good from a hundred or so.{broken}"
        )


def _some(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class _Reader:
    """Decodes pictures, several at once, and counts them."""

    def __init__(self, size: int, count: int, report: Report | None) -> None:
        self.size, self.count, self.report = size, count, report
        self.done = 0
        self.unreadable: list[str] = []

    def read(self, files: Mapping[str, Sequence[Traversable]]) -> tuple[Pictures, list[str]]:
        """The pictures that can be read, and their names."""
        images: list[Tensor] = []
        names: list[str] = []
        classes: list[int] = []
        # Decoding lets go of Python's lock.
        with ThreadPoolExecutor() as pool:
            try:
                for index, (label, places) in enumerate(files.items()):
                    for place, picture in zip(places, pool.map(self._decoded, places), strict=True):
                        self._count()
                        name = f"{label}/{place.name}"
                        if picture is None:
                            self.unreadable.append(name)
                        else:
                            images.append(picture)
                            names.append(name)
                            classes.append(index)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        stacked = torch.stack(images) if images else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        return Pictures(stacked, torch.tensor(classes, dtype=torch.int64)), names

    def _count(self) -> None:
        self.done += 1
        if self.report is not None:
            self.report(self.done, self.count)

    def _decoded(self, place: Traversable) -> Tensor | None:
        try:
            # Twice the size leaves Lanczos something to reduce.
            with place.open("rb") as file:
                picture = opaque_picture(file, 2 * self.size)
        except (*PICTURE_ERRORS, zipfile.BadZipFile, zlib.error, NotImplementedError):
            return None
        fitted = ImageOps.fit(picture, (self.size, self.size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1).contiguous()
