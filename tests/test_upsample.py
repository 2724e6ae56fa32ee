"""Enlarging: the result averages back to the picture it came from, and shows more of the class."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import (
    CONSTRAINTS,
    FACTORS,
    OBJECTIVES,
    Consistency,
    Mix,
    UpsampleSettings,
    class_seeds,
    natural_noise,
    parse_class_expression,
    preset,
    upsample,
)
from robust_synthesis.synthesis.views import resized, whole

UPSAMPLE_PRESET = preset(UpsampleSettings, "upsample").settings
UPSAMPLE_PAPER = preset(UpsampleSettings, "paper").settings

EXACT = 1e-5
QUICK = UPSAMPLE_PRESET.with_values(steps=4)
FIRST = Mix.single(0)


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random pictures, a part of whose pixels are exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, height, width, generator=generator) * 1.4 - 0.2).clamp(0, 1)


def logits(classifier: RobustClassifier, images: Tensor) -> Tensor:
    """Of each picture seen whole."""
    result: Tensor = classifier(whole(images.shape[2], images.shape[3], classifier.input_size).look(images))
    return result


sides = st.integers(1, 12)


@given(
    count=st.integers(1, 3),
    height=sides,
    width=sides,
    factor=st.integers(2, 8),
    seed=st.integers(0, 1000),
    contrast=st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e4]),
    level=st.floats(-5, 5),
)
@example(count=1, height=1, width=40, factor=8, seed=0, contrast=1.0, level=0.5)
@example(count=1, height=1, width=1, factor=2, seed=0, contrast=1e4, level=-5.0)
def test_consistent_pictures_average_to_the_smaller_one(
    count: int, height: int, width: int, factor: int, seed: int, contrast: float, level: float
) -> None:
    low = pictures(count, height, width, seed)
    generator = torch.Generator().manual_seed(seed)
    images = level + contrast * torch.randn(count, 3, height * factor, width * factor, generator=generator)
    consistency = Consistency(low, factor)

    once = consistency.project(images)

    assert once.shape == images.shape
    assert once.isfinite().all()
    assert once.min() >= 0
    assert once.max() <= 1
    assert (F.avg_pool2d(once, factor) - low).abs().max() <= EXACT
    # A block of a pixel that is black or white has no room for a pattern.
    full = ((low == 0) | (low == 1)).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.equal(once[full], low.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[full])
    assert (consistency.project(once) - once).abs().max() <= 1e-4


def test_a_picture_that_is_consistent_already_stays() -> None:
    images = natural_noise(48, 72, [0, 1])
    consistency = Consistency(F.avg_pool2d(images, 6), 6)
    torch.testing.assert_close(consistency.project(images), images, rtol=0, atol=EXACT)


def test_a_block_that_would_leave_the_range_keeps_its_pattern() -> None:
    pattern = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(1, 3, 2, 2)
    result = Consistency(torch.full((1, 3, 1, 1), 0.9), 2).project(0.9 + 0.5 * pattern)
    torch.testing.assert_close(result, 0.9 + 0.1 * pattern)


# The classifier is of 32 x 32 pixels: from one tile to several resolutions of several tiles.
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (7, 5), (37, 53)])
@pytest.mark.parametrize("factor", FACTORS)
def test_an_enlarged_picture_averages_back_to_the_picture(
    tiny: RobustClassifier, height: int, width: int, factor: int
) -> None:
    images = pictures(1, height, width)
    before = images.clone()
    settings = QUICK.with_values(steps=2 if factor * height > 200 else 4)
    steps: list[int] = []

    result = upsample(tiny, images, factor, FIRST, settings, lambda step, _losses, _images: steps.append(step))

    assert result.shape == (1, 3, height * factor, width * factor)
    assert result.dtype == torch.float32
    assert not result.requires_grad
    assert result.min() >= 0
    assert result.max() <= 1
    assert (F.avg_pool2d(result, factor) - images).abs().max() <= EXACT
    assert steps == list(range(settings.ascent.steps))
    assert torch.equal(images, before), "the picture that came in was written to"
    room = ((images > 0) & (images < 1)).any()
    start = Consistency(images, factor).project(resized(images, (height * factor, width * factor)))
    assert torch.equal(result, start) != bool(room)


@given(
    height=sides,
    width=sides,
    factor=st.integers(2, 8),
    norm=st.sampled_from(CONSTRAINTS),
    objective=st.sampled_from(OBJECTIVES),
    steps=st.integers(1, 4),
    jitter=st.integers(0, 4),
    consistent=st.booleans(),
    keep_best=st.booleans(),
    named=st.booleans(),
)
def test_any_settings_enlarge(
    tiny: RobustClassifier,
    height: int,
    width: int,
    factor: int,
    norm: str,
    objective: str,
    steps: int,
    jitter: int,
    consistent: bool,
    keep_best: bool,
    named: bool,
) -> None:
    images = pictures(2, height, width)
    settings = UpsampleSettings.from_values(
        steps=steps,
        step_size=4.0,
        epsilon=2.0,
        norm=norm,
        objective=objective,
        jitter=jitter,
        consistent=consistent,
        keep_best=keep_best,
    )
    seen: list[int] = []

    mix = Mix(((1, 0.7), (2, -0.5))) if named else None
    result = upsample(tiny, images, factor, mix, settings, lambda step, _losses, _images: seen.append(step))

    assert result.shape == (2, 3, height * factor, width * factor)
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1
    assert seen == list(range(steps))
    assert not consistent or (F.avg_pool2d(result, factor) - images).abs().max() <= EXACT


@pytest.mark.parametrize(("side", "factor"), [(24, 4), (48, 2), (40, 5)])
def test_an_enlarged_picture_shows_more_of_the_class_than_a_blurry_one(
    canvas: RobustClassifier, side: int, factor: int
) -> None:
    assert canvas.seeds is not None
    for name in ("forest", "gas pump"):
        mix = parse_class_expression(name, canvas.labels)
        images = class_seeds(canvas.seeds, mix, side, side, [0])
        blurry = resized(images, (side * factor, side * factor))

        result = upsample(canvas, images, factor, mix, UPSAMPLE_PRESET)

        index = mix.weights[0][0]
        assert logits(canvas, result)[0, index] > logits(canvas, blurry)[0, index] + 0.3


def test_without_a_class_each_picture_moves_towards_what_it_shows(canvas: RobustClassifier) -> None:
    many = natural_noise(24, 24, range(60))
    seen = logits(canvas, many).argmax(1)
    # Two pictures of one class would not show that each has its own.
    other = int((seen != seen[0]).nonzero()[0])
    images, guesses = many[[0, other]], seen[[0, other]].tolist()

    result = upsample(canvas, images, 4, None, QUICK)

    for index, guess in enumerate(guesses):
        alone = upsample(canvas, images[index : index + 1], 4, Mix.single(guess), QUICK)
        assert (result[index] - alone[0]).abs().max() <= EXACT


def test_the_papers_method_is_held_by_its_ball_alone(canvas: RobustClassifier) -> None:
    images, factor = natural_noise(24, 24, [0, 1]), 4
    settings = UPSAMPLE_PAPER.with_values(steps=8, step_size=2.0)
    repeated = F.interpolate(images, scale_factor=factor, mode="nearest")
    mix = parse_class_expression("church", canvas.labels)
    steps: list[int] = []

    result = upsample(canvas, images, factor, mix, settings, lambda step, _losses, _images: steps.append(step))

    assert result.shape == repeated.shape
    assert steps == list(range(8))
    assert (F.avg_pool2d(result, factor) - images).abs().max() > 0.01
    epsilon = settings.ascent.at_size(96, 96).constraint.epsilon
    assert (result - repeated).flatten(1).norm(dim=1).max() <= epsilon * (1 + 1e-4)
    index = canvas.labels.index("church")
    assert (logits(canvas, result)[:, index] > logits(canvas, repeated)[:, index] + 1).all()


@pytest.mark.parametrize("factor", [-1, 0, 1, 9, 100])
def test_a_factor_out_of_range_is_refused(tiny: RobustClassifier, factor: int) -> None:
    for settings in (UPSAMPLE_PRESET, UPSAMPLE_PAPER):
        with pytest.raises(ValueError, match=f"The factor is {factor}; it must be from 2 to 8"):
            upsample(tiny, pictures(1, 8, 8), factor, FIRST, settings)
