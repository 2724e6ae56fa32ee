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
CUSTOM = {
    "preset": "custom",
    "steps": 2,
    "step_size": 4.0,
    "epsilon": 40.0,
    "norm": "none",
    "final_step": 1.0,
    "jitter": 1,
    "feather": 1,
    "penalty": 0.0,
    "detail_steps": 1,
}
EMPTY = "The mask is empty"
PLACEHOLDER = torch.zeros(1, 64, 64)


@pytest.fixture
def inpaint(pack: ModuleType, classifier: Any) -> Brush:
    def run(image: Tensor, mask: Tensor, target_class: str = "sea", seed: int = 0, **changes: Any) -> Tensor:
        preset = CUSTOM | {"objective": "logit", "fill": "surround"} | changes
        made: Tensor = pack.RobustInpaint.execute(classifier, image, mask, target_class, preset, seed).result[0]
        return made

    return run


@pytest.fixture
def paint(pack: ModuleType, classifier: Any) -> Brush:
    def run(image: Tensor, mask: Tensor, feature: str = "60:1, 160:0.5", **changes: Any) -> Tensor:
        given = {name: changes.pop(name) for name in ("reference", "reference_mask") if name in changes}
        strength = changes.pop("strength", 1.0)
        preset = CUSTOM | changes
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


@pytest.mark.parametrize("marked", [False, True])
def test_a_picture_with_many_masks_is_as_many_pictures(brush: Brush, marked: bool) -> None:
    image, masks = noise(1, 40, 56, 3), torch.zeros(3, 40, 56)
    masks[0, 10:30, 10:30] = float(marked)
    assert len(brush(image, masks)) == 3


def test_more_pictures_than_masks_are_refused_even_if_nothing_is_marked(brush: Brush) -> None:
    with pytest.raises(ValueError, match="4 images and 3 masks"):
        brush(noise(4, 40, 56, 3), torch.zeros(3, 40, 56))


@pytest.mark.parametrize("detail_steps", [1, 2])
def test_each_frame_has_the_transparency_of_its_picture(pack: ModuleType, classifier: Any, detail_steps: int) -> None:
    image, masks = noise(2, 200, 200, 4), torch.zeros(2, 200, 200)
    image[0, ..., 3], image[1, ..., 3] = 0.25, 0.75
    # The smaller the mask, the fewer finer levels, and frames, there are.
    masks[0, 10:30, 10:30] = 1
    masks[1, 20:190, 20:190] = 1
    preset = CUSTOM | {"detail_steps": detail_steps}
    made = pack.RobustActivationPaint.execute(classifier, image, masks, "5", preset=preset, animate=1).result
    alphas = made[1][:, 0, 0, 3].tolist()
    assert alphas == sorted(alphas)
    assert 0 < alphas.count(0.25) < alphas.count(0.75)
    assert made[0][:, 0, 0, 3].tolist() == [0.25, 0.75]


def test_a_picture_whose_own_mask_is_empty_is_the_one_that_stays(brush: Brush, said: pytest.LogCaptureFixture) -> None:
    image, mask = noise(3, 40, 40, 3), torch.zeros(3, 40, 40)
    mask[::2, 5:30, 5:30] = 1
    made = brush(image, mask)
    assert torch.equal(made[1], image[1])
    assert not torch.equal(made[0], image[0])
    assert not torch.equal(made[2], image[2])
    assert EMPTY not in said.text


def test_a_typing_mistake_is_answered_though_there_is_nothing_to_paint(inpaint: Brush) -> None:
    with pytest.raises(ValueError, match="Did you mean church"):
        inpaint(noise(1, 40, 40, 3), PLACEHOLDER, "chruch")


def test_the_fillings_without_chance_ignore_the_seed(inpaint: Brush) -> None:
    image, mask = noise(1, 40, 56, 3), islands(40, 56)
    for fill in ("surround", "mean colour"):
        assert torch.equal(inpaint(image, mask, seed=1, fill=fill), inpaint(image, mask, seed=2, fill=fill))


@pytest.mark.parametrize("preset", ["inpaint", "paint"])
def test_the_presets_make_what_they_are_asked_for(pack: ModuleType, classifier: Any, preset: str) -> None:
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

    bare = replace(classifier, opened=classifier.model.with_seeds(None))
    preset = {"preset": "inpaint", "fill": "class seed"}
    with pytest.raises(ValueError, match=r"has no class seeds\. Choose another fill"):
        pack.RobustInpaint.execute(bare, noise(1, 40, 40, 3), torch.ones(1, 40, 40), "sea", preset, 0)


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


def padded(image: Tensor, border: int, feathering: int = 0) -> tuple[Tensor, Tensor]:
    """A picture with a grey border on its right and at its bottom, and its mask, as core's pad node makes them."""
    count, height, width, _ = image.shape
    larger = torch.full((count, height + border, width + border, 3), 0.5)
    mask = torch.ones(1, height + border, width + border)
    larger[:, :height, :width] = image
    mask[:, :height, :width] = 0
    for n in range(feathering):
        mask[:, : height - feathering + n + 1, width - feathering + n] = ((n + 1) / feathering) ** 2
        mask[:, height - feathering + n, : width - feathering + n + 1] = ((n + 1) / feathering) ** 2
    return larger, mask


@pytest.mark.parametrize("feathering", [0, 12])
def test_a_picture_is_continued_beyond_its_edges(pack: ModuleType, classifier: Any, feathering: int) -> None:
    image = pack.RobustClassSeed.execute(classifier, "mountain", 96, 96, 2, 3, "class gaussian").result[0]
    image = (image * 0.8 + 0.2 * noise(2, 96, 96, 3)).clamp(0, 1)
    larger, mask = padded(image, 64, feathering)
    preset = {"preset": "inpaint", "fill": "surround"}

    def outpaint(picture: Tensor) -> Tensor:
        made: Tensor = pack.RobustInpaint.execute(classifier, picture, mask, "mountain", preset, 0).result[0]
        return made

    made = outpaint(larger)
    assert torch.equal(made[:, mask[0] == 0], larger[:, mask[0] == 0])
    # What lies under the border is not looked at.
    other = torch.where(mask[..., None] == 1, 1 - larger, larger)
    assert torch.equal(outpaint(other), made)
    # Neither haze nor a seam: at the edge, and beyond it, neighbours differ as much as in the picture.
    steps = made.diff(dim=2).abs()[:, :96].mean((0, 1, 3))
    usual = float(steps[20:70].mean())
    assert 0.5 * usual < float(steps[100:150].mean()) < 2 * usual
    assert float(steps[94:97].max()) < 2 * usual
    alone = pack.RobustInpaint.execute(classifier, larger[1:], mask, "mountain", preset, 1).result[0]
    torch.testing.assert_close(made[1:], alone, rtol=0, atol=1e-4)


def test_masks_with_and_without_a_covered_side_share_a_batch(inpaint: Brush) -> None:
    image, masks = noise(2, 60, 80, 3), torch.zeros(2, 60, 80)
    masks[0, :, 50:] = 1
    masks[1, 10:30, 50:] = 1
    together = inpaint(image, masks)
    for n in range(2):
        assert torch.equal(together[n : n + 1], inpaint(image[n : n + 1], masks[n : n + 1]))


def test_a_trace_of_noise_in_the_mask_changes_nothing(brush: Brush, said: pytest.LogCaptureFixture) -> None:
    image, mask = noise(1, 60, 80, 3), torch.zeros(1, 60, 80)
    mask[:, 20:50, 30:70] = 1
    traces = torch.where(mask == 0, noise(1, 60, 80, seed=1) * 2 / 255, mask)
    clean = brush(image, mask)
    assert "faint" not in said.text
    assert torch.equal(brush(image, traces), clean)
    assert "fainter than 4 of 255" in said.text
    said.clear()
    assert torch.equal(brush(image, traces * (mask == 0)), image)
    assert "too faint to show" in said.text
    # A soft mask is meant: it blends.
    soft = brush(image, mask * 0.3)
    assert (soft - image).abs().max() > 0
    assert (soft != image).any(3)[mask > 0].float().mean() > 0.9


def test_a_long_strip_is_filled_painted_and_explained(pack: ModuleType, classifier: Any, brush: Brush) -> None:
    image, part = noise(1, 4, 20000, 3), torch.zeros(1, 4, 20000)
    part[:, :1, :400] = 1
    assert not torch.equal(brush(image, part), image)
    features, _ = pack.RobustFeatures.execute(classifier, image, 1, part).result
    assert int(features.split(":")[0]) < classifier.model.feature_count
