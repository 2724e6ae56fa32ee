"""Inpainting and painting: what is outside the mask stays, what a hole covers is not looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import (
    CONSTRAINTS,
    FILLS,
    OBJECTIVES,
    InpaintSettings,
    Mix,
    PaintSettings,
    class_seeds,
    classify,
    inpaint,
    inpaint_plan,
    natural_noise,
    paint,
    paint_plan,
    parse_class_expression,
    preset,
    region_features,
    surround,
)
from robust_synthesis.synthesis.ascent import Picture
from robust_synthesis.synthesis.surround import with_detail
from robust_synthesis.synthesis.views import feathered, whole

INPAINT_PRESET = preset(InpaintSettings, "inpaint").settings
INPAINT_PAPER = preset(InpaintSettings, "paper").settings
PAINT_PRESET = preset(PaintSettings, "paint").settings
PAINT_PAPER = preset(PaintSettings, "paper").settings

INPAINT = INPAINT_PRESET.with_values(steps=2, detail_steps=1, feather=1)
PAINT = PAINT_PRESET.with_values(steps=2, detail_steps=1, feather=1)


def filled(classifier: RobustClassifier, images: Tensor, mask: Tensor) -> Tensor:
    return inpaint(classifier, images, mask, Mix.single(1), INPAINT, range(len(images)))


def feature(classifier: RobustClassifier, index: int) -> Tensor:
    return Mix.single(index).vector(classifier.feature_count)


def logits(classifier: RobustClassifier, images: Tensor) -> Tensor:
    """Of each picture seen whole."""
    result: Tensor = classifier(whole(images.shape[2], images.shape[3], classifier.input_size).look(images))
    return result


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random pictures, a part of whose pixels are exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, height, width, generator=generator) * 1.4 - 0.2).clamp(0, 1)


def rectangle(height: int, width: int, top: int, left: int, rows: int, columns: int) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, top : top + rows, left : left + columns] = 1
    return mask


def hole(kind: str, height: int, width: int) -> Tensor:
    """`[1, 1, height, width]`, marked somewhere whatever the size."""
    mask = torch.zeros(1, 1, height, width)
    if kind == "border":
        mask[:, :, : math.ceil(height / 3)] = 1
    if kind == "islands":
        mask[:, :, height // 5 : height // 3 + 1, width // 5 : width // 3 + 1] = 1
        mask[:, :, -height // 8 :, -width // 8 :] = 1
    if kind == "one pixel":
        mask[:, :, height // 2, width // 3] = 1
    if kind == "1 %":
        mask.view(-1)[torch.randperm(height * width)[: max(height * width // 100, 1)]] = 1
    if kind == "100 %":
        mask[:] = 1
    if kind == "grey":
        mask = (torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 0.6).clamp(0, 0.9)
        mask[:, :, 0, 0] = 0.5
    return mask


# Smaller than the classifier's 32 x 32, strips, and one so large that there are two finer resolutions.
SIZES = [(37, 53), (1, 1), (1, 200), (200, 1), (32, 32), (150, 100)]


@st.composite
def ascents(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Pictures, for each a rectangle of a random grey, and settings."""
    count, height, width = draw(st.integers(1, 2)), draw(st.integers(1, 80)), draw(st.integers(1, 80))
    mask = torch.zeros(count, 1, height, width)
    for index in range(count):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        rows, columns = draw(st.integers(0, height)), draw(st.integers(0, width))
        mask[index, :, top : top + rows, left : left + columns] = draw(st.sampled_from([1.0, 0.3, 1e-3]))
    common = {
        "steps": draw(st.integers(1, 3)),
        "step_size": draw(st.floats(0.01, 20)),
        "norm": draw(st.sampled_from(CONSTRAINTS)),
        "epsilon": draw(st.floats(0.01, 30)),
        "jitter": draw(st.integers(0, 4)),
        "keep_best": draw(st.booleans()),
        "feather": draw(st.integers(0, 5)),
        "penalty": draw(st.sampled_from([0.0, 10.0])),
        "detail_steps": draw(st.integers(0, 2)),
    }
    return pictures(count, height, width, draw(st.integers(0, 1000))), mask, common


@given(
    case=ascents(),
    fill=st.sampled_from(["surround", "mean colour", "noise"]),
    objective=st.sampled_from(OBJECTIVES),
    named=st.booleans(),
)
def test_any_settings_inpaint_inside_the_mask_alone(
    tiny: RobustClassifier, case: tuple[Tensor, Tensor, dict[str, Any]], fill: str, objective: str, named: bool
) -> None:
    images, mask, common = case
    settings = InpaintSettings.from_values(**common, fill=fill, objective=objective)
    steps: list[int] = []

    result = inpaint(
        tiny,
        images,
        mask,
        Mix(((0, 1.0), (2, -0.5))) if named else None,
        settings,
        range(len(images)),
        lambda step, _losses, _images: steps.append(step),
    )

    kept = (mask == 0).expand_as(images)
    assert torch.equal(result[kept], images[kept])
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1
    assert steps == list(range(inpaint_plan(tiny.input_size, mask, settings).steps))


@given(case=ascents(), strength=st.floats(0.01, 10))
def test_any_settings_paint_inside_the_mask_alone(
    tiny: RobustClassifier, case: tuple[Tensor, Tensor, dict[str, Any]], strength: float
) -> None:
    images, mask, common = case
    settings = PaintSettings.from_values(**common)
    steps: list[int] = []

    result = paint(
        tiny,
        images,
        mask,
        feature(tiny, 3),
        strength,
        settings,
        lambda step, _losses, _images: steps.append(step),
    )

    kept = (mask == 0).expand_as(images)
    assert torch.equal(result[kept], images[kept])
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1
    assert steps == list(range(paint_plan(tiny.input_size, mask, settings).steps))


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("penalty", [0.0, 10.0])
@pytest.mark.parametrize("expression", ["church", None])
def test_what_a_hole_covers_makes_no_difference(
    canvas: RobustClassifier, fill: str, penalty: float, expression: str | None
) -> None:
    assert canvas.seeds is not None
    sea, ball = (
        class_seeds(canvas.seeds, parse_class_expression(name, canvas.labels), 140, 145, [0])
        for name in ("sea", "golf ball")
    )
    mask = hole("islands", 140, 145)
    mask[:, :, 20:110, 30:130] = 1
    other = torch.where(mask == 0, sea, ball)
    settings = INPAINT_PRESET.with_values(steps=1, detail_steps=1, fill=fill, penalty=penalty)
    mix = None if expression is None else parse_class_expression(expression, canvas.labels)

    first, second = (inpaint(canvas, images, mask, mix, settings, [5]) for images in (sea, other))

    assert classify(canvas, sea).argmax() != classify(canvas, other).argmax(), "what is covered should matter"
    assert torch.equal(first, second)


def test_the_classifiers_own_guess_is_of_what_is_visible(canvas: RobustClassifier) -> None:
    images, mask = natural_noise(96, 96, [1]), rectangle(96, 96, 20, 20, 50, 50)
    guess = int(classify(canvas, with_detail(surround(images, mask), mask)).argmax())

    settings = INPAINT_PRESET.with_values(steps=3)
    own = inpaint(canvas, images, mask, None, settings, [0])

    assert torch.equal(own, inpaint(canvas, images, mask, Mix.single(guess), settings, [0]))
    other = Mix((((guess + 1) % len(canvas.labels), 1.0),))
    assert not torch.equal(own, inpaint(canvas, images, mask, other, settings, [0]))


def test_a_hole_in_a_padded_picture_is_as_rough_as_one_elsewhere(tiny: RobustClassifier) -> None:
    images = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    hole = rectangle(96, 128, 30, 30, 40, 40)
    padded = hole.clone()
    padded[:, :, :, 100:] = 1
    # The filling stays nearly what it begins with.
    still = INPAINT_PRESET.with_values(steps=1, step_size=0.01, detail_steps=0)

    made = [inpaint(tiny, images, mask, Mix.single(0), still, [0])[:, :, 35:65, 35:65] for mask in (hole, padded)]

    smooth = surround(images, hole)[:, :, 35:65, 35:65]
    alone, beside = ((filled - smooth).std() for filled in made)
    assert alone > 0.05
    assert beside > 0.7 * alone


def test_a_grey_hole_blends_the_filling_with_the_picture(tiny: RobustClassifier) -> None:
    """All covered, so both pictures get the same filling, and differ by what shows of them."""
    first, second = pictures(2, 40, 40).split(1)
    mask = torch.full((1, 1, 40, 40), 0.25)
    difference = filled(tiny, first, mask) - filled(tiny, second, mask)
    torch.testing.assert_close(difference, 0.75 * (first - second))


@pytest.mark.parametrize(
    ("side", "settings"),
    [
        *((96, INPAINT_PRESET.with_values(fill=fill)) for fill in FILLS),
        (160, INPAINT_PRESET.with_values(steps=8, detail_steps=2)),
        # As long a way as the paper's, in fewer steps.
        (96, INPAINT_PAPER.with_values(steps=16, step_size=2.0)),
    ],
    ids=[*FILLS, "large", "paper"],
)
def test_the_hole_is_filled_with_the_class(canvas: RobustClassifier, side: int, settings: InpaintSettings) -> None:
    images = natural_noise(side, side, [1])
    mask = rectangle(side, side, side // 4, side // 4, side // 2, side // 2)
    index = canvas.labels.index("church")

    result = inpaint(canvas, images, mask, Mix.single(index), settings, [0])

    rise = (logits(canvas, result) - logits(canvas, surround(images, mask)))[0]
    assert rise[index] > 0.5
    assert index in rise.topk(len(rise) // 8).indices, "many other classes rose more"


@pytest.mark.parametrize(
    ("side", "settings"),
    [
        (96, PAINT_PRESET),
        (160, PAINT_PRESET.with_values(steps=8, detail_steps=2)),
        (96, PAINT_PAPER.with_values(steps=16, step_size=4.0)),
    ],
    ids=["preset", "large", "paper"],
)
def test_painting_shows_more_of_the_feature(canvas: RobustClassifier, side: int, settings: PaintSettings) -> None:
    images = natural_noise(side, side, [1])
    mask = rectangle(side, side, side // 4, side // 4, side // 2, side // 2)
    both = [60, 160]
    before = region_features(canvas, images, mask)[0, both]

    results = [paint(canvas, images, mask, feature(canvas, index), 1.0, settings) for index in both]

    rises = torch.stack([region_features(canvas, result, mask)[0, both] - before for result in results])
    assert (rises.diagonal() > 0.2).all()
    # Each more where it was asked for than where the other was.
    assert rises[0, 0] > rises[1, 0] + 0.2
    assert rises[1, 1] > rises[0, 1] + 0.2


def test_each_picture_can_have_features_of_its_own(canvas: RobustClassifier) -> None:
    images, mask = natural_noise(96, 96, [1, 1]), rectangle(96, 96, 20, 20, 50, 50).expand(2, -1, -1, -1)
    both = torch.stack([feature(canvas, 3), feature(canvas, 17)])
    settings = PAINT_PRESET.with_values(steps=4)

    together = paint(canvas, images, mask, both, 1.0, settings)

    for index in range(2):
        alone = paint(canvas, images[:1], mask[:1], both[index], 1.0, settings)
        assert (together[index] - alone[0]).abs().max() <= 1e-3
    assert (together[0] - together[1]).abs().max() > 0.05


@pytest.mark.parametrize("norm", CONSTRAINTS)
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_strength_scales_the_change(canvas: RobustClassifier, norm: str, penalty: float) -> None:
    images, mask = natural_noise(96, 96, [1]), rectangle(96, 96, 20, 20, 50, 50)
    settings = PAINT_PRESET.with_values(
        steps=4,
        norm=norm,
        step_size=0.01 if norm == "linf" else 2.0,
        epsilon=0.03 if norm == "linf" else 6.0,
        penalty=penalty,
    )
    changes = [
        float((paint(canvas, images, mask, feature(canvas, 3), strength, settings) - images).square().mean())
        for strength in (0.3, 1.0, 3.0)
    ]
    assert changes[0] > 0
    assert all(more > 2 * less for less, more in pairwise(changes))


@pytest.mark.parametrize("strength", [0.0, -1.0, math.inf, math.nan])
def test_an_impossible_strength_is_refused(tiny: RobustClassifier, strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        paint(tiny, pictures(1, 8, 8), torch.ones(1, 1, 8, 8), feature(tiny, 0), strength, PAINT)


@pytest.mark.parametrize("norm", CONSTRAINTS)
def test_a_pixel_changes_as_much_however_large_the_mask_is(tiny: RobustClassifier, norm: str) -> None:
    images = pictures(1, 32, 32) * 0.2 + 0.4
    settings = PaintSettings.from_values(
        steps=1,
        step_size=0.02 if norm == "linf" else 4.0,
        epsilon=1000.0,
        norm=norm,
        keep_best=False,
    )

    def change(side: int) -> float:
        mask = rectangle(32, 32, 2, 2, side, side)
        result = paint(tiny, images, mask, feature(tiny, 1), 1.0, settings)
        return float(((result - images).square().sum() / side**2).sqrt())

    assert change(6) > 0
    assert change(6) == pytest.approx(change(28), rel=1e-3)


def test_the_surroundings_take_part_at_a_price_and_show_as_they_were(canvas: RobustClassifier) -> None:
    images, mask = natural_noise(96, 96, [1]), rectangle(96, 96, 20, 20, 50, 50)
    outside = (mask == 0).expand_as(images)

    def spill(penalty: float) -> float:
        """How far the surroundings of the ascent's last view are from the picture's."""
        seen: list[Tensor] = []
        settings = PAINT_PAPER.with_values(steps=12, step_size=1.0, penalty=penalty)

        def look(_step: int, _losses: Tensor, picture: Picture) -> None:
            seen.append(picture())

        result = paint(canvas, images, mask, feature(canvas, 3), 1.0, settings, look)
        assert torch.equal(result[outside], images[outside])
        return float((seen[-1] - images)[outside].square().mean())

    assert spill(0.0) == 0
    assert spill(1e-3) > spill(100.0) > 0


def test_a_class_seed_needs_seeds(tiny: RobustClassifier, tiny_classifier: Callable[..., RobustClassifier]) -> None:
    settings = replace(INPAINT, fill="class seed")
    images, mask = pictures(2, 40, 40), hole("islands", 40, 40).expand(2, -1, -1, -1)
    with pytest.raises(ValueError, match=r"'Tiny' has no class seeds\. Choose another fill"):
        inpaint(tiny, images, mask, Mix.single(1), settings, [0, 1])

    only_two = ClassSeeds(torch.rand(1, 3, 4, 4), torch.rand(1, 2, 3, 4, 4), 8, (2,))
    seeded = tiny_classifier().with_seeds(only_two)
    with pytest.raises(ValueError, match="no seeds for class number 1"):
        inpaint(seeded, images, mask, Mix.single(1), settings, [0, 1])
    assert inpaint(seeded, images, mask, Mix(((2, 1.0), (1, -1.0))), settings, [0, 1]).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"feather": -1}, "Feather is -1"),
        ({"penalty": -0.1}, "penalty is -0.1"),
        ({"penalty": math.inf}, "penalty is inf"),
        ({"penalty": math.nan}, "penalty is nan"),
        ({"detail_steps": -1}, "Detail steps is -1"),
        ({"steps": 0}, "Steps is 0"),
        ({"norm": "l2", "epsilon": 0.0}, "Epsilon is 0.0"),
        ({"fill": "grass"}, "Unknown fill 'grass': choose one of surround, mean colour, noise, class seed"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        INPAINT_PRESET.with_values(**changes)


@given(height=st.integers(1, 40), width=st.integers(1, 40), pixels=st.integers(0, 6), seed=st.integers(0, 1000))
def test_a_feather_fades_in_inside_the_mask(height: int, width: int, pixels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(2, 1, height, width, generator=generator) * 3 - 0.5).clamp(0, 1)

    soft = feathered(mask, pixels)

    assert soft.shape == mask.shape
    assert (soft <= mask + 1e-6).all()
    assert (soft[mask == 0] == 0).all()
    assert (soft[mask > 0] > 0).all()
    assert pixels > 0 or torch.equal(soft, mask)


def test_a_feather_starts_at_the_rim_and_not_at_the_border_of_the_picture() -> None:
    mask = rectangle(20, 30, 0, 0, 20, 15)
    row = feathered(mask, 3)[0, 0, 10]
    torch.testing.assert_close(row[:12], torch.ones(12))
    torch.testing.assert_close(row[12:16], torch.tensor([0.75, 0.5, 0.25, 0.0]))
    assert torch.equal(feathered(torch.ones(1, 1, 9, 9), 5), torch.ones(1, 1, 9, 9))
