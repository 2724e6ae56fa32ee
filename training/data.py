"""The pictures to train on, decoded once into memory."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..synthesis.picture_files import Entry, ReadReport, listed
from ..synthesis.picture_folder import PICTURE_ERRORS, PictureRangeError, opaque_picture
from .duplicates import find_copies
from .errors import DataError
from .folders import ClassFolders, find_folders
from .left_out import LeftOut
from .pictures import Pictures as Pictures

MIN_PICTURES = 10
"""Of each class."""
VALIDATION_FRACTION, MAX_VALIDATION = 0.1, 650


@dataclass(frozen=True)
class TrainingData:
    """What a classifier is trained on, and what it is measured with."""

    labels: tuple[str, ...]
    """The names of the class folders, in alphabetical order."""
    train: Pictures
    validation: Pictures
    """Every choice is made by these: the folder `val`, or held out from the training pictures."""
    test: Pictures | None
    """For the final figures only; None without a folder `test`."""
    left_out: LeftOut
    keeps_near_copies: bool = False
    """See `read_data`."""

    @property
    def digest(self) -> str:
        """A hash of labels, training and validation pictures."""
        hashed = hashlib.sha256("\0".join(self.labels).encode())
        for pictures in (self.train, self.validation):
            hashed.update(pictures.images.numpy().tobytes())
            hashed.update(pictures.classes.numpy().tobytes())
        return hashed.hexdigest()


def read_data(
    source: Path, size: int, report: ReadReport | None = None, keep_near_copies: bool = False
) -> TrainingData:
    """Read the pictures of a folder of class folders.

    Pictures are cropped to their middle square and resized to `size` by Lanczos; transparency is flattened onto white;
    an animation gives its first frame. Copies are left out, see `duplicates`. The validation pictures are the same each
    time.

    Args:
        source: the folder, or a zip file of it. It holds the class folders, or folders for training, validation and
            test with the class folders in each, see `find_folders`.
        size: height and width of a picture, in pixels.
        report: see `ReadReport`.
        keep_near_copies: only copies with the same pixels are left out, for runs that began so, see
            `saved_state.beginning`.

    Raises:
        DataError: there is no such folder, or it does not hold two or more classes with enough pictures each.
        ValueError: a class has more than a million files.
    """
    folders = find_folders(source, report)
    splits = folders.splits
    reader = _Reader(size, sum(len(found.pictures) for split in splits.values() for found in split.found), report)
    left_out = LeftOut(
        beside=folders.beside, others=tuple(name for split in splits.values() for name in split.others())
    )
    # What is kept aside comes first: the others must not have its pictures.
    aside: list[Pictures] = []
    kept: dict[str, Pictures] = {}
    for name in sorted(splits, key=["test", "validation", "train"].index):
        pictures, names = reader.read(splits[name])
        if name != "train" and not len(pictures):
            raise DataError(
                f"No picture in '{splits[name].prefix[:-1]}' of '{source.name}' can be read: "
                f"{listed(reader.unreadable)}."
            )
        if name != "test":
            copies = find_copies(pictures, _joined(aside), reader.check, exact_only=keep_near_copies)
            pictures = pictures[copies.kept]
            left_out = replace(
                left_out,
                copies=(*left_out.copies, *_marked(names, copies.exact)),
                near_copies=(*left_out.near_copies, *_marked(names, copies.near)),
            )
        kept[name] = pictures
        aside.append(pictures)
    left_out = replace(left_out, unreadable=tuple(reader.unreadable))
    labels = splits["train"].labels
    _refuse_too_few(labels, kept["train"], left_out, source.name)
    train, validation = _with_validation(kept, len(labels))
    if len(kept.get("validation", ())):
        left_out = replace(left_out, unmeasured=len(kept["validation"]) - len(validation))
    return TrainingData(labels, train, validation, kept.get("test"), left_out, keep_near_copies)


def _marked(names: Sequence[str], marks: Tensor) -> list[str]:
    return [name for name, marked in zip(names, marks.tolist(), strict=True) if marked]


def _joined(parts: Sequence[Pictures]) -> Pictures | None:
    if not parts:
        return None
    return Pictures(torch.cat([part.images for part in parts]), torch.cat([part.classes for part in parts]))


def class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes that `read_data` would find, without reading a picture.

    Raises:
        DataError, ValueError: as `read_data`.
    """
    return find_folders(source).splits["train"].labels


def read_split(source: Path, split: str, size: int) -> tuple[Pictures, tuple[str, ...]]:
    """The pictures of one of the splits `train`, `validation` and `test`, copies included, and the names of their
    classes.

    Raises:
        DataError, ValueError: as `read_data`.
        KeyError: there is no such split.
    """
    found = find_folders(source).splits[split]
    return _Reader(size, sum(len(files.pictures) for files in found.found), None).read(found)[0], found.labels


def _with_validation(kept: Mapping[str, Pictures], classes: int) -> tuple[Pictures, Pictures]:
    """The training and the validation pictures: of their own folder, or held out from the training pictures."""
    train = kept["train"]
    own = kept.get("validation")
    # All of them may be in the test folder, too.
    if own is not None and len(own):
        return train, own[_drawn(own, classes, min(1.0, MAX_VALIDATION / len(own)))]
    held_out = _drawn(train, classes, min(VALIDATION_FRACTION, MAX_VALIDATION / len(train)))
    return train[~held_out], train[held_out]


def _drawn(pictures: Pictures, classes: int, fraction: float) -> Tensor:
    """A fraction of each class, bool `[N]`, at random from a fixed seed; one picture at least."""
    rows = torch.zeros(len(pictures), dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for index in range(classes):
        own = (pictures.classes == index).nonzero().flatten()
        rows[own[torch.randperm(len(own), generator=generator)[: max(1, round(fraction * len(own)))]]] = True
    return rows


def _refuse_too_few(labels: Sequence[str], pictures: Pictures, left_out: LeftOut, source: str) -> None:
    counts = torch.bincount(pictures.classes, minlength=len(labels)).tolist()
    few = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True) if count < MIN_PICTURES]
    if few:
        raise DataError(
            f"'{source}' has too few pictures of {listed(few)}: a class needs {MIN_PICTURES} at the very least, and "
            f"looks good from a hundred or so. {left_out}".strip()
        )


class _Reader:
    """Decodes pictures in parallel, and counts them."""

    def __init__(self, size: int, count: int, report: ReadReport | None) -> None:
        self.size, self.count, self.report = size, count, report
        self.done = 0
        self.unreadable: list[str] = []

    def read(self, folders: ClassFolders) -> tuple[Pictures, list[str]]:
        """The pictures of a split that can be read, and their names."""
        images: list[Tensor] = []
        names: list[str] = []
        classes: list[int] = []
        files = list(folders.files())
        # Pillow releases the interpreter lock while it decodes.
        with ThreadPoolExecutor() as pool:
            try:
                decoded = pool.map(self._decode, (entry for _, _, entry in files))
                for (index, name, _), image in zip(files, decoded, strict=True):
                    self.done += 1
                    self.check()
                    if isinstance(image, Tensor):
                        images.append(image)
                        names.append(name)
                        classes.append(index)
                    else:
                        self.unreadable.append(name + image)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        stacked = torch.stack(images) if images else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        return Pictures(stacked, torch.tensor(classes, dtype=torch.int64)), names

    def check(self) -> None:
        """Report how far it is, so that the reading can be stopped."""
        if self.report is not None:
            self.report(self.done, self.count)

    def _decode(self, entry: Entry) -> Tensor | str:
        """The picture, or why it is none, to be put behind its name."""
        try:
            # Twice the size leaves detail for Lanczos to filter.
            with entry.open("rb") as file:
                picture = opaque_picture(file, 2 * self.size)
        except PictureRangeError as error:
            return f" ({error})"
        except (*PICTURE_ERRORS, zipfile.BadZipFile, zlib.error):
            return ""
        fitted = ImageOps.fit(picture, (self.size, self.size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1).contiguous()
