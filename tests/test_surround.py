"""What a hole shows before the ascent: a smooth continuation of what is around it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.synthesis import surround
from robust_synthesis.synthesis.surround import DETAIL, extended, fade_in, visible_box, with_detail


def ramp(height: int, width: int) -> Tensor:
    """Colours that rise and fall evenly across the picture."""
    down, right = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None]
    return torch.stack([0.2 + 0.6 * right + 0 * down, 0.1 + 0.8 * down + 0 * right, 0.5 + 0.2 * right - 0.3 * down])[
        None
    ]


def half_covered(height: int, width: int, seed: int, share: float) -> tuple[Tensor, Tensor]:
    """Two random pictures, and masks of about this share of their pixels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=generator)
    covered = torch.rand(2, 1, height, width, generator=generator) < share
    # A little of the hole is still a hole.
    return images, covered * torch.rand(2, 1, height, width, generator=generator).clamp(min=0.01)


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "rows", "columns"),
    [(64, 64, 16, 16, 32, 32), (37, 53, 10, 10, 11, 30), (96, 96, 20, 20, 60, 60), (300, 400, 80, 90, 120, 150)],
)
def test_the_surroundings_continue_into_a_hole(
    height: int, width: int, top: int, left: int, rows: int, columns: int
) -> None:
    images, mask = ramp(height, width), torch.zeros(1, 1, height, width)
    mask[:, :, top : top + rows, left : left + columns] = 1

    result = surround(torch.where(mask == 0, images, 1.0), mask)

    assert torch.equal(result[:, :, mask[0, 0] == 0], images[:, :, mask[0, 0] == 0])
    assert (result - images).abs().max() < 0.02
    # No edge at the rim: neighbours are as close as in the picture that was there.
    for axis in (2, 3):
        assert (result.diff(dim=axis) - images.diff(dim=axis)).abs().max() < 0.01


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000), share=st.floats(0, 1))
@example(height=1, width=200, seed=0, share=0.5)
@example(height=200, width=1, seed=0, share=0.02)
def test_what_is_covered_is_not_looked_at(height: int, width: int, seed: int, share: float) -> None:
    images, mask = half_covered(height, width, seed, share)
    covered = mask > 0

    result = surround(images, mask)

    seen = (~covered).expand_as(images)
    assert torch.equal(result[seen], images[seen])
    assert torch.equal(result, surround(torch.where(covered, 1 - images, images), mask))
    for index in range(2):
        if not (~covered[index]).any():
            assert torch.equal(result[index], torch.full_like(images[index], 0.5))
            continue
        # Between the darkest and the lightest of what is visible, for each colour; sixty averages in a row round.
        visible = images[index][:, ~covered[index, 0]]
        low, high = visible.amin(1)[:, None, None], visible.amax(1)[:, None, None]
        assert (result[index] >= low - 1e-4).all()
        assert (result[index] <= high + 1e-4).all()


def test_one_visible_pixel_colours_the_largest_hole() -> None:
    images, mask = torch.full((1, 3, 1024, 1024), 0.8), torch.ones(1, 1, 1024, 1024)
    mask[:, :, 300, 700] = 0
    torch.testing.assert_close(surround(images, mask), images)


def texture(height: int, width: int) -> Tensor:
    """Waves of about eight pixels in all directions, a little different from place to place."""
    down, right = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    waves = [torch.sin(0.8 * right + 0.1 * down), torch.sin(0.7 * down - 0.2 * right), torch.sin(0.6 * (down + right))]
    return 0.5 + 0.15 * torch.stack([waves[0] + waves[1], waves[1] + waves[2], waves[2] + waves[0]])[None]


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000), share=st.floats(0, 1))
@example(height=1, width=1, seed=0, share=0.0)
@example(height=1, width=200, seed=0, share=0.5)
def test_detail_is_added_where_it_is_covered_only(height: int, width: int, seed: int, share: float) -> None:
    images, mask = half_covered(height, width, seed, share)

    result = with_detail(surround(images, mask), mask)

    seen = (mask == 0).expand_as(images)
    assert torch.equal(result[seen], images[seen])
    assert ((result >= 0) & (result <= 1)).all()


def test_the_detail_in_a_hole_is_as_strong_as_what_is_around_it() -> None:
    images, mask = texture(96, 192), torch.zeros(1, 1, 96, 192)
    # No detail to the right, where the second hole is.
    images[:, :, :, 96:] = 0.5
    mask[:, :, 30:70, 20:60] = 1
    mask[:, :, 30:70, 130:170] = 1

    result = with_detail(surround(images, mask), mask)

    contrast = images[:, :, 30:70, 60:90].std()
    rough, smooth = (result[:, :, 32:68, left : left + 36].std() for left in (22, 132))
    assert 0.5 * DETAIL * contrast < rough < 1.5 * DETAIL * contrast
    assert smooth < 0.01
    # The same for every picture, so that a film does not flicker.
    assert torch.equal(
        result[0], with_detail(surround(images, mask).expand(2, -1, -1, -1), mask.expand(2, -1, -1, -1))[1]
    )


BOXES = [(0, 0, 96, 60), (0, 100, 96, 200), (40, 0, 96, 200), (30, 40, 70, 120), (95, 0, 96, 1)]


@pytest.mark.parametrize("box", BOXES)
def test_a_picture_goes_on_beyond_its_edges_as_sharp_as_it_is(box: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = box
    images = torch.zeros(1, 3, 96, 200)
    images[:, :, top:bottom, left:right] = texture(bottom - top, right - left)
    mask = torch.ones(1, 96, 200)
    mask[:, top:bottom, left:right] = 0
    assert visible_box(mask) == box

    result = extended(images, box)

    assert torch.equal(result[:, :, top:bottom, left:right], images[:, :, top:bottom, left:right])
    other = torch.where(mask[None] > 0, 1 - images, images)
    assert torch.equal(extended(other, box), result), "what is outside of the box was looked at"
    fade = fade_in(box, images)
    assert (fade[0, 0, top:bottom, left:right] == 0).all()
    assert (fade[mask[None] > 0] > 0).all()
    if bottom - top > 1:
        beyond = mask[0, 1:] > 0
        steps, inside = result.diff(dim=2).abs(), images[:, :, top:bottom, left:right].diff(dim=2).abs()
        # No haze: neighbours differ nearly as much as in the picture. No seam: at the edge none differ more.
        assert steps[:, :, beyond].mean() > 0.5 * inside.mean()
        edges = [column for column in (left - 1, right - 1) if 0 <= column < steps.shape[3]]
        assert all(steps[..., top:bottom, column].max() < 1.1 * inside.max() for column in edges)
        # Where the mirror image is squeezed, in the corners, waves are steeper.
        assert steps.max() < 3 * inside.max()


@pytest.mark.parametrize("covered", [0.0, 0.5])
def test_a_mask_that_covers_no_whole_side_leaves_all_of_the_picture(covered: float) -> None:
    mask = torch.full((1, 20, 30), covered)
    mask[:, :, :8] = 1
    mask[:, 7, 0] = 0.5
    assert visible_box(mask) == (0, 0, 20, 30)
    assert visible_box(torch.ones(1, 20, 30)) is None
