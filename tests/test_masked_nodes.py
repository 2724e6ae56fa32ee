"""Masked Inpaint, Activation Paint and Find Features in a real ComfyUI: what the mask keeps, and what they say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

Brush = Callable[..., Tensor]
CLIMB = {
    "preset": "custom",
    "steps": 2,
    "step_size": 4.0,
    "epsilon": 40.0,
    "norm": "free",
    "final_step": 1.0,
    "jitter": 1,
    "feather": 1,
    "penalty": 0.0,
    "detail_steps": 1,
}
EMPTY = "The mask is empty"
PLACEHOLDER = torch.zeros(1, 64, 64)


@pytest.fixture(scope="module")
def classifier(pack: ModuleType) -> Any:
    return pack.RobustLoadClassifier.execute("canvas").result[0]


@pytest.fixture
def inpaint(pack: ModuleType, classifier: Any) -> Brush:
    def run(image: Tensor, mask: Tensor, target_class: str = "sea", seed: int = 0, **changes: Any) -> Tensor:
        preset = CLIMB | {"objective": "logit", "fill": "surround"} | changes
        made: Tensor = pack.RobustInpaint.execute(classifier, image, mask, target_class, preset, seed).result[0]
        return made

    return run


@pytest.fixture
def paint(pack: ModuleType, classifier: Any) -> Brush:
    def run(image: Tensor, mask: Tensor, feature: str = "60:1, 160:0.5", **changes: Any) -> Tensor:
        given = {name: changes.pop(name) for name in ("reference", "reference_mask") if name in changes}
        strength = changes.pop("strength", 1.0)
        preset = CLIMB | changes
        node = pack.RobustActivationPaint
        made: Tensor = node.execute(classifier, image, mask, feature, strength, preset, **given).result[0]
        return made

    return run


@pytest.fixture(params=["inpaint", "paint"])
def brush(request: pytest.FixtureRequest) -> Brush:
    made: Brush = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the nodes say, which is news and no warning."""
    with caplog.at_level(logging.INFO):
        yield caplog


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def islands(height: int, width: int) -> Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, 2 : height // 4, 3 : width // 4] = 1
    mask[:, height // 2 : -3, width // 2 : width // 2 + 5] = 1
    mask[:, -1, -1] = 1
    mask[:, 0, : width // 8] = 0.5
    return mask


MASKS: dict[str, tuple[tuple[int, int, int], Tensor]] = {
    "wide": ((1, 180, 320), islands(180, 320)),
    "odd": ((1, 53, 37), islands(53, 37)),
    "a batch": ((16, 24, 20), islands(24, 20)),
    "a mask of another size": ((1, 90, 130), islands(53, 37)),
    "a mask for each": ((3, 40, 40), torch.cat([islands(40, 40), islands(40, 40).flip(1), islands(40, 40).flip(2)])),
    "a picture for all masks": ((1, 40, 40), torch.cat([islands(40, 40), islands(40, 40).flip(2)])),
    "without its batch": ((1, 40, 40), islands(40, 40)[0]),
}


@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
@pytest.mark.parametrize(("shape", "mask"), MASKS.values(), ids=MASKS)
def test_outside_of_the_mask_pictures_stay_bit_for_bit(
    brush: Brush, shape: tuple[int, int, int], mask: Tensor, half: bool
) -> None:
    from robust_synthesis.nodes import tensors

    image = noise(*shape, 3)
    image = image.half() if half else image
    before = image.clone()
    made = brush(image, mask)
    assert torch.equal(image, before), "what came in was changed in place"

    fitted = tensors.mask_from_comfy(mask, *shape[1:])
    assert fitted is not None
    count = max(len(image), len(fitted))
    outside = fitted.eq(0).expand(count, 3, -1, -1).permute(0, 2, 3, 1)
    expected = image.float().expand(count, -1, -1, -1)
    assert made.shape == expected.shape
    assert made.dtype == torch.float32
    assert 0 < float(outside.float().mean()) < 1
    assert torch.equal(made[outside], expected[outside])
    inside = (made != expected).any(3).flatten(1).sum(1)
    assert bool((inside > 0).all()), "a picture has not changed at all"
    assert made.isfinite().all()
    assert made.min() >= 0
    assert made.max() <= 1


def test_what_the_hole_covers_is_not_looked_at(inpaint: Brush) -> None:
    image, mask = noise(1, 60, 80, 3), torch.zeros(1, 60, 80)
    mask[:, 20:50, 30:70] = 1
    other = torch.where(mask[..., None] > 0, 1 - image, image)
    for target_class in ("sea", ""):
        assert torch.equal(inpaint(image, mask, target_class), inpaint(other, mask, target_class))


def test_a_picture_that_is_all_hole_is_filled_from_nothing(inpaint: Brush) -> None:
    mask = torch.ones(1, 10, 10)
    filled = inpaint(noise(1, 48, 64, 3), mask, "sea", steps=8)
    assert torch.equal(filled, inpaint(torch.zeros(1, 48, 64, 3), mask, "sea", steps=8))
    assert filled.std() > 0.01


def test_a_picture_that_is_all_painted_changes_everywhere(paint: Brush) -> None:
    image = noise(1, 48, 64, 3) * 0.5 + 0.25
    changed = (paint(image, torch.ones(1, 48, 64)) != image).any(3)
    assert changed.float().mean() > 0.99


@pytest.mark.parametrize("mask", [PLACEHOLDER, torch.zeros(1, 48, 80), torch.zeros(2, 10, 10)])
def test_an_empty_mask_leaves_the_picture_and_says_so(
    brush: Brush, mask: Tensor, said: pytest.LogCaptureFixture
) -> None:
    image = noise(2, 48, 80, 3)
    assert torch.equal(brush(image, mask), image)
    assert EMPTY in said.text
    assert "unchanged" in said.text


def test_a_picture_whose_own_mask_is_empty_is_the_one_that_stays(brush: Brush, said: pytest.LogCaptureFixture) -> None:
    image, mask = noise(3, 40, 40, 3), torch.zeros(3, 40, 40)
    mask[::2, 5:30, 5:30] = 1
    made = brush(image, mask)
    assert torch.equal(made[1], image[1])
    assert not torch.equal(made[0], image[0])
    assert not torch.equal(made[2], image[2])
    assert EMPTY not in said.text


def test_masks_that_do_not_fit_the_batch_are_counted(brush: Brush) -> None:
    with pytest.raises(ValueError, match="3 images and 2 masks"):
        brush(noise(3, 20, 20, 3), torch.ones(2, 20, 20))


def test_with_masks_of_their_own_each_picture_is_the_one_made_alone(brush: Brush) -> None:
    image, mask = noise(3, 150, 130, 3), torch.zeros(3, 150, 130)
    # Of different sizes and in different places, so that the views of them differ, and so does their finest detail.
    mask[0, :20, :20] = 1
    mask[1] = 1
    mask[2, 60:150, 40:130] = 1
    together = brush(image, mask)
    for n in range(3):
        assert torch.equal(together[n], brush(image[n : n + 1], mask[n : n + 1])[0])


@pytest.mark.parametrize("fill", ["noise", "class seed"])
def test_a_filling_by_chance_is_that_of_the_pictures_own_seed(inpaint: Brush, fill: str) -> None:
    image, mask = noise(1, 40, 56, 3), islands(40, 56)
    together = inpaint(image.repeat(3, 1, 1, 1), mask, seed=2**64 - 2, fill=fill, steps=1, feather=0)
    # After the largest seed comes the smallest.
    for n, seed in enumerate((2**64 - 2, 2**64 - 1, 0)):
        alone = inpaint(image, mask, seed=seed, fill=fill, steps=1, feather=0)
        torch.testing.assert_close(together[n : n + 1], alone, rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.05


def test_the_fillings_without_chance_ignore_the_seed(inpaint: Brush) -> None:
    image, mask = noise(1, 40, 56, 3), islands(40, 56)
    for fill in ("surround", "mean colour"):
        assert torch.equal(inpaint(image, mask, seed=1, fill=fill), inpaint(image, mask, seed=2, fill=fill))


@pytest.mark.parametrize("preset", ["inpaint", "paint"])
def test_the_presets_climb_to_what_they_are_asked_for(pack: ModuleType, classifier: Any, preset: str) -> None:
    image, mask = noise(1, 96, 96, 3) * 0.2 + 0.4, torch.ones(1, 96, 96)
    if preset == "inpaint":
        made, _ = pack.RobustInpaint.execute(
            classifier, image, mask, "sea", {"preset": preset, "fill": "noise"}, 0
        ).result
        assert pack.RobustClassify.execute(classifier, made, 1).result[0] == "sea"
    else:
        made, _ = pack.RobustActivationPaint.execute(classifier, image, mask, "5", 1.0, {"preset": preset}).result
        (features, _) = pack.RobustFeatures.execute(classifier, made, 1).result
        assert features.split(":")[0] == "5"


def test_a_class_seed_filling_needs_seeds(pack: ModuleType, classifier: Any) -> None:
    from dataclasses import replace

    bare = replace(classifier, robust=classifier.model.with_seeds(None))
    preset = {"preset": "inpaint", "fill": "class seed"}
    with pytest.raises(ValueError, match=r"has no class seeds\. Choose another fill"):
        pack.RobustInpaint.execute(bare, noise(1, 40, 40, 3), torch.ones(1, 40, 40), "sea", preset, 0)


def test_mistakes_are_answered_before_any_work(inpaint: Brush, paint: Brush) -> None:
    image, mask = noise(1, 40, 40, 3), torch.ones(1, 40, 40)
    for changes, words in (
        ({"steps": 0}, "Steps is 0"),
        ({"feather": -1}, "Feather is -1"),
        ({"penalty": -1.0}, "The penalty is -1.0"),
        ({"detail_steps": -1}, "Detail steps is -1"),
    ):
        for node in (inpaint, paint):
            with pytest.raises(ValueError, match=words):
                node(image, mask, **changes)
    with pytest.raises(ValueError, match="Unknown fill 'mud'"):
        inpaint(image, mask, fill="mud")
    with pytest.raises(ValueError, match="Did you mean church"):
        inpaint(image, mask, "chruch")
    # A typing mistake is worth a word though there is nothing to paint.
    with pytest.raises(ValueError, match="Did you mean church"):
        inpaint(image, PLACEHOLDER, "chruch")


def test_a_feature_that_does_not_exist_is_answered_with_the_range(paint: Brush, classifier: Any) -> None:
    count = classifier.model.feature_count
    image, mask = noise(1, 40, 40, 3), torch.ones(1, 40, 40)
    for feature in (str(count), "1, 99999:0.5", "-5000"):
        with pytest.raises(ValueError, match=f"features are 0 to {count - 1}"):
            paint(image, mask, feature)
    with pytest.raises(ValueError, match=f"'church' is not a feature: write its number, from 0 to {count - 1}"):
        paint(image, mask, "church")
    with pytest.raises(ValueError, match=f"from 0 to {count - 1}.*Find Features.*reference"):
        paint(image, mask, " \n")
    with pytest.raises(ValueError, match=f"a number from 0 to {count - 1}"):
        paint(image, mask, ",")


def test_a_minus_paints_a_feature_away(pack: ModuleType, classifier: Any, paint: Brush) -> None:
    assert pack
    from robust_synthesis.nodes.feature_finding import strongest_features

    image, mask = noise(1, 96, 96, 3), torch.ones(1, 96, 96)
    ((strongest, before),) = strongest_features(classifier, image, None, 1)
    less, more = (
        dict(strongest_features(classifier, paint(image, mask, f"{sign}{strongest}", steps=6), None, 1000))[strongest]
        for sign in ("-", "")
    )
    assert less < before < more


def test_strength_is_how_far_the_picture_goes(paint: Brush) -> None:
    image, mask = torch.full((1, 64, 64, 3), 0.5), torch.ones(1, 64, 64)
    changes = [float((paint(image, mask, strength=s) - image).norm()) for s in (0.1, 1.0, 3.0)]
    assert changes[0] * 5 < changes[1]
    assert changes[1] * 2 < changes[2]


def test_the_features_of_a_region_plug_into_the_brush(
    pack: ModuleType, classifier: Any, paint: Brush, said: pytest.LogCaptureFixture
) -> None:
    """Find Features and a reference find the same: by wire or by hand, the brush paints the same."""
    reference = pack.RobustClassSeed.execute(classifier, "church", 96, 96, 1, 3, "class gaussian").result[0]
    region = torch.zeros(1, 96, 96)
    region[:, 48:, :40] = 1
    image, mask = noise(1, 80, 60, 3), islands(80, 60)
    features, sheet = pack.RobustFeatures.execute(classifier, reference, 3, region).result
    by_hand = paint(image, mask, features)
    by_reference = paint(image, mask, "", reference=reference, reference_mask=region)

    assert f"Painting the features of the reference: {features}" in said.text
    # The text rounds the activations.
    torch.testing.assert_close(by_reference, by_hand, rtol=0, atol=0.02)
    assert sheet.shape[0] == 1
    assert sheet.shape[2] > 3 * 192
    both = paint(image, mask, "-7:50", reference=reference, reference_mask=region)
    assert (both - by_reference).abs().max() > 0.02
    said.clear()
    paint(image, mask, "", reference=reference)
    assert features not in said.text, "the region made no difference"


def test_the_mask_of_load_image_is_all_of_the_picture_to_look_at(
    pack: ModuleType, classifier: Any, paint: Brush
) -> None:
    image, mask = noise(1, 96, 96, 3), torch.ones(1, 96, 96)
    everything = pack.RobustFeatures.execute(classifier, image, 4).result
    with_placeholder = pack.RobustFeatures.execute(classifier, image, 4, PLACEHOLDER).result
    assert with_placeholder[0] == everything[0]
    assert torch.equal(with_placeholder[1], everything[1])
    unmasked = paint(image, mask, "", reference=image)
    assert torch.equal(paint(image, mask, "", reference=image, reference_mask=PLACEHOLDER), unmasked)


def test_an_empty_region_is_refused(pack: ModuleType, classifier: Any, paint: Brush) -> None:
    image, empty = noise(1, 96, 96, 3), torch.zeros(1, 96, 96)
    words = "The mask of the region is empty: paint over what to take the features from"
    with pytest.raises(ValueError, match=words):
        pack.RobustFeatures.execute(classifier, image, 4, empty)
    with pytest.raises(ValueError, match=words):
        paint(image, torch.ones(1, 96, 96), "3", reference=image, reference_mask=empty)


def test_a_region_has_its_own_features_however_small(pack: ModuleType, classifier: Any) -> None:
    from robust_synthesis.nodes.feature_finding import feature_text, strongest_features

    image = torch.zeros(1, 400, 300, 3)
    image[:, 200:] = pack.RobustClassSeed.execute(classifier, "sea", 300, 200, 1, 3, "class gaussian").result[0]
    found = []
    for rows in (slice(0, 200), slice(200, 400), slice(390, 391)):
        region = torch.zeros(1, 400, 300)
        region[:, rows, 10:12] = 1
        found.append(feature_text(strongest_features(classifier, image, region, 5)))
    assert len(set(found)) == 3


def test_more_features_than_there_are_are_all_of_them_and_plug_in(
    pack: ModuleType, classifier: Any, paint: Brush
) -> None:
    assert pack
    from robust_synthesis.nodes.feature_finding import feature_text, strongest_features

    # Of a black picture many features are off, and a weight of nothing is not one that a brush can have.
    found = strongest_features(classifier, torch.zeros(1, 96, 96, 3), None, 10000)
    activations = [activation for _, activation in found]
    assert sorted(index for index, _ in found) == list(range(classifier.model.feature_count))
    assert activations == sorted(activations, reverse=True)
    paint(noise(1, 32, 32, 3), torch.ones(1, 32, 32), feature_text(found), steps=1)


def test_three_brushes_in_a_row_keep_what_each_left_alone(paint: Brush) -> None:
    picture, masks = noise(1, 90, 160, 3), torch.zeros(3, 1, 90, 160)
    masks[0, :, :50, :80] = 1
    masks[1, :, 30:, 60:120] = 1
    masks[2, :, 10:40, 100:] = 1
    stages = [picture]
    for mask, feature in zip(masks, ("100", "12:0.5, 40", "-60"), strict=True):
        stages.append(paint(stages[-1], mask, feature))
    for mask, before, after in zip(masks, stages, stages[1:], strict=False):
        assert torch.equal(after[mask == 0], before[mask == 0])
        assert not torch.equal(after[mask == 1], before[mask == 1])
    untouched = masks.sum(0) == 0
    assert torch.equal(stages[-1][untouched], picture[untouched])


@pytest.mark.parametrize(("height", "width"), [(4, 20000), (30, 20000), (20000, 9), (1, 500), (1, 1)])
def test_a_strip_of_any_length_is_filled_painted_and_explained(
    pack: ModuleType, classifier: Any, brush: Brush, height: int, width: int
) -> None:
    image, part = noise(1, height, width, 3), torch.zeros(1, height, width)
    part[:, : max(height // 50, 1), : max(width // 50, 1)] = 1
    for mask, detail_steps in ((part, 1), (torch.ones(1, 1, 1), 0)):
        made = brush(image, mask, steps=1, detail_steps=detail_steps)
        assert made.shape == image.shape
        assert not torch.equal(made, image)
    features, _ = pack.RobustFeatures.execute(classifier, image, 1, part).result
    assert int(features.split(":")[0]) < classifier.model.feature_count


def test_a_long_strip_is_painted_in_tiles(brush: Brush) -> None:
    image = noise(1, 10, 3000, 3)
    assert brush(image, torch.ones(1, 10, 3000), steps=1, detail_steps=1).shape == image.shape


@pytest.mark.parametrize("at", [2, 8], ids=["at first", "in the detail"])
def test_cancel_stops_a_climb(brush: Brush, at: int) -> None:
    import comfy.model_management as mm
    import comfy.utils

    reports: list[tuple[int, int]] = []

    def cancel(value: int, total: int, *_: object, **__: object) -> None:
        reports.append((value, total))
        if value >= at:
            mm.interrupt_current_processing(True)

    steps = {"steps": 500, "detail_steps": 0} if at == 2 else {"steps": 4, "detail_steps": 400}
    comfy.utils.set_progress_bar_global_hook(cancel)
    try:
        with pytest.raises(mm.InterruptProcessingException):
            brush(noise(1, 192, 192, 3), torch.ones(1, 192, 192), **steps)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert not mm.processing_interrupted()
    assert [value >= at for value, _ in reports] == [False] * (len(reports) - 1) + [True]
    assert reports[0] == (1, 500 if at == 2 else 404)
