"""What torch computes on, on this machine."""

from __future__ import annotations

import torch


def fastest_device() -> str:
    """The name of the fastest device of this machine."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usable_device(name: str) -> torch.device:
    """A device of this machine.

    Raises:
        ValueError: it has none of that name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"There is no device '{name}' here: {error}") from error
    return device
