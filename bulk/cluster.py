"""The same batches on a Ray cluster, by Ray Data: it divides them among workers and repeats what a dead one had."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.devices import fastest_device
from .jobs import JobError
from .making import Batch
from .worker import Worked, work

BLOCKS_OF_A_WORKER = 64
"""A block of batches is what a worker is given at once: small enough that none waits long for another at the end."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and how much of it to use."""

    address: str | None = None
    """Of its head node; None: the one that this machine belongs to, else one of this machine alone."""
    workers: int = 0
    """Processes; 0: one for each GPU, or for each machine where there is none."""

    def run(self, batches: Sequence[Batch], root: Path, device: str) -> Iterator[Worked]:
        """Work on batches in any order. `root` is a folder that all machines see.

        Raises:
            JobError: Ray is not installed, or there is no such cluster.
        """
        try:
            import ray
            from ray.data import ActorPoolStrategy
        except ImportError as error:
            raise JobError("--ray needs Ray: pip install 'ray[data]'.") from error
        if not batches:
            return
        try:
            ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False)
        except ConnectionError as error:
            raise JobError(f"There is no Ray cluster at '{self.address}': {error}") from error
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if device != "cpu" else 0
        workers = self.workers or gpus or sum(node["Alive"] for node in ray.nodes())
        # Of more than one GPU a worker would use the first.
        share = (
            {"num_gpus": min(1.0, gpus / workers)} if gpus else {"num_cpus": max(1, int(resources["CPU"]) // workers)}
        )
        rows = [{"batch": pickle.dumps(batch)} for batch in batches]
        blocks = min(len(rows), BLOCKS_OF_A_WORKER * workers)
        dataset = ray.data.from_items(rows, override_num_blocks=blocks).map(
            _Worker,
            fn_constructor_args=(Path.cwd(), root.resolve(), device),
            compute=ActorPoolStrategy(size=workers),
            **share,
        )
        for row in dataset.iter_rows():
            yield pickle.loads(row["worked"])


class _Worker:
    """A process of the cluster, with its classifiers loaded."""

    def __init__(self, folder: Path, root: Path, device: str) -> None:
        # The paths of jobs may be relative.
        os.chdir(folder)
        self.root, self.device = root, device or fastest_device()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"worked": pickle.dumps(work(pickle.loads(row["batch"]), self.root, self.device))}
