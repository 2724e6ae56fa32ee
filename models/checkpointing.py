"""Activations that are computed again on the way back, where keeping them would fill the memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

Function = Callable[[Tensor], Tensor]

KEPT_BYTES = 2**29
"""Activations up to this size are kept, because computing them again costs a third of the time."""
COPIES = 18
"""How many tensors of the size of its input a transformer's or ConvNeXt's block keeps for the backward pass."""


class CheckpointedBlocks(nn.Sequential):
    """Blocks in a row, each of which keeps the shape of its input.

    Where a gradient is wanted and their activations are large, only the input of each block is kept (Chen et al.,
    arXiv 1604.06174).
    """

    def recomputes(self, x: Tensor) -> bool:
        """Whether the activations for an input are too large to be kept."""
        return len(self) * COPIES * x.numel() * x.itemsize > KEPT_BYTES

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        x = input
        recompute = torch.is_grad_enabled() and x.requires_grad and self.recomputes(x)
        for block in self:
            x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False) if recompute else block(x)
        return x


def in_chunks(function: Function, batch: Tensor, size: int) -> Tensor:
    """A function's results for a batch, computed in chunks of at most `size`.

    Where a gradient is wanted, only as many chunks' activations as fit into `KEPT_BYTES`, and one chunk's at least, are
    there at a time.
    """
    count = max(math.ceil(len(batch) / size), 1)
    # The smaller one is the first, because the last stands for all.
    *others, last = batch.split([len(batch) - (count - 1) * size] + [size] * (count - 1))
    saved: dict[int, int] = {}

    def count_bytes(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The way back begins with the last, whose activations are gone before others are computed again.
    with saved_tensors_hooks(count_bytes, lambda tensor: tensor):
        result = function(last)
    again = count - KEPT_BYTES // max(sum(saved.values()), 1)
    rows = [
        checkpoint(function, chunk, use_reentrant=False) if index < again else function(chunk)
        for index, chunk in enumerate(others)
    ]
    return torch.cat([*rows, result])
