"""The kind of machine and software that figures belong to."""

from __future__ import annotations

import torch


def machine(device: str = "cpu", dtype: torch.dtype = torch.float32) -> str:
    """In a few words, as `2 CPU cores, AVX2, float32, torch 2.14.1`.

    Args:
        device: as torch calls it. The cores of a CPU are those that torch uses.
        dtype: what the networks compute in.
    """
    if device == "cuda":
        kind = torch.cuda.get_device_name()
    elif device == "cpu":
        cores = torch.get_num_threads()
        kind = f"{cores} CPU core{'s' * (cores > 1)}, {torch.backends.cpu.get_cpu_capability()}"
    else:
        kind = device
    return f"{kind}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__.split('+')[0]}"
