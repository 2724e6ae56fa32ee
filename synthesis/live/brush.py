"""A brush, and where a stroke of it marks a picture, drawn on any grid."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from .geometry import Box, Grid

BrushKind = Literal["class", "feature", "colour", "grow", "restore"]
KINDS: tuple[BrushKind, ...] = get_args(BrushKind)
Shape = Literal["path", "area"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
Point = tuple[float, float, float]
"""x and y in pixels of the picture, and the pressure from 0 to 1."""

SMALLEST_SIZE, LARGEST_SIZE = 1.0, 4096.0
WEAKEST, STRONGEST = 0.05, 5.0
LONGEST_TEXT = 500
LIGHTEST = 0.2
"""Share of the diameter that is left without pressure."""
FAR = 4 * LARGEST_SIZE
"""Coordinates beyond plus or minus this are brought back to it: a picture is smaller, and way costs time."""
SCALLOP = 0.1
"""How far, in cells, the edge between two dabs may be from that of a line without gaps."""
CLOSEST = 0.7
"""Dabs are at least so many cells apart."""
SUBCELL = 4
"""Small dabs are placed to this part of a cell, as far as their radius is below `SHARP_RADIUS` cells."""
SHARP_RADIUS = 16
MOST_FINER = 4
"""An area is drawn on a grid up to so many times finer, where the pixels are, and averaged."""

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Brush:
    """What a stroke paints, and how wide and boldly."""

    kind: BrushKind
    what: str = ""
    """A class expression for `class`, a feature expression for `feature`; the others need none."""
    colour: str = "#808080"
    """For `colour`: red, green and blue, two hexadecimal digits each."""
    size: float = 64.0
    """Diameter in pixels of the picture."""
    softness: float = 0.5
    """From 0, a hard edge, to 1, soft to the middle."""
    strength: float = 1.0
    """Multiplies the steps and how far they may lead; of `colour` and `restore` up to 1 is how much they cover."""
    mirrored: bool = False
    """Whether it paints at the other side of the picture's vertical middle as well."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown brush {self.kind!r}: choose one of {', '.join(KINDS)}.")
        if not isinstance(self.what, str) or len(self.what) > LONGEST_TEXT:
            raise ValueError(f"What a brush paints is a text of at most {LONGEST_TEXT} characters.")
        if self.kind in ("class", "feature") and not self.what.strip():
            raise ValueError(f"The brush '{self.kind}' needs a {self.kind} to paint.")
        parse_colour(self.colour)
        ranges = {"size": (SMALLEST_SIZE, LARGEST_SIZE), "softness": (0.0, 1.0), "strength": (WEAKEST, STRONGEST)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high:
                raise ValueError(
                    f"The brush's {name} is {_shown(value)}; it must be a number from {low:g} to {high:g}."
                )
        if not isinstance(self.mirrored, bool):
            raise ValueError(f"mirrored is {_shown(self.mirrored)}; it must be true or false.")

    def to_json(self) -> dict[str, Any]:
        """The brush as an object of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Brush:
        """The brush of an object of JSON.

        Raises:
            ValueError: it is none, has an unknown key, or a value is of another type or out of range.
        """
        if not isinstance(values, Mapping) or "kind" not in values:
            raise ValueError("A brush is an object with a kind.")
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"A brush has no {_shown(sorted(map(str, unknown))[0])}.")
        return cls(**values)

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour, from 0 to 255 each."""
        return parse_colour(self.colour)


def parse_colour(text: object) -> tuple[int, int, int]:
    """Red, green and blue, from 0 to 255 each, of two hexadecimal digits each: `#80a0ff`.

    Raises:
        ValueError: it is written otherwise.
    """
    if not isinstance(text, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"The colour is {_shown(text)}; it must be like '#80a0ff'.")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -math.inf < value < math.inf


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def checked_points(points: Iterable[Sequence[float]]) -> tuple[Point, ...]:
    """Points, brought into range.

    Raises:
        ValueError: one is not three finite numbers.
    """
    checked = []
    for point in points:
        if not isinstance(point, Sequence) or len(point) != 3 or not all(map(is_number, point)):
            raise ValueError(f"A point is three numbers, x, y and pressure, and not {_shown(point)}.")
        # Short in a file, and the same when read from it.
        x, y = (round(float(min(max(place, -FAR), FAR)), 2) for place in point[:2])
        checked.append((x, y, round(float(min(max(point[2], 0.0), 1.0)), 3)))
    return tuple(checked)


class Marks:
    """Where the points of one stroke mark a picture: how much, from 0 to 255, on any grid over it."""

    def __init__(self, brush: Brush, shape: Shape, height: int, width: int) -> None:
        """Begin without points, on a picture of `height` x `width` pixels."""
        if shape not in SHAPES:
            raise ValueError(f"Unknown shape {shape!r}: choose one of {', '.join(SHAPES)}.")
        self._brush, self._shape, self._size = brush, shape, (height, width)
        self._points: list[Point] = []
        self.extent: Box | None = None
        """A box around all that is marked of the picture."""

    def add(self, points: Sequence[Point]) -> None:
        """Go on to further points."""
        self._points += points
        for sides in self._sides(points if self._shape == "path" else self._points):
            box = self._box(sides)
            if box is not None:
                self.extent = box if self.extent is None else self.extent.with_box(box)

    def draw(self, grid: Grid) -> Tensor:
        """All marks on a grid, `uint8 [1, *grid]`."""
        mask = torch.zeros(1, grid.height, grid.width, dtype=torch.uint8)
        self.draw_further(mask, grid, 0)
        return mask

    def draw_further(self, mask: Tensor, grid: Grid, known: int) -> int:
        """Draw the marks of all points after the first `known` into a mask; how many points there are then."""
        if self._shape == "area":
            if known < len(self._points):
                for corners in self._sides(self._points):
                    np.maximum(mask[0].numpy(), self._area(corners, grid), out=mask[0].numpy())
            return len(self._points)
        # From the last point on, so that there is no gap.
        for way in self._sides(self._points[max(known - 1, 0) :] if known < len(self._points) else []):
            self._path(mask[0].numpy(), way, grid)
        return len(self._points)

    def _sides(self, points: Sequence[Point]) -> list[Numbers]:
        """The points `[N, 3]`, and their mirror images if there are any."""
        if not points:
            return []
        own = np.array(points, dtype=np.float64)
        if not self._brush.mirrored:
            return [own]
        return [own, np.column_stack([self._size[1] - own[:, 0], own[:, 1:]])]

    def _box(self, points: Numbers) -> Box | None:
        height, width = self._size
        if self._shape == "area":
            if len(points) < 3:
                return None
            reach: Numbers | float = 0.0
        else:
            reach = self._radii(points[:, 2]) + 0.5
        low = np.floor((points[:, :2].T - reach).min(1)).astype(int)
        high = np.ceil((points[:, :2].T + reach).max(1)).astype(int)
        box = Box(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        return box.inside(Box(0, 0, width, height))

    def _radii(self, pressures: Numbers) -> Numbers:
        """In pixels, in steps of 1/32 of the whole: their dabs are kept."""
        share = np.round((LIGHTEST + (1 - LIGHTEST) * pressures) * 32) / 32
        radii: Numbers = self._brush.size / 2 * share
        return radii

    def _path(self, mask: Bytes, points: Numbers, grid: Grid) -> None:
        across, down = grid.width / grid.box.width, grid.height / grid.box.height
        scale = math.sqrt(across * down)
        thinnest = float(self._radii(points[:, 2]).min()) * scale
        dabs = _dabs(points, max(math.sqrt(8 * SCALLOP * thinnest), CLOSEST) / scale)
        radii = self._radii(dabs[:, 2])
        x, y = (dabs[:, 0] - grid.box.left) * across, (dabs[:, 1] - grid.box.top) * down
        seen = (x + radii * across > -1) & (x - radii * across < grid.width + 1)
        seen &= (y + radii * down > -1) & (y - radii * down < grid.height + 1)
        for place in zip(x[seen], y[seen], radii[seen] * across, radii[seen] * down, strict=True):
            _stamp(mask, place, self._brush.softness)

    def _area(self, points: Numbers, grid: Grid) -> Bytes:
        """A polygon that fades in from its rim, inside of it; the picture's borders are no rim."""
        if len(points) < 3:
            return np.zeros((grid.height, grid.width), np.uint8)
        scale = math.sqrt(grid.width * grid.height / (grid.box.width * grid.box.height))
        # On a coarse grid a pixel is marked in part.
        finer = min(max(round(1 / scale), 1), MOST_FINER)
        height, width = finer * grid.height, finer * grid.width
        across, down = width / grid.box.width, height / grid.box.height
        fading = max(self._brush.softness * self._brush.size / 2 * scale * finer, 0.7)
        # Where the picture goes on, a margin tells on which side of the grid's edge the rim is.
        margin = math.ceil(fading) + 1
        left, top = margin * (grid.box.left > 0), margin * (grid.box.top > 0)
        right = margin * (grid.box.left + grid.box.width < self._size[1])
        bottom = margin * (grid.box.top + grid.box.height < self._size[0])
        image = Image.new("L", (left + width + right, top + height + bottom))
        # Pillow fills the pixels that a polygon's corners are in.
        columns = (points[:, 0] - grid.box.left) * across + left - 0.5
        rows = (points[:, 1] - grid.box.top) * down + top - 0.5
        ImageDraw.Draw(image).polygon(list(zip(columns.tolist(), rows.tolist(), strict=True)), fill=255)
        blurred = np.asarray(image.filter(ImageFilter.BoxBlur(fading)), dtype=np.int16)
        faded = np.minimum(np.clip(2 * blurred - 255, 0, 255), np.asarray(image)).astype(np.uint8)
        own: Bytes = faded[top : top + height, left : left + width]
        return own if finer == 1 else np.asarray(Image.fromarray(own).reduce(finer))


def _dabs(points: Numbers, spacing: float) -> Numbers:
    """Points `[N, 3]` along the way through some points, not further apart than `spacing` in pixels."""
    steps = np.hypot(*np.diff(points[:, :2], axis=0).T) if len(points) > 1 else np.zeros(0)
    parts = [points[:1]]
    for index, count in enumerate(np.ceil(steps / spacing).astype(int)):
        share = np.arange(1, count + 1)[:, None] / max(count, 1)
        parts.append(points[index] + share * (points[index + 1] - points[index]))
    return np.concatenate(parts)


def _stamp(mask: Bytes, place: tuple[float, float, float, float], softness: float) -> None:
    """Draw one dab into a mask, by its maximum; its place is x, y and the radii across and down, in cells."""
    x, y, across, down = map(float, place)
    parts = SUBCELL if min(across, down) < SHARP_RADIUS else 1
    column, row = round(x * parts), round(y * parts)
    draw = _small_dab if parts > 1 else _large_dab
    dab = draw(round(across, 3), round(down, 3), softness, column % parts / parts, row % parts / parts)
    left, top = column // parts - dab.shape[1] // 2, row // parts - dab.shape[0] // 2
    height, width = mask.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + dab.shape[1], width), min(top + dab.shape[0], height)
    if x0 < x1 and y0 < y1:
        part = mask[y0:y1, x0:x1]
        np.maximum(part, dab[y0 - top : y1 - top, x0 - left : x1 - left], out=part)


def _dab(across: float, down: float, softness: float, x: float, y: float) -> Bytes:
    """A dab whose middle is (x, y) cells right of and below the left top corner of its middle cell."""
    right, below = math.ceil(across + 1), math.ceil(down + 1)
    columns = np.arange(-right, right + 1, dtype=np.float32) + 0.5 - x
    rows = np.arange(-below, below + 1, dtype=np.float32) + 0.5 - y
    radius = math.sqrt(across * down)
    distance = radius * np.sqrt((columns / across) ** 2 + ((rows / down) ** 2)[:, None])
    # The middle of the rim, half a cell wide at least to each side, so that all grids show the same.
    rim = radius * (1 - softness / 2)
    share = np.clip(0.5 + (rim - distance) / max(softness * radius, 1.0), 0, 1)
    if softness > 0:
        share = share * share * (3 - 2 * share)
    # Thinner than a cell it marks a part of it.
    dab: Bytes = np.round(255 * min(2 * radius, 1.0) * share).astype(np.uint8)
    return dab


_small_dab = lru_cache(512)(_dab)
# Up to 16 MB each.
_large_dab = lru_cache(4)(_dab)
