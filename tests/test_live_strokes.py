"""Strokes of the live canvas under way: what they change and what not, seen and unseen, at any size."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import ExpressionError
from robust_synthesis.synthesis.live import Brush, Painting, Shape, replay
from tests.live_strokes import KINDS, SHAPES, along, brush, paint, random_picture, strokes


def reachable(size: tuple[int, int], chosen: Brush, shape: Shape, points: list[tuple[float, float, float]]) -> Tensor:
    """Which pixels `[H, W]` a stroke may change, by geometry alone: as far as the brush reaches, and a pixel."""
    height, width = size
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    near = torch.zeros(height, width, dtype=torch.bool)
    corners = torch.tensor([point[:2] for point in points]).view(-1, 2)
    for x in (corners, torch.stack([width - corners[:, 0], corners[:, 1]], 1)) if chosen.mirrored else (corners,):
        if shape == "area" and len(x) > 2:
            (left, top), (right, bottom) = x.amin(0).tolist(), x.amax(0).tolist()
            near |= (columns > left - 1) & (columns < right + 1) & (rows > top - 1) & (rows < bottom + 1)
        for begin, end in zip(x, x[1:] if len(x) > 1 else x, strict=False):
            way = end - begin
            along_way = ((columns - begin[0]) * way[0] + (rows - begin[1]) * way[1]) / way.square().sum().clamp(
                min=1e-9
            )
            share = along_way.clamp(0, 1)
            distance = torch.hypot(columns - begin[0] - share * way[0], rows - begin[1] - share * way[1])
            if shape == "path":
                near |= distance < chosen.size / 2 + 1.5
    return near


@given(case=strokes(), detail=st.sampled_from([0, 1, 100]))
def test_outside_of_a_stroke_every_pixel_stays(tiny: RobustClassifier, case: Any, detail: int) -> None:
    size, chosen, shape, points = case
    base = random_picture(*size)
    painting = Painting(base)

    box = paint(painting, tiny, chosen, points, shape, detail=detail)

    changed = (painting.picture != base).any(0)
    assert not (changed & (painting.painted[0] == 0)).any(), "it changed where it says that nothing was painted"
    assert not (painting.painted[0].bool() & ~reachable(size, chosen, shape, points)).any()
    if box is None:
        assert not changed.any()
        assert not painting.strokes
    else:
        outside = torch.ones_like(changed)
        outside[box.top : box.top + box.height, box.left : box.left + box.width] = False
        assert not (changed & outside).any()
        assert box.left >= 0
        assert box.top >= 0
        assert box.left + box.width <= size[1]
        assert box.top + box.height <= size[0]


@given(case=strokes(), longest=st.integers(1, 120), ticks=st.integers(1, 3))
def test_a_preview_is_bounded_and_changes_nothing(tiny: RobustClassifier, case: Any, longest: int, ticks: int) -> None:
    size, chosen, shape, points = case
    seen, unseen = Painting(random_picture(*size)), Painting(random_picture(*size))
    for painting in (seen, unseen):
        stroke = painting.begin(tiny, chosen, shape)
        each = math.ceil(len(points) / ticks) or 1
        for at in range(0, len(points) + 1, each):
            stroke.advance(points[at : at + each], 1)
            if painting is seen:
                box, pixels = stroke.preview(longest)
                assert max(pixels.shape[1:]) <= longest
                assert pixels.shape[1] <= box.height
                assert pixels.shape[2] <= box.width
                assert box.left >= 0
                assert box.left + box.width <= size[1]
                assert box.top >= 0
                assert box.top + box.height <= size[0]
                assert torch.equal(seen.picture, unseen.base)
        stroke.finish()
    assert torch.equal(seen.picture, unseen.picture)


@pytest.mark.parametrize("kind", KINDS)
def test_a_preview_in_all_pixels_is_what_is_written(tiny: RobustClassifier, kind: str) -> None:
    painting = Painting(random_picture(60, 80))
    paint(painting, None, brush("colour", colour="#ff0000", size=30), along((10, 20), (60, 30)))
    stroke = painting.begin(tiny, brush(kind, size=25, softness=0.4), "path")
    for points in (along((-5, 30), (30, 30)), along((35, 32), (60, 50)), [(70.0, 50.0, 1.0)]):
        stroke.advance(points, 2)
        stroke.preview(1000)

    box, pixels = stroke.preview(1000)

    assert stroke.finish() == box
    assert torch.equal(box.cut(painting.picture), pixels)


def test_a_cancelled_stroke_leaves_nothing(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(40, 50))
    stroke = painting.begin(tiny, brush("class", size=20), "path")
    stroke.advance(along((5, 5), (40, 30)), 2)
    stroke.rest(1)
    with pytest.raises(RuntimeError, match="under way"):
        painting.begin(tiny, brush("class"))
    with pytest.raises(RuntimeError, match="under way"):
        painting.undo()

    assert stroke.cancel() is not None

    assert torch.equal(painting.picture, painting.base)
    assert not painting.painted.any()
    assert (painting.strokes, painting.undo_count) == ([], 0)
    painting.begin(tiny, brush("class")).cancel()


def test_detail_can_be_interrupted_at_any_step(tiny: RobustClassifier) -> None:
    """A picture of three finer levels."""
    results = []
    count = None
    for done in (0, 1, 3, 10**6):
        painting = Painting(random_picture(200, 220))
        stroke = painting.begin(tiny, brush("class", size=90), "path")
        stroke.advance(along((60, 60), (150, 120)), 3)
        assert stroke.detail_left == 0
        left = stroke.rest(0)
        count = left if count is None else count
        assert left == count == stroke.detail_left
        assert stroke.rest(done) == max(count - done, 0)
        stroke.finish()
        assert painting.strokes[0].detail == min(done, count)
        assert torch.equal(replay(painting.base, painting.strokes, tiny).picture, painting.picture)
        results.append(painting.picture)
    assert count is not None
    assert count > 10
    assert len({result.numpy().tobytes() for result in results}) == len(results)


def test_what_was_marked_first_is_painted_in_a_larger_view_too(tiny: RobustClassifier) -> None:
    """The view grows several times, and no step is taken before."""
    painting = Painting(random_picture(400, 400))
    stroke = painting.begin(tiny, brush("class", size=12))
    for x in range(20, 380, 20):
        stroke.advance([(x, 200, 1)], 0)
    stroke.advance([], 4)
    stroke.finish()
    changed = (painting.picture != painting.base).any(0)
    assert all(changed[195:205, x - 5 : x + 5].any() for x in range(20, 380, 20))


def test_what_was_painted_stays_where_it_is_when_the_view_grows(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(400, 400))
    stroke = painting.begin(tiny, brush("class", size=30, strength=3))
    stroke.advance([(60, 60, 1)], 8)
    before = stroke.preview(1000)
    stroke.advance([(330, 330, 1)], 0)
    after = stroke.preview(1000)
    stroke.cancel()
    box = before[0]
    own = before[1].float() - box.cut(painting.picture)
    inside = box.seen_from(after[0])
    kept = inside.cut(after[1]).float() - box.cut(painting.picture)
    assert own.abs().mean() > 5
    similarity = torch.nn.functional.cosine_similarity(own.flatten(), kept.flatten(), 0)
    assert similarity > 0.7


def test_detail_reaches_all_that_is_masked(tiny: RobustClassifier) -> None:
    results = []
    for steps in (8, 10**6):
        painting = Painting(random_picture(130, 150))
        stroke = painting.begin(tiny, brush("class"), "area")
        stroke.advance([(0, 0, 1), (150, 0, 1), (150, 130, 1), (0, 130, 1)], 2)
        stroke.rest(steps)
        stroke.finish()
        results.append(painting.picture)
    changed = (results[0] != results[1]).any(0)[None, None].float()
    assert torch.nn.functional.avg_pool2d(changed, 10).min() > 0


def test_finer_detail_is_finer_than_the_view(canvas: RobustClassifier) -> None:
    """What the view cannot hold is there after the rest, and not before."""
    painting = Painting(torch.full((3, 384, 384), 128, dtype=torch.uint8))
    stroke = painting.begin(canvas, Brush(kind="class", what="church"), "area")
    stroke.advance([(0, 0, 1), (384, 0, 1), (384, 384, 1), (0, 384, 1)], 6)
    coarse = stroke.preview(384)[1].float()
    stroke.rest(10**6)
    fine = stroke.preview(384)[1].float()
    stroke.cancel()

    def above_the_view(picture: Tensor) -> float:
        # Beside its mirror image it has no edge at its border, which would have all frequencies.
        mirrored = torch.cat([picture, picture.flip(2)], 2)
        spectrum = torch.fft.fft2(torch.cat([mirrored, mirrored.flip(1)], 1)).abs().square()
        frequency = torch.fft.fftfreq(2 * 384).abs() * 384
        high = torch.maximum(frequency[:, None], frequency[None]) > 60
        return float(spectrum[:, high].sum())

    assert above_the_view(fine) > 4 * above_the_view(coarse)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["class", "grow"])
def test_nothing_is_marked_outside_of_the_picture(tiny: RobustClassifier, kind: str, shape: Shape) -> None:
    painting = Painting(random_picture(40, 50))
    stroke = painting.begin(tiny, brush(kind, size=10), shape)
    assert stroke.advance([(-30, -30, 1), (-20, -30, 1), (-30, -10, 1)], 4) == 0
    assert stroke.preview(100)[1].numel() == 0
    assert stroke.rest(4) == 0
    assert stroke.finish() is None
    assert not painting.strokes


def test_steps_are_taken_as_soon_as_the_brush_comes_into_the_picture(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(40, 50))
    stroke = painting.begin(tiny, brush("class", size=10))
    assert stroke.advance([(-30, 20, 1)], 4) == 0
    assert stroke.advance([(20, 20, 1)], 4) == 4
    assert stroke.advance([], 3) == 3
    stroke.finish()
    assert [tick.steps for tick in painting.strokes[0].ticks] == [0, 7]


@pytest.mark.parametrize("point", [(math.nan, 0, 1), (math.inf, 0, 1), (0, 0), ("1", 0, 1), (True, 0, 1), 3])
def test_points_that_are_none_are_refused(tiny: RobustClassifier, point: Any) -> None:
    stroke = Painting(random_picture(40, 50)).begin(tiny, brush("class", size=10))
    with pytest.raises(ValueError, match="three numbers"):
        stroke.advance([point], 1)


def test_a_brush_that_paints_needs_a_classifier_and_a_thing_that_there_is(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(40, 50))
    with pytest.raises(ValueError, match="needs a classifier"):
        painting.begin(None, brush("grow"))
    for kind, what in (("class", "nothing like it"), ("feature", "1000000")):
        with pytest.raises(ExpressionError):
            painting.begin(tiny, Brush(kind=kind, what=what))  # type: ignore[arg-type]
    painting.begin(tiny, brush("class"))
