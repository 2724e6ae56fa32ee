"""A stroke under way: what is seen of it while it is painted, and its pixels in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..views import CONTEXT, NATIVE_AREA, working_size
from .ascent import WarmAscent, goal_of
from .brush import Brush, Marks, Shape, checked_points
from .detail import Detail
from .geometry import Box, Grid, resample, shrunk, view_box
from .pixels import Change, Preview, blended, painted_after
from .records import StrokeRecord, Tick

GROWTH = 1.5
"""A view that is outgrown is followed by one that is so many times as wide and high, at least."""
ROOM = 1.25
"""A view is outgrown when it is no more than so many times as wide and high as what is marked."""
BLOCK = 256
"""Pixels are computed in blocks of this side, so that a large picture needs little memory."""


class LiveStroke:
    """One stroke on a painting, whose picture changes only when the stroke is finished. See `Painting.begin`."""

    def __init__(
        self,
        picture: Tensor,
        base: Tensor,
        painted: Tensor,
        classifier: RobustClassifier | None,
        brush: Brush,
        shape: Shape,
        write: Callable[[Box, StrokeRecord, Tensor, Tensor], None],
    ) -> None:
        """Begin a stroke without points.

        Args:
            picture: `uint8 [3, H, W]`, what to paint on.
            base: `uint8 [3, H, W]`, what `restore` brings back.
            painted: `uint8 [1, H, W]`, how much was painted before.
            classifier: for the brushes that need one, on its device.
            brush: what to paint.
            shape: whether the points are a path or the corners of an area.
            write: called by `finish` with a box, the record, and what the box then has of `picture` and `painted`.

        Raises:
            ValueError: the brush needs a classifier and there is none, or its text names what there is not.
        """
        self._picture, self._base, self._painted, self._write = picture, base, painted, write
        self._brush, self._shape = brush, shape
        self._marks = Marks(brush, shape, *picture.shape[1:])
        self._ticks: list[Tick] = []
        self._ascent: WarmAscent | None = None
        self._least, self._name = 0.0, ""
        if brush.kind not in ("colour", "restore"):
            if classifier is None:
                raise ValueError(f"The brush '{brush.kind}' needs a classifier.")
            self._ascent = WarmAscent(goal_of(classifier, brush))
            self._side, self._device = classifier.input_size, classifier.mean.device
            self._least, self._name = least_share(self._side, *picture.shape[1:]), classifier.card.title
        self._detail: Detail | None = None
        self._preview: Preview | None = None
        self._box: Box | None = None
        self._mask, self._known = torch.zeros(1, 0, 0, dtype=torch.uint8), 0
        self.over = False
        """Whether it was finished or cancelled."""

    @torch.inference_mode(False)
    def advance(self, points: Sequence[Sequence[float]], steps: int) -> int:
        """Go on to further points `(x, y, pressure)`, then take some steps of the ascent.

        Returns:
            How many steps were taken: none for the brushes that need no classifier, or while nothing is marked.

        Raises:
            ValueError: a point is not three finite numbers.
        """
        assert not self.over, "the stroke is over"
        assert self._detail is None, "the stroke rests"
        further = checked_points(points)
        self._marks.add(further)
        extent = self._marks.extent
        if extent is not None:
            self._box = grown(self._box, extent, self._least, *self._picture.shape[1:])
        if self._ascent is None or extent is None or self._box is None:
            steps = 0
        else:
            self._ascend(self._ascent, self._box, steps)
        if further or not self._ticks:
            self._ticks.append(Tick(further, steps))
        else:
            self._ticks[-1] = self._ticks[-1].longer(steps)
        return steps

    def preview(self, longest: int) -> tuple[Box, Tensor]:
        """What changed since the stroke began, to look at while it goes on.

        Args:
            longest: the most pixels of a side.

        Returns:
            A box of the picture, and its pixels `uint8 [3, h, w]`, of the box's size or smaller. Both are empty while
            nothing is marked.
        """
        extent, box = self._marks.extent, self._box
        if extent is None or box is None:
            return Box(0, 0, 0, 0), torch.zeros(3, 0, 0, dtype=torch.uint8)
        if self._preview is None or (self._preview.box, self._preview.longest) != (box, longest):
            self._preview = Preview(self._brush, self._marks, self._picture, self._base, box, longest)
        return self._preview.look(extent, self._change())

    @property
    def detail_left(self) -> int:
        """How many detail steps are to come; 0 before the first call of `rest`."""
        return 0 if self._detail is None else self._detail.left

    @torch.inference_mode(False)
    def rest(self, steps: int) -> int:
        """Take some steps of detail, and say how many are left. No further points can follow."""
        assert not self.over, "the stroke is over"
        if self._ascent is None or self._ascent.steps == 0:
            return 0
        if self._detail is None:
            self._detail = Detail(self._ascent, self._mask, self._side, self._look, self._marks.draw)
        for _ in range(min(steps, self._detail.left)):
            self._detail.step()
        return self._detail.left

    @torch.inference_mode(False)
    def finish(self) -> Box | None:
        """Write the stroke into the painting: the box that it changed, or None."""
        assert not self.over, "the stroke is over"
        box = self._finished()
        self._forget()
        return box

    def cancel(self) -> Box | None:
        """Give the stroke up: the painting is as before. The box that previews showed of it, or None."""
        self._forget()
        return self._marks.extent

    def _forget(self) -> None:
        self.over = True
        self._ascent = self._detail = self._preview = None

    def _finished(self) -> Box | None:
        extent = self._marks.extent
        if extent is None or (self._ascent is not None and self._ascent.steps == 0):
            return None
        mask, change = self._marks.draw(Grid.full(extent)), self._change()
        picture, painted = extent.cut(self._picture).clone(), extent.cut(self._painted)
        for block in extent.blocks(BLOCK):
            part = block.seen_from(extent)
            before, base, shown = part.cut(picture), block.cut(self._base), part.cut(mask)
            if shown.any():
                values = None if change is None else resample(change.values, change.grid, Grid.full(block))
                before.copy_(blended(self._brush, before, base, shown, values))
        after = painted_after(self._brush, painted, mask)
        if torch.equal(picture, extent.cut(self._picture)) and torch.equal(after, painted):
            return None
        detail = 0 if self._detail is None else self._detail.done
        record = StrokeRecord(self._brush, self._shape, tuple(self._ticks), detail, self._name)
        self._write(extent, record, picture, after)
        return extent

    def _ascend(self, ascent: WarmAscent, box: Box, steps: int) -> None:
        if ascent.grid is None or ascent.grid.box != box:
            grid = Grid(box, *working_size(box.height, box.width, self._side))
            ascent.look(grid, self._look(grid))
            self._mask, self._known = torch.zeros(1, grid.height, grid.width, dtype=torch.uint8), 0
        assert ascent.grid is not None
        self._known = self._marks.draw_further(self._mask, ascent.grid, self._known)
        ascent.run(self._mask, steps)

    def _look(self, grid: Grid) -> Tensor:
        """The picture before the stroke on a grid, float `[3, *grid]` in [0, 1] on the classifier's device."""
        return shrunk(self._picture, grid).to(self._device).float() / 255

    def _change(self) -> Change | None:
        if self._ascent is None or self._ascent.grid is None:
            return None
        return self._ascent.change() if self._detail is None else self._detail.change()


def least_share(input_size: int, height: int, width: int) -> float:
    """The smallest view's share of a picture's sides: all of it where that is not much larger than the classifier's."""
    native = input_size / math.sqrt(height * width)
    return 1.0 if native**-2 <= NATIVE_AREA[1] else native


def grown(box: Box | None, extent: Box, least: float, height: int, width: int) -> Box:
    """The view that a stroke needs: the one that it has, while that is large enough for what is marked."""
    if box is None:
        return view_box(extent, height, width, CONTEXT, least)
    needed = view_box(extent, height, width, ROOM, least)
    if needed.inside(box) == needed:
        return box
    return view_box(extent, height, width, CONTEXT, min(GROWTH * box.width / width, 1.0))
