"""How a classifier looks at a part of a picture, puts back what it changed, and looks closer in tiles."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.synthesis.views import View, around, in_tiles, tiled, whole, working_size

SIDE = 32
# The area up to which a picture is near enough to the classifier's own to be seen as it is.
NATIVE = 1.6 * SIDE**2
LARGEST_ZOOM = 8


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random pictures, a part of whose pixels are exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, height, width, generator=generator) * 1.4 - 0.2).clamp(0, 1)


@st.composite
def masks(draw: st.DrawFn, largest: int = 160) -> Tensor:
    """For each picture of a batch a marked rectangle somewhere, or nothing at all."""
    count, height, width = draw(st.integers(1, 3)), draw(st.integers(1, largest)), draw(st.integers(1, largest))
    mask = torch.zeros(count, 1, height, width)
    for index in range(count):
        rows = sorted((draw(st.integers(0, height)), draw(st.integers(0, height))))
        columns = sorted((draw(st.integers(0, width)), draw(st.integers(0, width))))
        mask[index, :, rows[0] : rows[1], columns[0] : columns[1]] = draw(st.floats(0.01, 1))
    return mask


@given(mask=masks())
def test_a_view_around_a_mask_contains_it_and_stays_inside_the_picture(mask: Tensor) -> None:
    height, width = mask.shape[2:]

    view = around(mask, SIDE)

    assert view.size == working_size(height, width, SIDE)
    for (top, left, box_height, box_width), marked in zip(view.boxes_of(len(mask)), mask, strict=True):
        assert 0 <= top <= top + box_height <= height
        assert 0 <= left <= left + box_width <= width
        outside = marked.clone()
        outside[:, top : top + box_height, left : left + box_width] = 0
        assert not outside.any()
        if not marked.any() or height * width <= NATIVE:
            assert (top, left, box_height, box_width) == (0, 0, height, width)
            continue
        # In the shape of the picture, with surroundings, and never in more pixels than there are.
        assert abs(box_height / height - box_width / width) <= 1 / min(height, width)
        marked_rows, marked_columns = (int(marked[0].any(axis).sum()) for axis in (1, 0))
        assert box_height >= min(2 * marked_rows, height)
        assert box_width >= min(2 * marked_columns, width)
        assert box_height * box_width >= SIDE**2 * 0.99


def test_a_small_picture_is_seen_whole() -> None:
    mask = torch.zeros(2, 1, 37, 40)
    mask[0, 0, 5, 5] = 1
    assert around(mask, SIDE) == whole(37, 40, SIDE) == View(((0, 0, 37, 40),), (37, 40))


def test_a_view_lies_about_the_middle_of_what_is_marked() -> None:
    mask = torch.zeros(1, 1, 200, 300)
    mask[:, :, 80:120, 130:170] = 1
    ((top, left, height, width),) = around(mask, SIDE).boxes
    assert abs(top + height / 2 - 100) <= 1
    assert abs(left + width / 2 - 150) <= 1


@given(mask=masks(), seed=st.integers(0, 1000))
@example(mask=torch.ones(1, 1, 1, 1), seed=0)
@example(mask=torch.ones(1, 1, 1, 200), seed=0)
def test_an_unchanged_view_puts_the_picture_back_bit_for_bit(mask: Tensor, seed: int) -> None:
    images = pictures(len(mask), mask.shape[2], mask.shape[3], seed)
    before = images.clone()
    view = around(mask, SIDE)
    for closer in (view, *view.finer()):
        seen = closer.look(images)
        assert seen.shape == (len(images), 3, *closer.size)
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert torch.equal(closer.put_back(images, seen, seen.clone()), images)
    assert torch.equal(images, before), "the pictures that came in were written to"


@given(mask=masks(), seed=st.integers(0, 1000))
def test_a_changed_view_changes_nothing_but_its_box(mask: Tensor, seed: int) -> None:
    images = pictures(len(mask), mask.shape[2], mask.shape[3], seed)
    view = around(mask, SIDE)
    seen = view.look(images)

    result = view.put_back(images, seen, 1 - seen)

    assert result.shape == images.shape
    assert result.min() >= 0
    assert result.max() <= 1
    for index, (top, left, height, width) in enumerate(view.boxes_of(len(mask))):
        assert not torch.equal(result[index], images[index])
        result[index, :, top : top + height, left : left + width] = images[
            index, :, top : top + height, left : left + width
        ]
    assert torch.equal(result, images)


def test_a_smooth_change_comes_back_as_it_was_made() -> None:
    images = pictures(1, 90, 120) * 0.4 + 0.3
    mask = torch.zeros(1, 1, 90, 120)
    mask[:, :, 40:50, 60:70] = 1
    view = around(mask, SIDE)
    seen = view.look(images)
    ((top, left, height, width),) = view.boxes

    result = view.put_back(images, seen, seen + 0.1)

    box = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    torch.testing.assert_close(result[box], images[box] + 0.1)


@pytest.mark.parametrize("length", [2, 40, 300])
def test_a_change_comes_back_alike_in_a_picture_one_pixel_wide_or_high(length: int) -> None:
    images = pictures(1, 1, length) * 0.2 + 0.4
    view = whole(1, length, SIDE)
    change = 0.2 * pictures(1, *view.size, seed=1)

    high = view.put_back(images, torch.zeros_like(change), change)
    wide = whole(length, 1, SIDE).put_back(
        images.transpose(2, 3), torch.zeros_like(change).transpose(2, 3), change.transpose(2, 3)
    )

    assert (high - images).std() > 1e-3
    torch.testing.assert_close(wide.transpose(2, 3), high)


@given(height=st.integers(100, 900), width=st.integers(100, 900), share=st.floats(0.01, 1))
def test_finer_views_rise_to_about_the_box(height: int, width: int, share: float) -> None:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, : math.ceil(height * share), : math.ceil(width * share)] = 1
    view = around(mask, 96)
    ((_, _, box_height, box_width),) = view.boxes

    finer = view.finer()

    sizes = [view.size, *(closer.size for closer in finer)]
    assert all(closer.boxes == view.boxes for closer in finer)
    for (rows, columns), (more_rows, more_columns) in pairwise(sizes):
        assert 1.3 < more_rows / rows < 3
        assert 1.3 < more_columns / columns < 3
    # What is left to gain is less than a further view would be worth, or beyond the largest zoom.
    for last, first, box in zip(sizes[-1], view.size, (box_height, box_width), strict=True):
        target = min(box, first * LARGEST_ZOOM)
        assert target / 1.5 <= last <= 1.05 * target + 1


@pytest.mark.parametrize(("height", "width"), [(100, 4000), (300, 900), (400, 300)])
def test_a_picture_on_its_side_gets_as_much_detail(height: int, width: int) -> None:
    mask = torch.ones(1, 1, height, width)
    upright = [view.size for view in around(mask.transpose(2, 3), 96).finer()]
    assert upright
    assert [view.size[::-1] for view in around(mask, 96).finer()] == upright


def test_a_picture_of_the_classifiers_size_has_no_finer_views() -> None:
    assert around(torch.ones(2, 1, SIDE, SIDE), SIDE).finer() == []


sides = st.integers(1, 120)


@given(count=st.integers(1, 3), height=sides, width=sides, side=st.integers(4, 40))
@example(count=1, height=1, width=300, side=32)
@example(count=2, height=33, width=97, side=32)
def test_tiles_are_equal_and_cover_every_pixel(count: int, height: int, width: int, side: int) -> None:
    places = torch.arange(count * height * width).view(count, 1, height, width)

    tiles = tiled(places, side)

    assert tiles.shape[0] == count
    for picture, its_tiles in zip(places, tiles, strict=True):
        assert set(its_tiles.flatten().tolist()) == set(picture.flatten().tolist())
    # About as large as the classifier's input where the picture is; all of a side that is shorter.
    for length, tile in ((height, tiles.shape[3]), (width, tiles.shape[4])):
        assert tile <= 1.5 * side + 1
        assert tile >= min(length, side / 1.5)


@given(count=st.integers(1, 3), height=sides, width=sides)
@example(count=1, height=150, width=190)
def test_tiles_are_seen_as_their_mean_and_every_pixel_takes_part(count: int, height: int, width: int) -> None:
    images = pictures(count, height, width).requires_grad_()

    def see(tiles: Tensor) -> Tensor:
        return torch.stack([tiles.mean((1, 2, 3)), tiles.square().mean((1, 2, 3))], 1)

    seen = in_tiles(see, 16)(images)
    (gradient,) = torch.autograd.grad(seen[:, 0].sum(), images)

    expected = torch.stack([see(tiles).mean(0) for tiles in tiled(images.detach(), 16)])
    torch.testing.assert_close(seen.detach(), expected)
    assert (gradient > 0).all()
    assert 0 < float(gradient.sum()) < count * 1.001
    with torch.no_grad():
        torch.testing.assert_close(in_tiles(see, 16)(images), expected)


def test_tiles_of_a_picture_do_not_depend_on_the_others() -> None:
    images = pictures(5, 70, 90)
    seen = in_tiles(lambda tiles: tiles.amax((2, 3)), 16)(images)
    alone = in_tiles(lambda tiles: tiles.amax((2, 3)), 16)(images[3:4])
    assert torch.equal(seen[3:4], alone)
