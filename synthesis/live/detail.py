"""What a stroke does when the hand rests: last steps of the view, then finer and finer detail, some tiles at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..ascent import jitter_shift
from ..views import TILES_AT_ONCE, View
from .ascent import WarmAscent, stepped
from .geometry import Grid, resample
from .pixels import Change

PACE = 0.6
"""Of finer levels, whose changes add to those of the view."""

Place = tuple[int, int]
"""The top and left of a tile."""


class Detail:
    """The steps of one stroke after its last point. Each takes not much longer than one before; any can be the last."""

    def __init__(
        self,
        ascent: WarmAscent,
        mask: Tensor,
        side: int,
        look: Callable[[Grid], Tensor],
        draw: Callable[[Grid], Tensor],
    ) -> None:
        """Plan all steps.

        Args:
            ascent: of the view, with which it begins.
            mask: `uint8 [1, *grid]`, of the view.
            side: of the tiles, in pixels: the classifier's input size.
            look: gives the picture before the stroke on a grid, `[3, *grid]`.
            draw: gives the mask on a grid, `uint8 [1, *grid]`.
        """
        assert ascent.grid is not None
        self._ascent, self._coarse_mask, self._side, self._look, self._draw = ascent, mask, side, look, draw
        self._coarse = ascent.goal.ascent.steps
        box = ascent.grid.box
        view = View(((box.top, box.left, box.height, box.width),), (ascent.grid.height, ascent.grid.width))
        grids = [Grid(box, *level.size) for level in (view.finer() if ascent.goal.detail.steps else [])]
        self._plan = [(grid, index, tiles) for grid in grids for index, tiles in self._passes(grid)]
        self._level: _Level | None = None
        self.done = 0

    @property
    def left(self) -> int:
        """How many steps are to come."""
        return self._coarse + len(self._plan) - self.done

    def change(self) -> Change:
        """What the stroke changed so far."""
        return self._ascent.change() if self._level is None else self._level.change()

    def step(self) -> None:
        """Take the next step."""
        if self.done < self._coarse:
            self._ascent.run(self._coarse_mask, 1)
        else:
            grid, index, tiles = self._plan[self.done - self._coarse]
            if self._level is None or self._level.grid != grid:
                self._level = _Level(self._ascent, grid, self._side, self._look(grid), self._draw(grid), self.change())
            progress = index / max(self._ascent.goal.detail.steps - 1, 1)
            self._level.step(tiles, PACE * (1 - progress * (1 - self._ascent.goal.ascent.final_step)))
        self.done += 1

    def _passes(self, grid: Grid) -> list[tuple[int, list[Place]]]:
        """For each step of a level the number of its pass, and its tiles: those that show something of the mask."""
        mask = self._draw(grid)[0]
        height, width = min(self._side, grid.height), min(self._side, grid.width)
        steps: list[tuple[int, list[Place]]] = []
        for index in range(self._ascent.goal.detail.steps):
            # Tiles that lie elsewhere in each pass leave no seams.
            down, right = jitter_shift(index, self._side // 2)
            tops, lefts = tile_origins(grid.height, height, down), tile_origins(grid.width, width, right)
            tiles = [(t, x) for t in tops for x in lefts if mask[t : t + height, x : x + width].any()]
            steps += [(index, tiles[at : at + TILES_AT_ONCE]) for at in range(0, len(tiles), TILES_AT_ONCE)]
        return steps


class _Level:
    """The images of one finer level."""

    def __init__(self, ascent: WarmAscent, grid: Grid, side: int, start: Tensor, mask: Tensor, before: Change) -> None:
        self.grid, self._goal = grid, ascent.goal
        self._height, self._width = min(side, grid.height), min(side, grid.width)
        self._start = start[None]
        self._free = (self._start + resample(before.values, before.grid, grid).to(start)).clamp(0, 1)
        self._mask = mask[None].to(start) / 255
        tile = self._start[:, :, : self._height, : self._width]
        self._precondition = ascent.goal.ascent.preconditioning.for_images(tile, ascent.goal.covariance)

    def change(self) -> Change:
        return Change((self._free - self._start)[0].cpu(), self.grid)

    def step(self, tiles: list[Place], pace: float) -> None:
        free, start, mask = (self._cut(images, tiles) for images in (self._free, self._start, self._mask))
        fading = torch.stack(
            [
                _fading(top, self._height, self.grid.height)[:, None] * _fading(left, self._width, self.grid.width)
                for top, left in tiles
            ]
        )
        after = stepped(free, start, mask, self._goal, self._precondition, pace * fading[:, None].to(free))
        for (top, left), change in zip(tiles, after - free, strict=True):
            # Tiles at the ends overlap: each adds its own change.
            self._free[0, :, top : top + self._height, left : left + self._width] += change
        self._free.clamp_(0, 1)

    def _cut(self, images: Tensor, tiles: list[Place]) -> Tensor:
        return torch.cat([images[:, :, top : top + self._height, left : left + self._width] for top, left in tiles])


def tile_origins(length: int, side: int, shift: int) -> list[int]:
    """Where tiles of a side begin that cover a length and are moved by a shift; those at the ends overlap others."""
    origins = range(-shift % side - side, length, side)
    return sorted({min(max(origin, 0), length - side) for origin in origins if origin + side > 0})


def _fading(origin: int, side: int, length: int) -> Tensor:
    """A weight for each pixel of a tile along an axis: 0 at the edges that are not the view's own."""
    weight = torch.sin(math.pi * (torch.arange(side) + 0.5) / side) ** 2
    if origin == 0:
        weight[: side // 2] = 1
    if origin + side == length:
        weight[side // 2 :] = 1
    return weight
