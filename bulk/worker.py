"""What makes and writes one batch, in this process or in one of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..synthesis.picture_folder import PICTURE_ERRORS
from .jobs import Picture
from .making import Batch, Source, load, make, read_source
from .picture_record import Record, is_of, job_of, read, save


@dataclass
class Worked:
    """What became of a batch."""

    records: list[Record]
    failures: list[str]
    """Pictures that could not be made, and why."""


def work(batch: Batch, root: Path, device: str) -> Worked:
    """Make the missing pictures of a batch, and write them.

    Raises:
        OSError: a picture cannot be written.
    """
    loaded = load(batch.pictures[0].job.classifier, device)
    jobs = {picture.number: job_of(picture, loaded.sha256) for picture in batch.pictures}
    # A worker that died has written a part of its batch.
    written = (read(root / picture.name) for picture in batch.pictures if picture.number in batch.missing)
    records = [record for record in written if record and is_of(record, jobs[record["number"]])]
    missing = batch.missing - {record["number"] for record in records}
    if not missing:
        return Worked(records, [])
    failures: list[str] = []
    sources = [source for picture in batch.pictures if (source := _readable(picture, failures))]
    precision = str(next(loaded.model.network.parameters()).dtype).removeprefix("torch.")
    made_on = f"{device}, {precision}, torch {torch.__version__}"
    for picture, image in make(sources, device) if sources else ():
        if picture.number in missing:
            records.append(save(root, image, {**jobs[picture.number], "made_on": made_on}))
    return Worked(records, failures)


def _readable(picture: Picture, failures: list[str]) -> Source | None:
    try:
        return read_source(picture)
    except PICTURE_ERRORS as error:
        failures.append(f"{picture.picture}: {error}")
        return None
