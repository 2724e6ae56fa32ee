"""Pictures and their classes, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pictures:
    """Pictures and their classes."""

    images: Tensor
    """`[N, 3, S, S]`, uint8."""
    classes: Tensor
    """`[N]`, int64."""

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, rows: Tensor | slice) -> Pictures:
        return Pictures(self.images[rows], self.classes[rows])
