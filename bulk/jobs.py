"""What is to be made: jobs, and the pictures that they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ..synthesis import find_files
from ..synthesis.seeds import SEED_COUNT

Operation = Literal["generate", "translate", "upsample", "inpaint"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
LARGEST_SIDE = 16384
_TYPES: Mapping[str, type] = {"int": int, "Mapping[str, Any]": dict}


class JobError(ValueError):
    """Jobs that cannot be done; the message says what is wrong and what to do."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One line of a list of jobs. Its fields are the columns of a table."""

    operation: Operation
    target_class: str = ""
    """A class expression (`church`, `sea:0.7, mountain:0.3`); empty: what the classifier sees in each picture."""
    classifier: str = "canvas"
    """A bundled classifier, by name, or the path of a file."""
    preset: str = ""
    """Of the operation; empty: the one of the same name."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the preset's flat values, as in `presets.json`: `{"steps": 30}`."""
    seed: int = 0
    """Of the first picture; the next ones have the following seeds."""
    count: int = 1
    """Pictures to make; of each picture of a folder."""
    width: int = 0
    """Of generated pictures, in pixels; 0: the classifier's input size."""
    height: int = 0
    picture: str = ""
    """A picture, or a folder of them, for all but `generate`."""
    mask: str = ""
    """For `inpaint`: white where to fill. A picture for all, or a folder with a mask of the same name for each."""
    factor: int = 2
    """Of `upsample`."""

    def __post_init__(self) -> None:
        for column in fields(self):
            value, kind = getattr(self, column.name), _TYPES.get(str(column.type), str)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise JobError(f"{column.name} is {value!r}; it must be a {kind.__name__}.")
        if self.operation not in OPERATIONS:
            raise JobError(f"There is no operation '{self.operation}': it is one of {', '.join(OPERATIONS)}.")
        if self.operation == "generate" and not self.target_class:
            raise JobError("generate needs a class (target_class).")
        if (self.operation == "generate") == bool(self.picture):
            wrong = "takes no picture: translate does" if self.picture else "needs a picture, or a folder of them"
            raise JobError(f"{self.operation} {wrong}.")
        if (self.operation == "inpaint") != bool(self.mask):
            wrong = "takes no mask: inpaint does" if self.mask else "needs a mask, or a folder of them"
            raise JobError(f"{self.operation} {wrong}.")
        if self.count < 1:
            raise JobError(f"count is {self.count}; it must be 1 or more.")
        if not 0 <= self.seed <= SEED_COUNT - self.count:
            raise JobError(f"seed is {self.seed}; seeds are from 0 to 2^64 - 1.")
        if not all(side == 0 or 16 <= side <= LARGEST_SIDE for side in (self.width, self.height)):
            raise JobError(f"{self.width} x {self.height} pixels: each side is from 16 to {LARGEST_SIDE}, or 0.")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that is to be made."""

    number: int
    """Its place in the list, from 0."""
    name: str
    """Its file in the output folder, with `/` between parts."""
    job: Job
    seed: int
    picture: str = ""
    mask: str = ""


def expand(jobs: Iterable[Job]) -> list[Picture]:
    """The pictures of all jobs, in order.

    A generated picture is called `CLASS/NUMBER.png`, one that is made of a file as the file, with its number if it is
    one of several.

    Raises:
        JobError: a file or folder that does not exist, or holds no picture.
    """
    found: list[Picture] = []
    taken: set[str] = set()
    for job in jobs:
        for file, picture, mask in _sources(job):
            for index in range(job.count):
                number = len(found)
                stem = file or f"{_slug(job.target_class)}/{number:07}"
                if file and job.count > 1:
                    stem += f"-{number:07}"
                # Some file systems take A.png and a.png for one file.
                while stem.casefold() in taken:
                    stem += f"-{number:07}"
                taken.add(stem.casefold())
                found.append(Picture(number, f"{stem}.png", job, job.seed + index, picture, mask))
    if not found:
        raise JobError("There are no jobs.")
    return found


def _sources(job: Job) -> Iterator[tuple[str, str, str]]:
    """Name without suffix, picture and mask of what a job works on; empty strings where it works on nothing."""
    if not job.picture:
        yield "", "", ""
        return
    pictures = _pictures(Path(job.picture))
    masks = _pictures(Path(job.mask)) if job.mask else {}
    for name, path in pictures.items():
        mask = masks.get(name) if Path(job.mask).is_dir() else next(iter(masks.values()), None)
        if job.mask and mask is None:
            raise JobError(f"There is no mask for '{name}' in {job.mask}: it must have the same name.")
        yield name, str(path), str(mask or "")


def _pictures(path: Path) -> dict[str, Path]:
    """The pictures of a folder by name without suffix, or a single file."""
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise JobError(f"There is no picture or folder '{path}'.")
    files: dict[str, Path] = {}
    for name in find_files(path).pictures:
        stem = name.rpartition(".")[0]
        # a.jpg and a.png are two pictures.
        files[name if stem in files else stem] = path / name
    if not files:
        raise JobError(f"'{path}' holds no picture that can be read.")
    return files


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.")[:80] or "class"
