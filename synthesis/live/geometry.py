"""Boxes of a painting, grids of cells over them, and what is seen on one grid brought onto another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Span = tuple[float, float, int]
"""Along one axis of the picture: where a grid begins, how long it is, and its number of cells."""


class Box(NamedTuple):
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, images: Tensor) -> Tensor:
        """What images `[..., H, W]` show in the box, without a copy."""
        return images[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def with_box(self, other: Box) -> Box:
        """The smallest box around both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        right = max(self.left + self.width, other.left + other.width)
        bottom = max(self.top + self.height, other.top + other.height)
        return Box(left, top, right - left, bottom - top)

    def inside(self, other: Box) -> Box | None:
        """What it shares with another one, if anything."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        width = min(self.left + self.width, other.left + other.width) - left
        height = min(self.top + self.height, other.top + other.height) - top
        return Box(left, top, width, height) if width > 0 and height > 0 else None

    def blocks(self, side: int) -> Iterator[Box]:
        """The box in blocks of at most `side` x `side`."""
        for top in range(self.top, self.top + self.height, side):
            for left in range(self.left, self.left + self.width, side):
                right, bottom = min(left + side, self.left + self.width), min(top + side, self.top + self.height)
                yield Box(left, top, right - left, bottom - top)

    def seen_from(self, other: Box) -> Box:
        """The same box, counted from the left top corner of another one."""
        return Box(self.left - other.left, self.top - other.top, self.width, self.height)


@dataclass(frozen=True)
class Grid:
    """A box in some number of rows and columns, which need not be those of its pixels."""

    box: Box
    height: int
    width: int

    @property
    def rows(self) -> Span:
        return self.box.top, self.box.height, self.height

    @property
    def columns(self) -> Span:
        return self.box.left, self.box.width, self.width

    @classmethod
    def full(cls, box: Box) -> Grid:
        """A box in its own pixels."""
        return cls(box, box.height, box.width)

    @classmethod
    def bounded(cls, box: Box, longest: int) -> Grid:
        """A box in its own pixels, or in fewer, so that no side has more than `longest`."""
        scale = min(1.0, longest / max(box.width, box.height))
        return cls(box, max(round(box.height * scale), 1), max(round(box.width * scale), 1))


def shrunk(picture: Tensor, grid: Grid) -> Tensor:
    """What a picture `uint8 [C, H, W]` shows on a grid, antialiased, `uint8 [C, *grid]`."""
    part = grid.box.cut(picture)
    if part.shape[1:] == (grid.height, grid.width):
        return part.clone()
    return F.interpolate(part[None], (grid.height, grid.width), mode="bicubic", antialias=True)[0]


def resample(values: Tensor, source: Grid, target: Grid, cells: Box | None = None) -> Tensor:
    """Values `[C, *source]` on another grid, antialiased; zero outside of the source's box.

    Args:
        values: float32.
        source: the grid that they are on.
        target: another one.
        cells: which cells of the target are wanted; None: all.

    Returns:
        `[C, *target]`, or `[C, height, width]` of the cells.
    """
    top, left, height, width = 0, 0, target.height, target.width
    if cells is not None:
        left, top, width, height = cells
    rows = _weights(_part(target.rows, top, height), source.rows).to(values)
    columns = _weights(_part(target.columns, left, width), source.columns).to(values)
    first, last = _used(rows)
    return rows[:, first:last] @ values[:, first:last] @ columns.T


def _part(span: Span, first: int, count: int) -> Span:
    begin, length, cells = span
    return begin + first * length / cells, count * length / cells, count


def _weights(target: Span, source: Span) -> Tensor:
    """How much each cell of a source counts for each cell of a target, `[target cells, source cells]`: bicubic."""
    places, cell = _centres(target)
    sources, source_cell = _centres(source)
    distance = (places[:, None] - sources).abs() / max(cell, source_cell)
    # Keys' cubic convolution with a = -0.5, as Pillow's, and as torch's where it is antialiased.
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    share = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    share = share / share.sum(1, keepdim=True).clamp(min=1e-6)
    within = (places > source[0]) & (places < source[0] + source[1])
    return (share * within[:, None]).float()


def _centres(span: Span) -> tuple[Tensor, float]:
    begin, length, count = span
    cell = length / count
    return begin + (torch.arange(count, dtype=torch.float64) + 0.5) * cell, cell


def _used(matrix: Tensor) -> tuple[int, int]:
    """The columns of a matrix between the first and the last that is not all zero."""
    used = matrix.any(0).nonzero().flatten().tolist()
    return (used[0], used[-1] + 1) if used else (0, 1)


def view_box(extent: Box, height: int, width: int, context: float, least: float) -> Box:
    """A box of a picture's shape around a part of it, clamped to the picture.

    Args:
        extent: the part.
        height: of the picture.
        width: of the picture.
        context: how many times as wide and high as the part the box is, at least.
        least: its least share of the picture's sides, from 0 to 1.
    """
    share = min(max(context * max(extent.height / height, extent.width / width), least), 1.0)
    box_height, box_width = math.ceil(share * height), math.ceil(share * width)
    top = min(max((2 * extent.top + extent.height - box_height) // 2, 0), height - box_height)
    left = min(max((2 * extent.left + extent.width - box_width) // 2, 0), width - box_width)
    return Box(left, top, box_width, box_height)
