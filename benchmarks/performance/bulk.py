"""Pictures a second of bulk generation, here and on 1 and 2 workers of a Ray cluster, and an estimate for 64 GPUs.

Without Ray (`pip install robust-synthesis[ray]`) its rows are left out. Rates count from the first batch that is
there. The estimate is for a million pictures, at 64 times the rate of one process (or `--gpu-rate`), or at that of what
only the driver does, listing pictures and packing shards, if that is less.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from robust_synthesis.bulk import Job, Output, expand, make_all
from robust_synthesis.bulk.cluster import Cluster
from robust_synthesis.bulk.making import load
from robust_synthesis.bulk.picture_record import job_of, save
from robust_synthesis.models import fast_precision
from robust_synthesis.models.devices import fastest_device

from ..command_line import new_parser, read
from ..table import Table
from .processes import seconds

GPUS, MANY = 64, 1_000_000
LISTED = 2000
SHARD = 1000


def main() -> None:
    """Print the table and the estimate."""
    parser = new_parser(__doc__)
    parser.add_argument("--count", type=int, default=96, metavar="N", help="pictures of each row")
    parser.add_argument("--side", type=int, default=96, metavar="PIXELS")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--gpu-rate", type=float, metavar="R", help="pictures a second of one GPU, measured elsewhere")
    device = fastest_device()
    options = read(parser, {"count": 48}, device, fast_precision(torch.device(device)))
    job = Job(
        operation="generate",
        target_class="sea",
        count=options.count,
        values={"steps": options.steps},
        width=options.side,
        height=options.side,
    )
    table = Table(f"{options.count} pictures of {options.side} px", {"seconds": ".1f", "pictures/s": ".2f"})
    alone = _rate(table, "one process", [job], device, options.batch, None)
    if importlib.util.find_spec("ray"):
        for workers in (1, 2):
            name = f"Ray, {workers} worker{'s' * (workers > 1)}"
            _rate(table, name, [job], device, options.batch, Cluster(workers=workers))
    for shards in (0, SHARD):
        driver = _driver_rate(shards)
        rate = min(GPUS * (options.gpu_rate or alone), driver)
        print(
            f"\nThe driver lists {driver:.0f} pictures a second{' in shards' if shards else ''}. {MANY:,} pictures on "
            f"{GPUS} GPUs of {options.gpu_rate or alone:.1f} pictures/s: {MANY / rate / 60:.0f} minutes, bound by "
            f"{'the driver' if rate == driver else 'the GPUs'}."
        )


def _rate(table: Table, name: str, jobs: Sequence[Job], device: str, batch: int, cluster: Cluster | None) -> float:
    """Pictures a second, from the first batch that is there to the last: what starts before is not counted."""
    times: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        make_all(
            jobs,
            Path(folder) / "out",
            device=device,
            batch_size=batch,
            cluster=cluster,
            report=lambda done, _count: times.append((time.perf_counter(), done)) if done else None,
        )
    (first, before), (last, after) = times[0], times[-1]
    taken, count = last - first, after - before
    table.row(name, taken, count / taken)
    return count / taken


def _driver_rate(shard_size: int) -> float:
    """Pictures a second that the driver lists, and packs into shards, once workers have written them."""
    job = Job(operation="generate", target_class="sea", count=LISTED)
    sha256 = load(job.classifier, "cpu").sha256
    pictures = expand([job])
    with (
        tempfile.TemporaryDirectory() as folder,
        Output(Path(folder), pictures, {job.classifier: sha256}, shard_size) as output,
    ):
        image = torch.rand(3, 96, 96)
        records = [save(output.root, image, job_of(picture, sha256)) for picture in pictures]

        def add_all() -> None:
            for record in records:
                output.add([record])

        return LISTED / seconds(add_all)


if __name__ == "__main__":
    main()
