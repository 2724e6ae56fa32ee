"""Geometry of the live canvas: grids, what is brought from one onto another, and where brushes mark."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from robust_synthesis.synthesis.live import Box, Brush, Shape
from robust_synthesis.synthesis.live.brush import Marks
from robust_synthesis.synthesis.live.detail import tile_origins
from robust_synthesis.synthesis.live.geometry import Grid, resample, view_box

SIDES = st.integers(1, 60)


@given(height=SIDES, width=SIDES, rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_resampling_is_bicubic_and_antialiased(height: int, width: int, rows: int, columns: int) -> None:
    """As torch's, which turns around what is one pixel wide (see `views`), and differs by float32."""
    box = Box(5, 7, width, height)
    values = torch.rand(2, height, width)
    small = Grid(box, min(rows, height), min(columns, width))
    wanted = F.interpolate(values[None], (small.height, max(small.width, 2)), mode="bicubic", antialias=True)[0]
    if small.width > 1:
        torch.testing.assert_close(resample(values, Grid.full(box), small), wanted, atol=2e-3, rtol=0)
    constant = torch.full((1, small.height, small.width), 0.3)
    torch.testing.assert_close(resample(constant, small, Grid.full(box)), torch.full((1, height, width), 0.3))


@given(st.data())
def test_cells_of_a_resampled_grid_are_the_same_as_in_all_of_it(data: st.DataObject) -> None:
    source = Grid(Box(3, 2, 50, 40), 13, 17)
    target = Grid(Box(0, 10, 60, 37), 20, 33)
    values = torch.rand(3, 13, 17)
    left, top = data.draw(st.integers(0, 32)), data.draw(st.integers(0, 19))
    cells = Box(left, top, data.draw(st.integers(1, 33 - left)), data.draw(st.integers(1, 20 - top)))
    torch.testing.assert_close(resample(values, source, target, cells), cells.cut(resample(values, source, target)))


def test_what_is_carried_to_a_larger_view_stays_where_it_is_and_is_nothing_outside() -> None:
    """A spot of 10 pixels, and its place in the picture by the mean of where it is."""
    small, large = Grid(Box(100, 60, 120, 90), 30, 40), Grid(Box(70, 40, 240, 180), 33, 44)
    values = torch.zeros(1, 30, 40)
    values[0, 10:14, 20:24] = 1
    carried = resample(values, small, large)[0]
    cell = 240 / 44
    x = (carried.sum(0) * (70 + (torch.arange(44) + 0.5) * cell)).sum() / carried.sum()
    y = (carried.sum(1) * (40 + (torch.arange(33) + 0.5) * cell)).sum() / carried.sum()
    assert abs(x - (100 + 22 * 3)) < 0.2
    assert abs(y - (60 + 12 * 3)) < 0.2
    assert abs(carried.sum() * cell**2 - 16 * 9) < 3
    all_of_it = resample(torch.ones(1, 30, 40), small, large)[0]
    assert all_of_it[0].abs().max() == 0
    assert all_of_it[10, 15] == pytest.approx(1)


@given(
    height=st.integers(1, 500),
    width=st.integers(1, 500),
    context=st.floats(1, 3),
    least=st.floats(0, 1),
    data=st.data(),
)
def test_a_view_holds_its_part_and_lies_in_the_picture(
    height: int, width: int, context: float, least: float, data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    part = Box(left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top)))
    box = view_box(part, height, width, context, least)
    assert box.inside(Box(0, 0, width, height)) == box
    assert part.inside(box) == part
    assert box.width >= math.floor(least * width)


@given(box=st.builds(Box, st.integers(-9, 9), st.integers(-9, 9), SIDES, SIDES), side=st.integers(1, 40))
def test_blocks_cover_a_box_once(box: Box, side: int) -> None:
    count = torch.zeros(box.height, box.width)
    for block in box.blocks(side):
        assert max(block.width, block.height) <= side
        block.seen_from(box).cut(count).add_(1)
    assert (count == 1).all()


@given(side=st.integers(1, 20), more=st.integers(0, 60), shift=st.integers(-30, 30))
def test_tiles_cover_a_length_without_leaving_it(side: int, more: int, shift: int) -> None:
    length = side + more
    origins = tile_origins(length, side, shift)
    assert {place for origin in origins for place in range(origin, origin + side)} == set(range(length))
    assert len(origins) <= length / side + 2


def drawn(
    points: list[tuple[float, float, float]], shape: Shape = "path", side: int = 80, **values: Any
) -> torch.Tensor:
    """All marks of some points on a picture of `side` x `side`, in 0 to 1."""
    marks = Marks(Brush(kind="colour", **values), shape, side, side)
    marks.add(points)
    return marks.draw(Grid.full(Box(0, 0, side, side)))[0] / 255


@pytest.mark.parametrize("size", [1.0, 3.0, 10.0, 33.0, 70.0])
def test_a_hard_dab_is_a_disc(size: float) -> None:
    mask = drawn([(40, 40, 1)], size=size, softness=0.0)
    assert mask.sum() == pytest.approx(math.pi * size**2 / 4, rel=0.1, abs=1.5)
    assert torch.equal(mask, mask.flip(0))
    assert torch.equal(mask, mask.T)


def test_softness_fades_from_the_middle_to_the_rim() -> None:
    hard, soft, softest = (drawn([(40.5, 40.5, 1)], size=60, softness=value)[40, 40:] for value in (0.0, 0.5, 1.0))
    for row in (hard, soft, softest):
        assert row[0] == 1
        assert (row.diff() <= 0).all()
        assert row[31:].max() == 0
    assert hard[28] == 1
    assert soft[13] == 1
    assert 0.3 < soft[22] < 0.7
    assert 0.3 < softest[15] < 0.7


@pytest.mark.parametrize("pressure", [0.0, 0.5, 1.0])
def test_pressure_scales_the_diameter(pressure: float) -> None:
    width = float(drawn([(40, 40, pressure)], size=60, softness=0.0)[40].sum())
    assert width == pytest.approx(60 * (0.2 + 0.8 * pressure), abs=1.5)


@pytest.mark.parametrize("size", [3.0, 12.0, 40.0])
def test_a_path_has_no_gaps_and_no_bumps(size: float) -> None:
    """However it is cut into ticks."""
    way = [(10.0, 25.0, 1.0), (70.0, 61.0, 1.0)]
    mask = drawn(way, size=size, softness=0.0)
    rows, columns = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    across = ((columns - 10) * 36 - (rows - 25) * 60).abs() / math.hypot(60, 36)
    along = ((columns - 10) * 60 + (rows - 25) * 36) / (60**2 + 36**2)
    middle = (along > 0) & (along < 1)
    assert mask[middle & (across < size / 2 - 0.75)].min() == 1
    assert mask[middle & (across > size / 2 + 0.75)].max() == 0

    marks, grid = Marks(Brush(kind="colour", size=size, softness=0.0), "path", 80, 80), Grid.full(Box(0, 0, 80, 80))
    ticked, known = torch.zeros(1, 80, 80, dtype=torch.uint8), 0
    for point in way:
        marks.add([point])
        known = marks.draw_further(ticked, grid, known)
    assert torch.equal(ticked[0] / 255, mask)


@pytest.mark.parametrize("shape", ["path", "area"])
def test_mirrored_marks_are_symmetric(shape: Shape) -> None:
    points = [(12.0, 20.0, 1.0), (30.0, 40.0, 1.0), (8.0, 60.0, 1.0)]
    for size in (4.0, 20.0):
        mask = drawn(points, shape, size=size, mirrored=True)
        # A polygon may be a pixel off.
        assert (mask - mask.flip(1)).abs().mean() < (0.001 if shape == "path" else 0.03)
        assert mask[:, :40].sum() == pytest.approx(float(drawn(points, shape, size=size)[:, :40].sum()), rel=0.02)


def test_an_area_fades_at_its_rim_and_not_at_the_pictures() -> None:
    mask = drawn([(-5, -5, 1), (40, -5, 1), (40, 90, 1), (-5, 90, 1)], "area", size=20, softness=1.0)
    assert mask[40, :28].min() == 1
    assert 0.2 < mask[40, 34] < 0.8
    assert mask[40, 41:].max() == 0
    assert mask[0, 0] == mask[79, 0] == 1


def test_marks_on_a_smaller_grid_are_those_of_the_picture() -> None:
    points = [(10.0, 20.0, 1.0), (60.0, 50.0, 0.6)]
    for shape in ("path", "area"):
        corners = [*points, (20.0, 70.0, 1.0)]
        marks = Marks(Brush(kind="colour", size=30), shape, 80, 80)
        marks.add(corners)
        box = Box(4, 8, 72, 64)
        small = marks.draw(Grid(box, 16, 18)) / 255
        wanted = F.avg_pool2d(marks.draw(Grid.full(box)) / 255, 4)
        assert (small - wanted).abs().mean() < 0.02
        assert marks.extent is not None
        outside = marks.draw(Grid.full(Box(0, 0, 80, 80)))
        marks.extent.cut(outside).zero_()
        assert not outside.any()
