"""Which classifiers can be loaded: those that ship with the pack, and the files in a user's folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

BUNDLED = Path(__file__).parent / "bundled"
EXTENSION = ".safetensors"


def bundled_classifiers() -> dict[str, Path]:
    """The classifiers that ship with the pack, by name (`canvas`, `seasons`, `styles`)."""
    return {path.stem: path for path in sorted(BUNDLED.glob(f"*{EXTENSION}"))}


def user_classifiers(folders: Iterable[Path]) -> dict[str, Path]:
    """The classifier files below `folders`, by their path inside the folder, with `/` between its parts.

    A name that stands in two folders is the first folder's. Folders that do not exist are passed over: a
    user who has no classifiers of their own has no such folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob(f"*{EXTENSION}")):
            found.setdefault(path.relative_to(folder).as_posix(), path)
    return found
