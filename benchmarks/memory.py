"""How much memory work takes beyond what its process held before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch


def added_by(work: Callable[[], object], device: str = "cpu") -> int:
    """Do work; the highest memory during it beyond what was there before, in bytes. On the CPU it needs Linux."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def peak() -> int:
    """The most memory this process has had, in bytes. Needs Linux."""
    return _status("VmHWM")


def _status(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))
