"""A zip file as the folder that it holds."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Literal

from .errors import DataError


class ZipEntry:
    """A file or a folder in a zip file; `zipfile.Path` would search the whole archive for each folder."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name = archive, name
        self.member: zipfile.ZipInfo | None = None
        """None: a folder."""
        self.inside: dict[str, ZipEntry] = {}

    def is_dir(self) -> bool:
        return self.member is None

    def is_file(self) -> bool:
        return self.member is not None

    def iterdir(self) -> list[ZipEntry]:
        return list(self.inside.values())

    def open(self, mode: Literal["rb"]) -> IO[bytes]:  # noqa: ARG002 (as Path.open)
        assert self.member is not None, "a folder cannot be opened"
        return self.archive.open(self.member)


def open_zip(source: Path) -> ZipEntry:
    """The folder in a zip file.

    Raises:
        DataError: it is damaged or locked with a password.
    """
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise DataError(f"'{source.name}' is a damaged zip file ({error}).") from error
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise DataError(f"'{source.name}' is locked with a password: unpack it into a folder.")
    root = ZipEntry(archive, source.name)
    for member in archive.infolist():
        entry = root
        # Windows' own tar writes `./` before each name, and older .NET writes backslashes.
        path = member.filename.replace("\\", "/")
        for name in (part for part in path.split("/") if part not in ("", ".")):
            entry = entry.inside.setdefault(name, ZipEntry(archive, name))
        if not path.endswith("/"):
            entry.member = member
    return root
