"""The pictures on the way to a result, as frames for the video nodes."""

from __future__ import annotations

from collections.abc import Callable

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

    def to_comfy(self, made: Tensor, image: Tensor, carry: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """All frames; without a film the results.

        Args:
            made: the results, `[B, 3, H, W]`.
            image: IMAGE that they were made of, as many or one for all.
            carry: from pictures and the IMAGE that they were made of to pictures with its transparency.
        """
        if not self.every:
            return carry(images_to_comfy(made), image)
        # Pictures with different masks have different numbers of steps, and so of frames.
        sources = image.expand(len(self.scenes), -1, -1, -1).split(1)
        return torch.cat([carry(scene, source) for scene, source in zip(self.scenes, sources, strict=True)])
