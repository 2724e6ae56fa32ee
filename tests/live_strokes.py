"""Pictures, brushes and strokes for the tests of the live canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis.live import Box, Brush, Painting, Shape

ASSETS = Path(__file__).resolve().parent.parent / "workflows" / "assets"
KINDS = {"class": "class_1, -class_0:0.5", "feature": "3, 1:0.5", "colour": "", "grow": "", "restore": ""}
SHAPES: tuple[Shape, ...] = ("path", "area")


def random_picture(height: int, width: int, seed: int = 0) -> Tensor:
    """`uint8 [3, height, width]`, smooth here and there, with values at both ends."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator) * 1.4 - 0.2
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    return (smooth.clamp(0, 1) * 255).round().to(torch.uint8)


def photo(name: str) -> Tensor:
    pixels = np.array(Image.open(ASSETS / f"{name}.png").convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def brush(kind: str, **values: Any) -> Brush:
    return Brush(kind=kind, what=KINDS[kind], **values)  # type: ignore[arg-type]


def along(*corners: tuple[float, float], count: int = 6) -> list[tuple[float, float, float]]:
    """Points along the way through some corners."""
    points = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        points += [(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count, 1.0) for i in range(count + 1)]
    return points


def paint(
    painting: Painting,
    classifier: RobustClassifier | None,
    chosen: Brush,
    points: Sequence[tuple[float, float, float]],
    shape: Shape = "path",
    ticks: int = 2,
    steps: int = 2,
    detail: int = 2,
) -> Box | None:
    """A stroke that is drawn in some ticks, rests for some detail steps, and is finished."""
    stroke = painting.begin(classifier, chosen, shape)
    each = math.ceil(len(points) / ticks)
    for tick in range(ticks):
        stroke.advance(points[tick * each : (tick + 1) * each], steps)
    stroke.rest(detail)
    return stroke.finish()


@st.composite
def strokes(draw: st.DrawFn) -> tuple[tuple[int, int], Brush, Shape, list[tuple[float, float, float]]]:
    """Any brush and any points on a picture of any size, inside of it, at its border or outside."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    kind = draw(st.sampled_from(sorted(KINDS)))
    chosen = brush(
        kind,
        size=draw(st.sampled_from([1.0, 2.5, 7.0, 20.0, 60.0, 400.0])),
        softness=draw(st.sampled_from([0.0, 0.3, 1.0])),
        strength=draw(st.sampled_from([0.05, 0.5, 1.0, 5.0])),
        mirrored=draw(st.booleans()),
        colour=draw(st.sampled_from(["#000000", "#ff8000"])),
    )
    place = st.one_of(st.floats(-0.5, 1.5), st.sampled_from([0.0, 1.0]))
    points = draw(st.lists(st.tuples(place, place, st.floats(0, 1)), min_size=0, max_size=5))
    return (height, width), chosen, draw(st.sampled_from(SHAPES)), [(x * width, y * height, p) for x, y, p in points]
