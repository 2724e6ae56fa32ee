"""What a stroke makes of the pixels of a painting: at full size in the end, and smaller while it goes on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .brush import Brush, Marks
from .geometry import Box, Grid, resample, shrunk


class Change(NamedTuple):
    """What an ascent changed, if nothing were masked: `[3, *grid]` in -1 to 1, on the CPU."""

    values: Tensor
    grid: Grid


def blended(brush: Brush, before: Tensor, base: Tensor, mask: Tensor, change: Tensor | None) -> Tensor:
    """Pixels with a stroke on them; bit for bit the ones before where the mask is 0.

    Args:
        brush: what is painted.
        before: `uint8 [3, H, W]`.
        base: the pixels of the base picture, like `before`.
        mask: `uint8 [1, H, W]`.
        change: float `[3, H, W]`, for the brushes that ascend.

    Returns:
        `uint8 [3, H, W]`.
    """
    share = mask.float()
    difference = change
    if difference is None:
        target = base.float() if brush.kind == "restore" else torch.tensor(brush.rgb).view(3, 1, 1).float()
        difference = (target - before) / 255
        share = share * min(brush.strength, 1.0)
    after: Tensor = (before + share * difference).round().clamp(0, 255).to(torch.uint8)
    return after


def painted_after(brush: Brush, painted: Tensor, mask: Tensor) -> Tensor:
    """How much pixels `uint8 [1, H, W]` are painted after a stroke."""
    if brush.kind != "restore":
        return torch.maximum(painted, mask)
    left = 1 - mask.float() / 255 * min(brush.strength, 1.0)
    return (painted * left).round().to(torch.uint8)


class Preview:
    """A stroke in a view, in no more pixels than asked for; what does not change from tick to tick is kept."""

    def __init__(self, brush: Brush, marks: Marks, before: Tensor, base: Tensor, box: Box, longest: int) -> None:
        """Copy what is needed of the pictures `uint8 [3, H, W]`."""
        self.box, self.longest = box, longest
        self._brush, self._marks = brush, marks
        self._grid = Grid.bounded(box, longest)
        self._before = shrunk(before, self._grid)
        self._base = shrunk(base, self._grid) if brush.kind == "restore" else self._before
        self._mask, self._known = torch.zeros(1, self._grid.height, self._grid.width, dtype=torch.uint8), 0

    def look(self, extent: Box, change: Change | None) -> tuple[Box, Tensor]:
        """What is marked, as a box of the picture, and its pixels `uint8 [3, h, w]`."""
        grid = self._grid
        self._known = self._marks.draw_further(self._mask, grid, self._known)
        down, across = grid.box.height / grid.height, grid.box.width / grid.width
        left, top = int((extent.left - grid.box.left) / across), int((extent.top - grid.box.top) / down)
        right = min(-int(-(extent.left + extent.width - grid.box.left) // across), grid.width)
        bottom = min(-int(-(extent.top + extent.height - grid.box.top) // down), grid.height)
        cells = Box(left, top, right - left, bottom - top)
        values = None if change is None else resample(change.values, change.grid, grid, cells)
        pixels = blended(self._brush, cells.cut(self._before), cells.cut(self._base), cells.cut(self._mask), values)
        begin = round(grid.box.left + left * across), round(grid.box.top + top * down)
        end = round(grid.box.left + right * across), round(grid.box.top + bottom * down)
        return Box(*begin, end[0] - begin[0], end[1] - begin[1]), pixels
