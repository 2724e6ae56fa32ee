"""The climb as a film: every k-th picture of it, for the video nodes."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from .tensors import images_to_comfy


def animate_input() -> io.Input:
    return io.Int.Input(
        "animate",
        default=0,
        min=0,
        max=2000,
        optional=True,
        advanced=True,
        tooltip="For a film of the climb: every how many steps the output frames has a picture (1: all of them). "
        "0: no film.",
    )


def frames_output() -> io.Output:
    return io.Image.Output(
        "frames",
        tooltip="The film that animate asks for, from the start to the result: picture after picture of the batch. "
        "Wire it into Create Video or Save Animated WEBP. Without animate: the result.",
    )


class Film:
    """Collects the frames of a climb."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.scenes: list[Tensor] = []

    def count(self, steps: int) -> int:
        """How many frames a climb of so many steps has, without the last; 0 where there is no film."""
        return -(-steps // self.every) if self.every else 0

    def wants(self, step: int) -> bool:
        """Whether the picture before this step is a frame."""
        return self.every > 0 and step % self.every == 0

    def add(self, frames: list[Tensor], last: Tensor) -> None:
        """Keep the frames of some pictures of the batch, IMAGEs `[b, H, W, 3]`, and what they ended as."""
        self.scenes += torch.stack([*frames, last], 1).unbind(0)

    def to_comfy(self, made: Tensor) -> Tensor:
        """IMAGE `[frames, H, W, 3]`; the pictures made, where there is no film."""
        return torch.cat(self.scenes) if self.every else images_to_comfy(made)
