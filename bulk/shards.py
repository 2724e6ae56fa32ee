"""WebDataset shards: tar files of `NUMBER.png` and `NUMBER.json`, each written when its pictures are all there."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from .picture_record import Record, write_whole

LOOSE = ".loose"
"""The folder of pictures whose shard is not complete."""


class Shards:
    """The shards of a folder: the first `size` pictures, the next, and so on.

    A file is named after its first picture and its last. Where jobs were added, the last shard of an earlier run stays,
    and what it lacks has a file of its own.
    """

    def __init__(self, folder: Path, size: int, count: int) -> None:
        self.folder, self.size, self.count = folder, size, count
        self.waiting: dict[int, dict[int, Record]] = {}
        """Pictures that are in no file yet, by shard and number."""
        self._packed: Counter[int] = Counter()

    def record(self, number: int) -> Record | None:
        """What the files tell of a picture; None if it is in none."""
        return self._in_files.get(number)

    @cached_property
    def _in_files(self) -> dict[int, Record]:
        return {number: record for path in sorted(self.folder.glob("*.tar")) for number, record in _records(path)}

    def packed(self, records: Iterable[Record]) -> list[Record]:
        """Take note of pictures, and pack what is complete.

        Returns:
            The records of all pictures that are in a shard now and were not listed before.
        """
        listed: list[Record] = []
        for record in records:
            shard = record["number"] // self.size
            if "shard" in record:
                self._packed[shard] += 1
                listed.append(record)
            else:
                self.waiting.setdefault(shard, {})[record["number"]] = record
        for shard in [shard for shard in self.waiting if self._is_complete(shard)]:
            pictures = self.waiting.pop(shard)
            name = f"{min(pictures):09}-{max(pictures):09}.tar"
            complete = [{**pictures[number], "shard": name} for number in sorted(pictures)]
            self._pack(name, complete)
            self._packed[shard] += len(complete)
            listed += complete
        return listed

    def _is_complete(self, shard: int) -> bool:
        return len(self.waiting[shard]) + self._packed[shard] == min(self.size, self.count - shard * self.size)

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


def _records(path: Path) -> list[tuple[int, Record]]:
    with tarfile.open(path) as tar:
        members = (tar.extractfile(member) for member in tar if member.name.endswith(".json"))
        records: list[Record] = [json.loads(member.read()) for member in members if member]
    return [(record["number"], record) for record in records]
