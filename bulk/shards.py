"""WebDataset shards: tar files of `NUMBER.png` and `NUMBER.json`, each written when its pictures are all there."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from .picture_record import Record, write_whole

LOOSE = ".loose"
"""The folder of pictures whose shard is not complete."""


class Shards:
    """The shards of a folder: the first `size` pictures, the next, and so on."""

    def __init__(self, folder: Path, size: int, count: int) -> None:
        self.folder, self.size, self.count = folder, size, count
        self._waiting: dict[int, dict[int, Record]] = {}
        self._read: dict[str, dict[int, Record]] = {}

    def name(self, number: int) -> str:
        """The file of the shard that a picture belongs to; it names its first picture and its last."""
        first = number - number % self.size
        return f"{first:09}-{min(first + self.size, self.count) - 1:09}.tar"

    def record(self, number: int) -> Record | None:
        """What a shard tells of a picture; None if there is no such shard."""
        name = self.name(number)
        if name not in self._read:
            self._read[name] = _records(self.folder / name)
        return self._read[name].get(number)

    def packed(self, records: Iterable[Record]) -> list[Record]:
        """Take note of pictures, and pack what is complete.

        Returns:
            The records of all pictures that are in a shard now and were not listed before.
        """
        listed: list[Record] = []
        for record in records:
            if "shard" in record:
                listed.append(record)
                continue
            number = record["number"]
            shard = self._waiting.setdefault(number // self.size, {})
            shard[number] = record
            name = self.name(number)
            first = number - number % self.size
            if len(shard) == min(self.size, self.count - first):
                complete = [{**shard[index], "shard": name} for index in sorted(shard)]
                self._pack(name, complete)
                listed += complete
                del self._waiting[number // self.size]
        return listed

    def _pack(self, name: str, records: list[Record]) -> None:
        loose = self.folder / LOOSE
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for record in records:
                png = (loose / record["file"]).read_bytes()
                for suffix, part in (("png", png), ("json", json.dumps(record).encode())):
                    # A member without owner and time: the same pictures make the same file.
                    member = tarfile.TarInfo(f"{record['number']:09}.{suffix}")
                    member.size = len(part)
                    tar.addfile(member, io.BytesIO(part))
        write_whole(self.folder, name, content.getvalue())
        for record in records:
            (loose / record["file"]).unlink(missing_ok=True)


def _records(path: Path) -> dict[int, Record]:
    if not path.is_file():
        return {}
    with tarfile.open(path) as tar:
        members = (tar.extractfile(member) for member in tar if member.name.endswith(".json"))
        records: list[Record] = [json.loads(member.read()) for member in members if member]
    return {record["number"]: record for record in records}
