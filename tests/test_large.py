"""Pictures larger than the classifier: held together, with detail, outside of a mask as they were."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import (
    Mix,
    PaintSettings,
    TranslateSettings,
    UpsampleSettings,
    class_seeds,
    paint,
    parse_class_expression,
    preset,
    translate,
    translate_plan,
    upsample,
)
from robust_synthesis.synthesis.ascent import REFERENCE_SIDE, Picture
from robust_synthesis.synthesis.views import in_tiles

GENERATE = preset(TranslateSettings, "generate").settings
QUICK = GENERATE.with_values(steps=2, detail_steps=1)


def noise(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@given(height=st.integers(1, 150), width=st.integers(1, 150), masked=st.booleans())
def test_a_picture_of_any_size_gets_detail(tiny: RobustClassifier, height: int, width: int, masked: bool) -> None:
    images, mix = noise(2, height, width), Mix.single(1)
    mask = None
    if masked:
        mask = torch.zeros(2, 1, height, width)
        mask[:, :, : height // 2 + 1, : width // 2 + 1] = 1
    seen: list[int] = []

    def look(step: int, losses: Tensor, picture: Picture) -> None:
        seen.append(step)
        assert losses.shape == (2,)
        assert picture().shape == images.shape

    made = translate(tiny, images, mix, QUICK, [0, 1], mask, look)

    assert made.shape == images.shape
    assert 0 <= made.min() <= made.max() <= 1
    assert seen == list(range(translate_plan(tiny.input_size, height, width, QUICK).steps))
    if mask is not None:
        outside = (mask == 0).expand_as(images)
        assert torch.equal(made[outside], images[outside])


@given(
    norm=st.sampled_from(["l2", "linf"]),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    detail_steps=st.integers(0, 2),
    masked=st.booleans(),
)
def test_all_levels_together_stay_in_the_ball(
    tiny: RobustClassifier, norm: str, height: int, width: int, detail_steps: int, masked: bool
) -> None:
    images, epsilon = noise(2, height, width), 0.05 if norm == "linf" else 5.0
    settings = QUICK.with_values(norm=norm, epsilon=epsilon, step_size=epsilon, detail_steps=detail_steps)
    mask = (noise(2, height, width)[:, :1] > 0.5).float() if masked else None
    change = (translate(tiny, images, Mix.single(1), settings, [0, 1], mask) - images).flatten(1)
    if norm == "linf":
        assert change.abs().max() <= epsilon + 1e-6
    else:
        assert change.norm(dim=1).max() <= epsilon * math.sqrt(height * width) / REFERENCE_SIDE * (1 + 1e-4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_paint_stays_in_the_ball_of_what_is_masked(tiny: RobustClassifier, norm: str, penalty: float) -> None:
    images, strength = noise(2, 200, 160), 0.5
    mask = torch.zeros(2, 1, 200, 160)
    mask[0, :, 20:60, 30:60] = 1
    mask[1, :, 100:190, 5:155] = 1
    epsilon = 0.05 if norm == "linf" else 5.0
    settings = preset(PaintSettings, "paint").settings.with_values(
        norm=norm, epsilon=epsilon, step_size=epsilon, penalty=penalty, feather=0
    )
    features = torch.ones(tiny.feature_count)
    change = (paint(tiny, images, mask, features, strength, settings) - images).flatten(1)
    if norm == "linf":
        assert change.abs().max() <= strength * epsilon + 1e-6
    else:
        # With a penalty the surroundings take part, in a view twice as wide and high as the mask.
        pixels = mask.sum((1, 2, 3)) * (1 if penalty == 0 else 4)
        # The share of the view that is masked is rounded to its pixels.
        allowed = strength * epsilon * pixels.sqrt() / REFERENCE_SIDE * 1.05
        assert (change.norm(dim=1) <= allowed).all()


@given(norm=st.sampled_from(["l2", "linf"]), side=st.integers(10, 60), factor=st.integers(2, 4))
def test_a_larger_picture_that_need_not_be_consistent_stays_in_the_ball(
    tiny: RobustClassifier, norm: str, side: int, factor: int
) -> None:
    images, epsilon = noise(1, side, side + 3), 0.05 if norm == "linf" else 5.0
    settings = preset(UpsampleSettings, "paper").settings.with_values(
        norm=norm, epsilon=epsilon, step_size=epsilon, steps=3
    )
    start = F.interpolate(images, scale_factor=factor, mode="nearest")
    change = upsample(tiny, images, factor, Mix.single(1), settings) - start
    length = change.abs().max() if norm == "linf" else change.norm() / math.sqrt(change[0, 0].numel()) * REFERENCE_SIDE
    assert length <= epsilon * (1 + 1e-4) + 1e-6


def test_finer_steps_come_with_the_pixels(tiny: RobustClassifier) -> None:
    counts = [translate_plan(tiny.input_size, side, side, QUICK).steps for side in (16, 32, 64, 128, 256, 2048)]
    # No picture is looked at more than 16 times as closely as it is seen whole.
    assert counts == [2, 2, 3, 4, 5, 6]


def crops(images: Tensor) -> Tensor:
    half = images.shape[2] // 2
    return torch.cat([images[:, :, a : a + half, b : b + half] for a in (0, half) for b in (0, half)])


def fineness(images: Tensor) -> float:
    """How much of the pictures is lost in a quarter of the pixels."""
    less = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    return float((images - less).square().mean())


@pytest.mark.parametrize("target", ["church", "mountain"])
def test_detail_is_added_and_the_whole_stays(canvas: RobustClassifier, target: str) -> None:
    mix = parse_class_expression(target, canvas.labels)
    index = mix.weights[0][0]
    assert canvas.seeds is not None
    seeds = class_seeds(canvas.seeds, mix, 256, 256, [100, 101])
    enlarged = translate(canvas, seeds, mix, GENERATE.with_values(detail_steps=0), [0, 1])
    detailed = translate(canvas, seeds, mix, GENERATE, [0, 1])

    def likely(images: Tensor) -> Tensor:
        small = F.interpolate(images, (96, 96), mode="bicubic", antialias=True)
        scores: Tensor = canvas(small).softmax(1)
        return scores[:, index]

    assert likely(detailed).min() > 0.9
    assert likely(crops(detailed)).mean() > likely(crops(enlarged)).mean() + 0.05
    assert fineness(detailed) > 2 * fineness(enlarged)
    # What was there is still there.
    coarse = [F.avg_pool2d(images, 16).flatten() for images in (enlarged, detailed)]
    assert float(torch.corrcoef(torch.stack(coarse))[0, 1]) > 0.9


def gradient_of(images: Tensor, side: int, see: Callable[[Tensor], Tensor]) -> Tensor:
    images = images.requires_grad_()
    return torch.autograd.grad(in_tiles(see, side)(images).sum(), images)[0][0, 0]


def test_gradients_fade_towards_the_edges_of_tiles() -> None:
    gradient = gradient_of(noise(1, 64, 64), 32, lambda tiles: tiles.mean((2, 3)))
    middle, edge = gradient[16, 16], gradient[16, [0, 31, 32, 63]]
    assert (edge < 0.05 * middle).all()
    assert (edge > 0).all()


def test_a_picture_that_is_one_tile_does_not_fade() -> None:
    gradient = gradient_of(noise(1, 40, 40), 32, lambda tiles: tiles.mean((2, 3)))
    torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / 1600))
    strip = gradient_of(noise(1, 16, 90), 32, lambda tiles: tiles.mean((2, 3)))
    torch.testing.assert_close(strip, strip[:1].expand_as(strip))
