"""The pictures to train on, decoded once into memory."""

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

from ..synthesis.picture_folder import PICTURE_ERRORS, opaque_picture
from .folders import DataError, find_splits, listed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

MIN_PICTURES = 10
"""Of each class."""
VALIDATION_FRACTION, MAX_VALIDATION = 0.1, 650

Report = Callable[[int, int], None]
"""Called with (pictures read, pictures in all); may raise to stop."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and their classes."""

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
    """The names of the class folders, in alphabetical order."""
    train: Pictures
    validation: Pictures
    """Held out from the training pictures: every choice is made by these."""
    test: Pictures | None
    """For the final figures only; None without a folder `test`."""
    unreadable: tuple[str, ...]
    """Files that are damaged or no pictures, left out."""
    copies: tuple[str, ...]
    """Training files left out because another has the same pixels at this size: all but one of a class; all if the
    picture is in two classes, because only one can be right; and what is in `test`, too."""

    @property
    def left_out(self) -> str:
        """Which files were left out, and why, in words; empty: none."""
        reasons = {"cannot be read": self.unreadable, "are copies of other pictures": self.copies}
        return "\n".join(f"Left out, because they {why}: {listed(names)}" for why, names in reasons.items() if names)

    @property
    def digest(self) -> str:
        """A hash of labels, training and validation pictures."""
        hashed = hashlib.sha256("\0".join(self.labels).encode())
        for pictures in (self.train, self.validation):
            hashed.update(pictures.images.numpy().tobytes())
            hashed.update(pictures.classes.numpy().tobytes())
        return hashed.hexdigest()


def read_data(source: Path, size: int, report: Report | None = None) -> TrainingData:
    """Read the pictures of a folder of class folders.

    Pictures are cropped to their middle square and resized to `size` by Lanczos; transparency is flattened onto white;
    an animation gives its first frame. Copies are left out. The validation pictures are the same each time.

    Args:
        source: the folder, or a zip file of it. It holds the class folders, or folders `train` and `test` with the
            class folders in each.
        size: height and width of a picture, in pixels.
        report: see `Report`.

    Raises:
        DataError: there is no such folder, or it does not hold two or more classes with enough pictures each.
    """
    splits = find_splits(source)
    labels, files = splits["train"].labels, splits["train"].files()
    test_files = splits["test"].files() if "test" in splits else {}
    reader = _Reader(size, sum(map(len, [*files.values(), *test_files.values()])), report)
    pictures, names = reader.read(files)
    test = reader.read(test_files)[0] if test_files else None
    kept = deduplicate(pictures, test)
    copies = tuple(name for name, keep in zip(names, kept.tolist(), strict=True) if not keep)
    pictures = pictures[kept]
    _refuse_too_few(labels, pictures, reader.unreadable, copies, source.name)
    if test is not None and not len(test):
        raise DataError(f"No picture in 'test' of '{source.name}' can be read: {listed(reader.unreadable)}.")
    held_out = _held_out(pictures, len(labels))
    return TrainingData(labels, pictures[~held_out], pictures[held_out], test, tuple(reader.unreadable), copies)


def class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes that `read_data` would find, without reading a picture.

    Raises:
        DataError: as `read_data`.
    """
    return find_splits(source)["train"].labels


def read_split(source: Path, split: str, size: int) -> tuple[Pictures, tuple[str, ...]]:
    """The pictures of one of the splits `train` and `test`, copies included, and the names of their classes.

    Raises:
        DataError: as `read_data`.
        KeyError: there is no such split.
    """
    found = find_splits(source)[split]
    files = found.files()
    return _Reader(size, sum(map(len, files.values())), None).read(files)[0], found.labels


def deduplicate(pictures: Pictures, others: Pictures | None) -> Tensor:
    """Which pictures to keep, bool `[N]`, so that each is there once, in one class, and is none of `others`: see
    `TrainingData.copies`."""
    hashes = [_hash(image) for image in pictures.images]
    seen = set() if others is None else {_hash(image) for image in others.images}
    classes: dict[bytes, set[int]] = {}
    for digest, index in zip(hashes, pictures.classes.tolist(), strict=True):
        classes.setdefault(digest, set()).add(index)
    kept: list[bool] = []
    for digest in hashes:
        kept.append(digest not in seen and len(classes[digest]) == 1)
        seen.add(digest)
    return torch.tensor(kept, dtype=torch.bool)


def _hash(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def _held_out(pictures: Pictures, classes: int) -> Tensor:
    """Which pictures are for validation, bool `[N]`: the same fraction of each class, at random from a fixed seed."""
    rows = torch.zeros(len(pictures), dtype=torch.bool)
    fraction = min(VALIDATION_FRACTION, MAX_VALIDATION / len(pictures))
    generator = torch.Generator().manual_seed(0)
    for index in range(classes):
        own = (pictures.classes == index).nonzero().flatten()
        rows[own[torch.randperm(len(own), generator=generator)[: max(1, round(fraction * len(own)))]]] = True
    return rows


def _refuse_too_few(
    labels: Sequence[str], pictures: Pictures, unreadable: Sequence[str], copies: Sequence[str], source: str
) -> None:
    counts = torch.bincount(pictures.classes, minlength=len(labels)).tolist()
    few = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True) if count < MIN_PICTURES]
    if few:
        reasons = f" Not read, because they are damaged or no pictures: {listed(unreadable)}." if unreadable else ""
        reasons += f" Not counted, because they are copies of other pictures: {listed(copies)}." if copies else ""
        raise DataError(
            f"'{source}' has too few pictures of {listed(few)}: a class needs {MIN_PICTURES} at the very least, and "
            f"looks good from a hundred or so.{reasons}"
        )


class _Reader:
    """Decodes pictures in parallel, and counts them."""

    def __init__(self, size: int, count: int, report: Report | None) -> None:
        self.size, self.count, self.report = size, count, report
        self.done = 0
        self.unreadable: list[str] = []

    def read(self, files: Mapping[str, Sequence[Traversable]]) -> tuple[Pictures, list[str]]:
        """The pictures that can be read, and their names."""
        images: list[Tensor] = []
        names: list[str] = []
        classes: list[int] = []
        # Pillow releases the interpreter lock while it decodes.
        with ThreadPoolExecutor() as pool:
            try:
                for index, (label, entries) in enumerate(files.items()):
                    for entry, image in zip(entries, pool.map(self._decode, entries), strict=True):
                        self._count()
                        name = f"{label}/{entry.name}"
                        if image is None:
                            self.unreadable.append(name)
                        else:
                            images.append(image)
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

    def _decode(self, entry: Traversable) -> Tensor | None:
        try:
            # Twice the size leaves detail for Lanczos to filter.
            with entry.open("rb") as file:
                picture = opaque_picture(file, 2 * self.size)
        except (*PICTURE_ERRORS, zipfile.BadZipFile, zlib.error, NotImplementedError):
            return None
        fitted = ImageOps.fit(picture, (self.size, self.size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1).contiguous()
