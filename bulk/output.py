"""The folder that pictures go to: what is there already, the manifest, and shards.

A picture file is complete or absent, and holds its own record, so that the manifest can be mended from the files
whenever a run ends: of a picture that was written and not yet listed only the line is missing.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from .jobs import JobError, Picture
from .picture_record import PARTIAL, Record, is_of, job_of, read, write_whole
from .shards import LOOSE, Shards

MANIFEST = "manifest.jsonl"
LOCK = ".lock"


class Output:
    """A folder of pictures, held by one run at a time. Use it in a `with` block."""

    def __init__(self, folder: Path, pictures: Sequence[Picture], hashes: dict[str, str], shard_size: int = 0) -> None:
        """Name the folder.

        Args:
            folder: where to; it need not exist.
            pictures: all that it is for, made or not.
            hashes: the SHA-256 of each classifier's files, by its name in the jobs.
            shard_size: pictures of a tar file in the WebDataset format; 0: files of their own.
        """
        self.folder = folder
        self.pictures, self._hashes = pictures, hashes
        self._shards = Shards(folder, shard_size, len(pictures)) if shard_size else None
        self._lock = FileLock(folder / LOCK)
        self.done: set[int] = set()
        """Numbers of the pictures that are there and listed."""

    @property
    def root(self) -> Path:
        """Where picture files are written, by their name."""
        return self.folder / LOOSE if self._shards else self.folder

    def __enter__(self) -> Output:
        """Lock the folder, and find what is there.

        Raises:
            JobError: another run holds it, or it has something else in it.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise JobError(f"'{self.folder}' is a file. Choose a folder.")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JobError(
                f"Another run is writing to '{self.folder}'. Wait for it, or choose another folder."
            ) from None
        try:
            self._find_done()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove_unfinished()
        if self._shards and not self._shards.waiting:
            shutil.rmtree(self.root, ignore_errors=True)
        self._lock.release()

    def add(self, records: Iterable[Record]) -> None:
        """List pictures that were written to `root`; a shard whose pictures are all there is packed."""
        # A worker that was restarted may tell of a picture twice.
        new = {record["number"]: record for record in records if record["number"] not in self.done}
        self.done.update(new)
        lines = list(new.values())
        if self._shards:
            lines = self._shards.packed(lines)
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as manifest:
            manifest.writelines(_line(record) for record in lines)

    def _find_done(self) -> None:
        path = self.folder / MANIFEST
        if not path.exists():
            holds_others = any(entry.name != LOCK for entry in self.folder.iterdir())
            if holds_others and not any(self._recovered(picture) for picture in self.pictures):
                raise JobError(f"'{self.folder}' holds other files. Choose a new folder, or an empty one.")
            path.touch()
        self._remove_unfinished()
        listed = _read(path)
        kept = {record["number"]: record for record in listed if self._is_there(record)}
        if any(("shard" in record) != bool(self._shards) for record in kept.values()):
            begun = "without" if self._shards else "with"
            raise JobError(f"'{self.folder}' was begun {begun} --shards. Go on like that, or choose a new folder.")
        found: list[Record] = []
        for picture in self.pictures:
            record = kept.get(picture.number) or self._recovered(picture)
            if record is None:
                continue
            if not is_of(record, job_of(picture, self._hashes[picture.job.classifier])):
                raise self._others(record)
            found.append(record)
        if kept and max(kept) >= len(self.pictures):
            raise self._others(kept[max(kept)])
        lines = self._shards.packed(found) if self._shards else found
        text = "".join(map(_line, lines))
        # Else what is left of a line would be the beginning of the next one.
        if text.encode() != path.read_bytes():
            write_whole(self.folder, MANIFEST, text.encode())
        self.done = {record["number"] for record in found}

    def _remove_unfinished(self) -> None:
        for folder in {self.folder, self.root}:
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)

    def _is_there(self, record: Record) -> bool:
        file: str = record["shard"] if "shard" in record else record["file"]
        return (self.folder / file).is_file()

    def _recovered(self, picture: Picture) -> Record | None:
        packed = self._shards.record(picture.number) if self._shards else None
        return packed or read(self.root / picture.name)

    def _others(self, record: Record) -> JobError:
        about = record.get("target_class") or record.get("picture", "")
        return JobError(
            f"'{self.folder}' holds pictures of other jobs (number {record['number']}: {record['operation']} "
            f"{about}, seed {record['seed']}). Choose a new folder, or give the same jobs; more may follow them."
        )


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _read(path: Path) -> list[Record]:
    """The records of a manifest, but for lines that a killed run or a power cut has left broken."""
    records: list[Record] = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            records.append(json.loads(line))
    return records
