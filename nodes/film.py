"""The pictures on the way to a result, as frames for the video nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from .tensors import images_to_comfy


class Film:
    """Collects a picture every so many steps; 0 for no film."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.scenes: list[Tensor] = []

    def count(self, steps: int) -> int:
        """How many frames an operation of so many steps has before its result; 0 without a film."""
        return -(-steps // self.every) if self.every else 0

    def wants(self, step: int) -> bool:
        """Whether the picture before this step is a frame."""
        return self.every > 0 and step % self.every == 0

    def add(self, frames: list[Tensor], last: Tensor) -> None:
        """Keep the frames of some pictures of the batch, IMAGEs `[b, H, W, 3]`, and their results."""
        self.scenes += torch.stack([*frames, last], 1).unbind(0)

    def to_comfy(self, made: Tensor) -> Tensor:
        """IMAGE `[frames, H, W, 3]`; the results `made`, `[B, 3, H, W]`, without a film."""
        return torch.cat(self.scenes) if self.every else images_to_comfy(made)
