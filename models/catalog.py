"""The classifiers that can be loaded: bundled with the pack, in a user's folders, on the Hub, on authors' servers."""

from __future__ import annotations

import difflib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

BUNDLED = Path(__file__).parent / "bundled"
CATALOG = Path(__file__).parent / "catalog.json"
EXTENSION = ".safetensors"
SECOND_EXTENSIONS = (".best", ".latest", ".last", ".tar")
"""What training code appends to an extension: `checkpoint.pt.best`, `model_best.pth.tar`."""
EXTENSIONS = (EXTENSION, ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".th", ".t7", *SECOND_EXTENSIONS)
"""Of a user's files. All but the first are converted before they are used."""


@dataclass(frozen=True, kw_only=True)
class CatalogFile(ABC):
    """One file of the catalogue, and what its authors report about it."""

    filename: str
    """What it is called on this machine."""
    title: str
    architecture: str
    norm: str
    epsilon: float
    """For pixel values from 0 to 1 with `l2`, in units of 1/255 with `linf`, as the authors give it."""
    megabytes: float
    """About, where it is not known exactly."""
    licence: str
    labels: str
    """The name of its list of class names; empty for the image tower of a CLIP."""
    data: str
    input_size: int
    clean_accuracy: float | None = None
    """The share of unattacked test images that are classified correctly; of a CLIP zero-shot, over several sets."""
    mean: tuple[float, float, float] | None = None
    """Of its training images, where its authors report it and the file does not have it."""
    std: tuple[float, float, float] | None = None
    recommended: bool = False
    sha256: str | None = None

    @property
    def name(self) -> str:
        path = PurePosixPath(self.filename)
        return path.with_suffix("").stem if path.suffix in SECOND_EXTENSIONS else path.stem

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is downloaded from."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Where it is from, for its card."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is from, for the list: `the Hub`."""

    @property
    def about(self) -> dict[str, Any]:
        """Title, training, licence, mean and std for `open_classifier`."""
        training = {
            "data": self.data,
            "norm": self.norm,
            "epsilon": self.epsilon / 255 if self.norm == "linf" else self.epsilon,
            "clean_accuracy": self.clean_accuracy,
            "source": self.source,
        }
        known = {key: value for key, value in training.items() if value is not None}
        about = {"title": f"{self.data}: {self.title}", "training": known, "licence": self.licence}
        return about | ({"mean": tuple(self.mean), "std": tuple(self.std)} if self.mean and self.std else {})


@dataclass(frozen=True, kw_only=True)
class HubFile(CatalogFile):
    """A file on the Hugging Face Hub."""

    repository: str
    revision: str
    published_as: str = ""
    """Its name in the repository, where that says nothing; empty: the same."""

    @property
    def remote_name(self) -> str:
        """Its name in the repository."""
        return self.published_as or self.filename

    @property
    def url(self) -> str:
        """The file's URL, on the mirror that HF_ENDPOINT names if there is one."""
        # Imported here, because it takes a good part of a second and most sessions never use the Hub.
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.remote_name, revision=self.revision)

    @property
    def source(self) -> str:
        return f"{self.repository}@{self.revision}/{self.remote_name}"

    @property
    def place(self) -> str:
        return "the Hub"


@dataclass(frozen=True, kw_only=True)
class WebFile(CatalogFile):
    """A file on a server of its authors, by https."""

    address: str

    @property
    def url(self) -> str:
        return self.address

    @property
    def source(self) -> str:
        return self.address

    @property
    def place(self) -> str:
        return str(urlsplit(self.address).hostname)


@dataclass(frozen=True)
class Choice:
    """A classifier that can be chosen.

    `path` is None until it is downloaded, `download` None unless it is the catalogue's.
    """

    name: str
    path: Path | None
    download: CatalogFile | None
    note: str


def bundled_classifiers() -> dict[str, Path]:
    """Find the classifiers that ship with the pack, by name (`canvas`, `painters` and others)."""
    return {path.stem: path for path in sorted(BUNDLED.glob(f"*{EXTENSION}"), key=lambda path: path.stem)}


def user_classifiers(folders: Iterable[Path]) -> dict[str, Path]:
    """Find the classifier files below `folders`, by their path inside the folder, with `/` between its parts.

    The first folder wins where two have the same name. Folders that do not exist are skipped, because a user without
    own classifiers has none. Names that begin with a dot are skipped, because unfinished downloads and conversions
    are in such folders. Links are followed, except one to a folder that it lies in.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        paths: list[Path] = []
        # The folders that each folder lies in, itself included; a link can lead into one of them.
        above: dict[Path, frozenset[str]] = {}
        for parent, below, names in os.walk(folder, followlinks=True):
            place = Path(parent)
            above[place] = above.get(place.parent, frozenset()) | {os.path.realpath(place)}
            below[:] = [
                name
                for name in below
                if not name.startswith(".") and os.path.realpath(place / name) not in above[place]
            ]
            paths += [place / name for name in names if not name.startswith(".")]
        for path in sorted(paths):
            # is_file is false for a broken link.
            if path.suffix.lower() in EXTENSIONS and path.is_file():
                found.setdefault(path.relative_to(folder).as_posix(), path)
    return found


@cache
def _catalog() -> tuple[CatalogFile, ...]:
    files: list[CatalogFile] = []
    for source in json.loads(CATALOG.read_text(encoding="utf-8"))["sources"]:
        entries, recommended, base = source.pop("files"), source.pop("recommended", []), source.pop("base", None)
        mine: dict[str, CatalogFile] = {}
        for entry in entries:
            file: CatalogFile
            if base is None:
                file = HubFile(**source, **entry)
            else:
                address = base + entry.pop("path")
                file = WebFile(**source, **entry, address=address)
            mine[file.name] = file
        files += [replace(mine.pop(name), recommended=True) for name in recommended]
        files += mine.values()
    return tuple(sorted(files, key=lambda file: not file.recommended))


def catalog_files() -> dict[str, CatalogFile]:
    """Return the catalogue's files by name, the recommended ones first, in the catalogue's order."""
    return {file.name: file for file in _catalog()}


def choices(folders: Iterable[Path]) -> dict[str, Choice]:
    """List all classifiers that can be chosen, by name: the bundled ones, the user's, the catalogue's.

    A file of the catalogue in one of `folders` (converted to `NAME.safetensors`, or as it was downloaded) is listed
    once, as the catalogue's, with its path.
    """
    mine = user_classifiers(folders)
    known: dict[str, Choice] = {}
    for name, file in catalog_files().items():
        downloaded = mine.pop(file.filename, None)
        # A file that is safetensors already is converted under a third name.
        stems = dict.fromkeys((name, file.filename, f"{name}.converted"))
        converted = [mine.pop(f"{stem}{EXTENSION}", None) for stem in stems]
        path = next(filter(None, converted), downloaded)
        where = (
            f"from {file.place}, {in_megabytes(path.stat().st_size)}, here"
            if path
            else f"on {file.place}, {in_megabytes(file.megabytes * 1e6)}, not here yet"
        )
        known[name] = Choice(name, path, file, where)
    bundled = {name: Choice(name, path, None, "bundled") for name, path in bundled_classifiers().items()}
    return (
        bundled
        | {name: Choice(name, path, None, in_megabytes(path.stat().st_size)) for name, path in mine.items()}
        | known
    )


def find(name: str, folders: Iterable[Path]) -> Choice:
    """Find the choice of this name. Only listed names are found, so that no name leads out of `folders`.

    Saved workflows keep old names: a file that was converted and then deleted is found as its converted file, and a
    file of the catalogue also under its file name.

    Raises:
        LookupError: there is none; the message suggests the most similar names.
    """
    listed = choices(folders)
    if name in listed:
        return listed[name]
    stem, dot, extension = name.rpartition(".")
    if dot + extension.lower() in EXTENSIONS:
        for converted in (f"{name}{EXTENSION}", f"{stem}{EXTENSION}"):
            if converted in listed:
                return listed[converted]
        if stem in catalog_files():
            return listed[stem]
    nearest = difflib.get_close_matches(name, listed, n=3, cutoff=0.4)
    meant = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
    raise LookupError(
        f"There is no classifier named {name!r}.{meant} The list of classifiers has all that can be used."
    )


def in_megabytes(count: float) -> str:
    """Format a number of bytes: `205 MB`, `0.4 MB`."""
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e6:.1f} MB"
