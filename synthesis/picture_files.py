"""Which files of a folder are pictures, at any depth, and what the others are called."""

from __future__ import annotations

import functools
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Protocol

from PIL import Image, ImageFile

MAX_ENTRIES = 1_000_000
"""A walk through more files and folders than this is refused: a link to a whole disk leads there."""
LISTED_NAMES = 5
"""Messages name so many files or folders."""
HEIC = frozenset({".heic", ".heif", ".hif"})
_REPORT_INTERVAL = 256
# Files of the system and of network drives, beside those whose name begins with a dot.
_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "system volume information"})

ReadReport = Callable[[int, int], None]
"""Called with (pictures read, pictures in all), or, while they are looked for, with (0, pictures found); may raise to
stop."""


class Entry(Protocol):
    """A file or a folder, on disk (`pathlib.Path`) or in a zip file."""

    @property
    def name(self) -> str: ...
    def is_dir(self) -> bool: ...
    def is_file(self) -> bool: ...
    def iterdir(self) -> Iterable[Entry]: ...
    def open(self, mode: Literal["rb"]) -> IO[bytes]: ...


@functools.cache
def picture_suffixes() -> frozenset[str]:
    """The suffixes of what Pillow decodes here, plugins such as pillow-heif included: `.png`, `.jfif`, `.avif`."""
    suffixes = Image.registered_extensions()
    return frozenset({".mpo", *(suffix for suffix, name in suffixes.items() if name in Image.OPEN and _decodes(name))})


def _decodes(image_format: str) -> bool:
    # Pillow recognises MPEG, but decodes none of it, and EPS is a program that Ghostscript would run.
    factory = Image.OPEN[image_format][0]
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    return not stub and image_format not in {"MPEG", "EPS"}


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture which can be read, and not hidden."""
    return not _is_hidden(name) and _suffix(name) in picture_suffixes()


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_hidden(name: str) -> bool:
    # macOS writes a `._name.jpg` beside a name.jpg on disks of other systems, and a folder __MACOSX into archives.
    return name.startswith((".", "__MACOSX")) or name.casefold() in _SYSTEM


def _order(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def subfolders(folder: Entry) -> list[Entry]:
    """The folders directly in a folder, by name, without hidden ones and links that lead back to where they are."""
    above = _above(folder)
    inside = [entry for entry in folder.iterdir() if not _is_hidden(entry.name) and entry.is_dir()]
    inside = [entry for entry in inside if not (_may_be_link(entry) and _real(entry) in above)]
    return sorted(inside, key=lambda entry: _order(entry.name))


def _may_be_link(folder: Entry) -> bool:
    # Windows has junctions, which Python recognises from 3.12 on.
    return isinstance(folder, Path) and (os.name == "nt" or folder.is_symlink())


def _real(folder: Entry) -> Path | None:
    """Where a folder on disk really is; None in a zip file, which has no links."""
    return folder.resolve() if isinstance(folder, Path) else None


def _above(folder: Entry) -> set[Path | None]:
    """A folder on disk and all that it is in, by its path and by where it really is."""
    if not isinstance(folder, Path):
        return set()
    real, written = folder.resolve(), folder.absolute()
    return {real, *real.parents, *(parent.resolve() for parent in written.parents)}


@dataclass
class FoundFiles:
    """The files of a folder, by their path in it (`a/b.png`), in alphabetical order."""

    pictures: dict[str, Entry] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    """Files that are no pictures which can be read here, and folders (`a/`) that cannot be listed."""


def find_files(folder: Entry, report: ReadReport | None = None) -> FoundFiles:
    """Find the files of a folder, at any depth. Hidden ones are left out, and each folder is entered once.

    Raises:
        ValueError: it holds more than a million files and folders.
        OSError: it cannot be listed.
    """
    found = FoundFiles()
    visited = _above(folder)
    waiting: list[tuple[str, list[Entry]]] = [("", list(folder.iterdir()))]
    count = 0
    while waiting:
        prefix, entries = waiting.pop()
        for entry in entries:
            count += 1
            if report is not None and count % _REPORT_INTERVAL == 0:
                report(0, len(found.pictures))
            if count > MAX_ENTRIES:
                raise ValueError(
                    f"'{folder.name}' holds more than {MAX_ENTRIES:,} files. Is there a link in it to a whole disk?"
                )
            path = f"{prefix}{entry.name}"
            if _is_hidden(entry.name):
                continue
            if is_picture(entry.name) and entry.is_file():
                found.pictures[path] = entry
            elif entry.is_dir():
                waiting += _inside(entry, path, visited, found)
            else:
                found.others.append(path)
    return FoundFiles(
        {path: found.pictures[path] for path in sorted(found.pictures, key=_order)}, sorted(found.others, key=_order)
    )


def _inside(folder: Entry, path: str, visited: set[Path | None], found: FoundFiles) -> list[tuple[str, list[Entry]]]:
    """The entries of a folder that was not visited yet."""
    real = _real(folder)
    if real is not None and real in visited:
        return []
    visited.add(real)
    try:
        return [(f"{path}/", list(folder.iterdir()))]
    except OSError:
        found.others.append(f"{path}/")
        return []


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    # Linux has names that are no Unicode, which can be neither written nor shown as they are.
    shown = (name.encode("utf-8", "backslashreplace").decode() for name in names[:LISTED_NAMES])
    return ", ".join(shown) + more


def not_read(others: Sequence[str]) -> str:
    """In words, which files were not read, because they are no pictures that can be; empty: none."""
    if not others:
        return ""
    # Photos before captions and the like, because they are missed.
    names = sorted(others, key=lambda name: _suffix(name) not in HEIC)
    kinds = Counter("/" if name.endswith("/") else _suffix(name) for name in names)
    words = {"": "without a suffix", "/": "folders that cannot be opened"}
    counted = ", ".join(f"{count} {words.get(kind, kind)}" for kind, count in kinds.most_common())
    text = f"Not read, because they are no pictures that can be read here: {counted} ({listed(names)})."
    if HEIC & kinds.keys():
        text += (
            " HEIC is how iPhones save photos: turn them into JPEGs (on a Mac select them, right-click, Quick Actions, "
            "Convert Image; in Windows open them in Photos and save them as JPEG), and set the phone to Settings > "
            "Camera > Formats > Most Compatible."
        )
    return text
