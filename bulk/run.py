"""The run: from jobs to a folder that holds all of their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .cluster import Cluster
from .jobs import Job, expand
from .making import Recipe, batches, check, load
from .output import Output
from .worker import Worked, work

Report = Callable[[int, int], None]
"""Called with (pictures there, pictures in all); may raise to stop."""


@dataclass
class Summary:
    """How a run ended."""

    count: int
    made: int = 0
    failures: list[str] = field(default_factory=list)


def make_all(
    jobs: Sequence[Job],
    folder: Path,
    *,
    device: str,
    batch_size: int = 16,
    shard_size: int = 0,
    cluster: Cluster | None = None,
    report: Report = lambda _done, _count: None,
) -> Summary:
    """Make what a folder does not hold yet of the pictures of some jobs.

    It may be stopped or killed at any moment: the same call goes on with what is missing.

    Args:
        jobs: what to make.
        folder: where to; see `output` for its layout.
        device: that torch computes on; of a cluster, on each machine, where empty means the fastest.
        batch_size: pictures made together at most.
        shard_size: see `Output`.
        cluster: where to work; None: in this process.
        report: see `Report`.

    Raises:
        JobError: the jobs cannot be done, or the folder has something else in it; nothing was made.
        OSError: a picture cannot be written.
    """
    here = device if cluster is None else "cpu"
    for job in {Recipe.of(job): job for job in jobs}.values():
        check(job, here)
    pictures = expand(jobs)
    hashes = {name: load(name, here).sha256 for name in {job.classifier for job in jobs}}
    with Output(folder, pictures, hashes, shard_size) as output:
        summary = Summary(len(pictures))
        report(len(output.done), len(pictures))
        todo = batches(pictures, batch_size, output.done)
        done: Iterable[Worked]
        if cluster is None:
            done = (work(batch, output.root, device) for batch in todo)
        else:
            done = cluster.run(list(todo), output.root, device)
        for worked in done:
            output.add(worked.records)
            summary.made += len(worked.records)
            summary.failures += worked.failures
            report(len(output.done), len(pictures))
    return summary
