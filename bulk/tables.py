"""Lists of jobs in files: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from .jobs import Job, JobError

INTEGERS = frozenset(column.name for column in fields(Job) if column.type == "int")
OBJECTS = frozenset({"values"})


def read_table(path: Path) -> list[Job]:
    """The jobs of a table, one a row. Its columns are the fields of `Job`; empty cells mean the default.

    Raises:
        JobError: no such file, another suffix, an unknown column, or a row that is no job, by its number.
    """
    readers = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise JobError(f"'{path.name}' is no list of jobs: its suffix must be {', '.join(readers)}.")
    if not path.is_file():
        raise JobError(f"There is no file '{path}'.")
    jobs = []
    known = {column.name for column in fields(Job)}
    try:
        for number, row in enumerate(reader(path), 1):
            if unknown := row.keys() - known:
                raise JobError(
                    f"'{path.name}' has a column {' or '.join(map(repr, sorted(map(str, unknown))))}; "
                    f"the columns are {', '.join(sorted(known))}."
                )
            given = {name: value for name, value in row.items() if value not in (None, "")}
            try:
                jobs.append(Job(**{"operation": "", **given}))
            except JobError as error:
                raise JobError(f"'{path.name}', row {number}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JobError(f"'{path.name}' cannot be read: {error}") from error
    return jobs


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: _typed(name, text) for name, text in row.items()}


def _typed(name: str, text: str | None) -> Any:
    if not text:
        return None
    try:
        if name in INTEGERS:
            return int(text)
        return json.loads(text) if name in OBJECTS else text
    except ValueError:
        # `Job` says what is wrong with it.
        return text


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise JobError(f"'{path.name}', line {number} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise JobError(f"'{path.name}', line {number} is no object.")
            yield row


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise JobError("Parquet needs pyarrow: pip install pyarrow.") from error
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise JobError(f"'{path.name}' cannot be read: {error}") from error
    for row in rows:
        yield {name: _object(name, value) if name in OBJECTS else value for name, value in row.items()}


def _object(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        # A struct has the keys of all rows.
        return {key: part for key, part in value.items() if part is not None}
    return _typed(name, value)
