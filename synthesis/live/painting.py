"""A painting: a base picture, the strokes on it, and the picture that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import RobustClassifier
from .brush import Brush, Shape
from .geometry import Box
from .records import StrokeRecord
from .stroke import LiveStroke

MOST_UNDONE = 50
MOST_UNDO_BYTES = 512 * 2**20


@dataclass
class _Written:
    """A stroke that can be undone or redone: what its box shows at the other side of it."""

    box: Box
    record: StrokeRecord
    picture: Tensor
    painted: Tensor

    @property
    def size(self) -> int:
        return self.picture.numel() + self.painted.numel()


class Painting:
    """A picture that is painted on, stroke by stroke, of 8 bits a channel, on the CPU."""

    def __init__(self, base: Tensor) -> None:
        """Begin on a base picture, of which a copy is kept.

        Args:
            base: `uint8 [3, H, W]`.

        Raises:
            ValueError: another type or shape.
        """
        if base.dtype != torch.uint8 or base.dim() != 3 or base.shape[0] != 3 or base.numel() == 0:
            raise ValueError(f"A painting begins on uint8 [3, H, W], and not on {base.dtype} {list(base.shape)}.")
        # A pixel's channels side by side: so Pillow reads them without a copy, and torch shrinks them faster.
        with torch.inference_mode(False):
            self.base = base.cpu().permute(1, 2, 0).clone(memory_format=torch.contiguous_format).permute(2, 0, 1)
            self.picture = self.base.clone()
            self.painted = torch.zeros(1, *base.shape[1:], dtype=torch.uint8)
        self.strokes: list[StrokeRecord] = []
        """Those in the picture, in order; undone ones are not in it."""
        self._undo: list[_Written] = []
        self._redo: list[_Written] = []
        self._live: LiveStroke | None = None

    def begin(self, classifier: RobustClassifier | None, brush: Brush, shape: Shape = "path") -> LiveStroke:
        """Begin a stroke. One at a time: finish or cancel the one before.

        Args:
            classifier: for the brushes `class`, `feature` and `grow`, on its device.
            brush: what to paint.
            shape: `path`: the points are a way of the brush; `area`: they are corners of what is filled.

        Raises:
            ValueError: the brush needs a classifier and there is none, or its text names what there is not.
        """
        self._check_idle()
        self._live = LiveStroke(self.picture, self.base, self.painted, classifier, brush, shape, self._write)
        return self._live

    @property
    def undo_count(self) -> int:
        """How many strokes can be undone."""
        return len(self._undo)

    @property
    def redo_count(self) -> int:
        """How many undone strokes can be done again."""
        return len(self._redo)

    def undo(self) -> Box | None:
        """Take the last stroke back, to the bit: the box that changed, or None if there is none to undo."""
        self._check_idle()
        if not self._undo:
            return None
        written = self._undo.pop()
        self._swap(written)
        self._redo.append(written)
        self.strokes.pop()
        return written.box

    def redo(self) -> Box | None:
        """Do the stroke that was undone last again, to the bit: the box that changed, or None."""
        self._check_idle()
        if not self._redo:
            return None
        written = self._redo.pop()
        self._swap(written)
        self._undo.append(written)
        self.strokes.append(written.record)
        return written.box

    def _check_idle(self) -> None:
        if self._live is not None and not self._live.over:
            raise RuntimeError("A stroke is under way: finish or cancel it first.")

    def _write(self, box: Box, record: StrokeRecord, picture: Tensor, painted: Tensor) -> None:
        written = _Written(box, record, picture, painted)
        self._swap(written)
        self.strokes.append(record)
        self._undo.append(written)
        self._redo.clear()
        while len(self._undo) > MOST_UNDONE or sum(entry.size for entry in self._undo) > MOST_UNDO_BYTES:
            del self._undo[0]

    def _swap(self, written: _Written) -> None:
        for whole, name in ((self.picture, "picture"), (self.painted, "painted")):
            part = written.box.cut(whole)
            other = getattr(written, name)
            setattr(written, name, part.clone())
            part.copy_(other)


def replay(
    base: Tensor,
    records: Iterable[StrokeRecord],
    classifier: RobustClassifier | None,
    callback: Callable[[], None] = lambda: None,
) -> Painting:
    """Do strokes again; on the base that they were done on, and the same machine, the picture is the same to the bit.

    Args:
        base: `uint8 [3, H, W]`.
        records: the strokes. Of a picture of another size they stay where they were in pixels.
        classifier: for those that need one.
        callback: called before each tick and each step of detail; it may raise to stop.

    Raises:
        ValueError: a stroke needs a classifier and there is none, or names what that one does not know.
    """
    painting = Painting(base)
    for record in records:
        stroke = painting.begin(classifier, record.brush, record.shape)
        for tick in record.ticks:
            callback()
            stroke.advance(tick.points, tick.steps)
        for _ in range(record.detail):
            callback()
            stroke.rest(1)
        stroke.finish()
    return painting
