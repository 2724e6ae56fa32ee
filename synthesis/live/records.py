"""The strokes of a painting as data: what to do again, to come to the same picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .brush import SHAPES, Brush, Point, Shape, checked_points

MOST_STEPS = 1_000_000
LONGEST_NAME = 500


@dataclass(frozen=True)
class Tick:
    """A piece of a stroke: new points, then some steps."""

    points: tuple[Point, ...]
    steps: int = 0

    def longer(self, steps: int) -> Tick:
        """The tick with further steps."""
        return replace(self, steps=self.steps + steps)


@dataclass(frozen=True)
class StrokeRecord:
    """One stroke: with the picture before it and the classifier it decides the picture after it."""

    brush: Brush
    shape: Shape
    ticks: tuple[Tick, ...]
    detail: int = 0
    """How many detail steps were done."""
    classifier: str = ""
    """Title of the classifier; empty where the brush needs none."""

    def to_json(self) -> dict[str, Any]:
        """The record as an object of JSON."""
        ticks = [{"points": [list(point) for point in tick.points], "steps": tick.steps} for tick in self.ticks]
        return {
            "brush": self.brush.to_json(),
            "shape": self.shape,
            "ticks": ticks,
            "detail": self.detail,
            "classifier": self.classifier,
        }

    @classmethod
    def from_json(cls, values: object) -> StrokeRecord:
        """The record of an object of JSON.

        Raises:
            ValueError: it is malformed, or a value is out of range.
        """
        if not isinstance(values, Mapping) or set(values) != {"brush", "shape", "ticks", "detail", "classifier"}:
            raise ValueError("A stroke is an object with brush, shape, ticks, detail and classifier.")
        shape, ticks, classifier = values["shape"], values["ticks"], values["classifier"]
        if shape not in SHAPES:
            raise ValueError(f"The shape of a stroke is {' or '.join(SHAPES)}.")
        if not isinstance(ticks, list):
            raise ValueError("The ticks of a stroke are a list.")
        if not isinstance(classifier, str) or len(classifier) > LONGEST_NAME:
            raise ValueError("The classifier of a stroke is a name.")
        brush = Brush.from_json(values["brush"])
        return cls(brush, shape, tuple(map(_tick, ticks)), _count(values["detail"]), classifier)


def _tick(values: object) -> Tick:
    if not isinstance(values, Mapping) or set(values) != {"points", "steps"}:
        raise ValueError("A tick of a stroke is an object with points and steps.")
    points = values["points"]
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise ValueError("The points of a tick are a list.")
    return Tick(checked_points(points), _count(values["steps"]))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_STEPS:
        raise ValueError(f"A number of steps is from 0 to {MOST_STEPS}.")
    return value
