"""Blocks whose activations are computed again on the way back, where keeping them would fill the memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

KEPT_BYTES = 2**29
"""Activations of blocks up to this size are kept, because computing them again costs a third of the time."""
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
