"""The classifiers that can be loaded: bundled with the pack, in a user's folders, and on the Hugging Face Hub."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

BUNDLED = Path(__file__).parent / "bundled"
CATALOG = Path(__file__).parent / "catalog.json"
EXTENSION = ".safetensors"
SECOND_EXTENSIONS = (".best", ".latest", ".last", ".tar")
"""What training code appends to an extension: `checkpoint.pt.best`, `model_best.pth.tar`."""
EXTENSIONS = (EXTENSION, ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".th", ".t7", *SECOND_EXTENSIONS)
"""Of a user's files. All but the first are converted before they are used."""


@dataclass(frozen=True)
class HubFile:
    """One file of the catalogue: its place on the Hugging Face Hub, and what its authors report about it."""

    repository: str
    revision: str
    filename: str
    title: str
    architecture: str
    norm: str
    epsilon: float
    """For pixel values from 0 to 1 with `l2`, in units of 1/255 with `linf`, as the authors give it."""
    clean_accuracy: float
    """The share of unattacked test images that are classified correctly."""
    megabytes: float
    licence: str
    labels: str
    data: str
    input_size: int
    recommended: bool = False
    sha256: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.filename).stem

    @property
    def url(self) -> str:
        """The file's URL, on the mirror that HF_ENDPOINT names if there is one."""
        # Imported here, because it takes a good part of a second and most sessions never use the Hub.
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.filename, revision=self.revision)

    @property
    def about(self) -> dict[str, Any]:
        """Title, training and licence for `open_classifier`."""
        return {
            "title": f"{self.data}: {self.title}",
            "training": {
                "data": self.data,
                "norm": self.norm,
                "epsilon": self.epsilon / 255 if self.norm == "linf" else self.epsilon,
                "clean_accuracy": self.clean_accuracy,
                "source": f"{self.repository}@{self.revision}/{self.filename}",
            },
            "licence": self.licence,
        }


@dataclass(frozen=True)
class Choice:
    """A classifier that can be chosen; `path` is None until it is downloaded, `hub` None unless it is the Hub's."""

    name: str
    path: Path | None
    hub: HubFile | None
    note: str


def bundled_classifiers() -> dict[str, Path]:
    """Find the classifiers that ship with the pack, by name (`canvas`, `painters`, `seasons`)."""
    return {path.stem: path for path in sorted(BUNDLED.glob(f"*{EXTENSION}"))}


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
def _catalog() -> tuple[HubFile, ...]:
    files: list[HubFile] = []
    for source in json.loads(CATALOG.read_text(encoding="utf-8"))["sources"]:
        entries, recommended = source.pop("files"), source.pop("recommended")
        mine = {file.name: file for file in (HubFile(**source, **entry) for entry in entries)}
        files += [replace(mine.pop(name), recommended=True) for name in recommended]
        files += mine.values()
    return tuple(sorted(files, key=lambda file: not file.recommended))


def hub_classifiers() -> dict[str, HubFile]:
    """Return the catalogue's files by name, the recommended ones first, in the catalogue's order."""
    return {file.name: file for file in _catalog()}


def choices(folders: Iterable[Path]) -> dict[str, Choice]:
    """List all classifiers that can be chosen, by name: the bundled ones, the user's, the Hub's.

    A file of the Hub in one of `folders` (converted to `NAME.safetensors`, or as it was downloaded) is listed once, as
    the Hub's, with its path.
    """
    mine = user_classifiers(folders)
    from_hub: dict[str, Choice] = {}
    for name, file in hub_classifiers().items():
        downloaded, converted = mine.pop(file.filename, None), mine.pop(f"{name}{EXTENSION}", None)
        path = converted or downloaded
        where = (
            f"from the Hub, {in_megabytes(path.stat().st_size)}, here"
            if path
            else f"on the Hub, {in_megabytes(file.megabytes * 1e6)}, not here yet"
        )
        from_hub[name] = Choice(name, path, file, where)
    bundled = {name: Choice(name, path, None, "bundled") for name, path in bundled_classifiers().items()}
    return (
        bundled
        | {name: Choice(name, path, None, in_megabytes(path.stat().st_size)) for name, path in mine.items()}
        | from_hub
    )


def find(name: str, folders: Iterable[Path]) -> Choice:
    """Find the choice of this name. Only listed names are found, so that no name leads out of `folders`.

    Saved workflows keep old names: a file that was converted and then deleted is found as its converted file, and a
    file of the Hub also under its file name.

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
        if stem in hub_classifiers():
            return listed[stem]
    nearest = difflib.get_close_matches(name, listed, n=3, cutoff=0.4)
    meant = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
    raise LookupError(
        f"There is no classifier named {name!r}.{meant} The list of classifiers has all that can be used."
    )


def in_megabytes(count: float) -> str:
    """Format a number of bytes: `205 MB`, `0.4 MB`."""
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e6:.1f} MB"
