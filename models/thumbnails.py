"""Small pictures of a classifier's classes, for the editor's class picker: one sheet beside the classifier's file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .catalog import find
from .conversion import conversion_of
from .files import is_file
from .format import read_card

SIDE, COLUMNS = 64, 8
"""The sheet's pictures, in the order of the classes, are so many pixels wide and high, and so many in a row."""
EXTENSION = ".classes.jpg"
MAX_CLASSES = 200
"""A classifier of more has no sheet: a picture takes a quarter of a second or more."""


def sheet_of(path: Path) -> Path:
    """The sheet of a classifier's file, which need not exist."""
    return path.with_name(path.stem + EXTENSION)


def find_sheet(name: str, folders: Iterable[Path]) -> Path | None:
    """The sheet of the classifier of a name; None if it has none, or there is no such classifier."""
    try:
        path = find(name, folders).path
    except LookupError:
        return None
    if path is None:
        return None
    # It is beside the file that is read.
    sheet = sheet_of(path if read_card(path) else conversion_of(path))
    return sheet if is_file(sheet) else None
