"""Time and memory of work in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def in_new_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function of a module in a fresh Python process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args, kwargs)


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes, on the GPU as well."""
    _wait_for_gpu()
    started = time.perf_counter()
    work()
    _wait_for_gpu()
    return time.perf_counter() - started


def added_memory(work: Callable[[], object], device: str = "cpu") -> int:
    """The highest memory during some work beyond what was in use before, in bytes. On the CPU it needs Linux."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    # Resets VmHWM.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    return peak_memory() - before


def peak_memory() -> int:
    """The highest memory of this process, in bytes. Needs Linux."""
    return _status("VmHWM")


def _status(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
