"""What the file system says about a path."""

from __future__ import annotations

import errno
from pathlib import Path

WINDOWS_TOO_LONG = 206
SHOWN = 60
"""More of a name would hide what a message says about it."""


def is_file(path: Path) -> bool:
    """As `Path.is_file`, but False for a name that is too long, for which some versions of Python raise."""
    try:
        return path.is_file()
    except OSError:
        return False


def too_long(path: Path) -> bool:
    """Whether a path is too long for the file system, as a whole or in one of its names."""
    folder = path.parent
    while not _is_folder(folder):
        folder = folder.parent
    # Of a path in a folder that does not exist yet, the system says only that.
    return any(map(_refused, (path, *(folder / name for name in path.relative_to(folder).parts))))


def shortened(name: str) -> str:
    """The beginning of a name, for a message."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}..."


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _refused(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG or getattr(error, "winerror", None) == WINDOWS_TOO_LONG
    return False
