"""The gradient in the metric of photographs: colours, frequencies, and what an ascent keeps all the same."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import (
    AscentSettings,
    InpaintSettings,
    Mix,
    PaintSettings,
    Preconditioning,
    TranslateSettings,
    UpsampleSettings,
    ascend,
    class_covariance,
    classify,
    inpaint,
    paint,
    photo_covariance,
    preset,
    translate,
    translate_plan,
    upsample,
    upsample_plan,
)
from robust_synthesis.synthesis.constraints import Constraint
from robust_synthesis.synthesis.tasks.classify import target_covariance


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_without_exponents_the_gradient_is_the_plain_one() -> None:
    gradient = noise(2, 3, 8, 10)
    assert Preconditioning().for_images(gradient)(gradient) is gradient


def test_colours_are_multiplied_by_a_power_of_their_covariance() -> None:
    gradient = noise(2, 3, 8, 10)
    covariance = torch.tensor([[4.0, 2.0, 1.0], [2.0, 3.0, 1.0], [1.0, 1.0, 2.0]])[None]
    whole, half = (
        Preconditioning(decorrelation=power).for_images(gradient, covariance)(gradient) for power in (1.0, 0.5)
    )
    largest = torch.linalg.eigvalsh(covariance)[0, -1]
    expected = torch.einsum("cd,bdhw->bchw", covariance[0] / largest, gradient)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=1e-4)
    # Half of the way twice is the whole way.
    torch.testing.assert_close(
        Preconditioning(decorrelation=0.5).for_images(half, covariance)(half), expected, atol=1e-5, rtol=1e-4
    )


def test_in_photographs_brightness_varies_most() -> None:
    colours = torch.tensor([[1.0, 1, 1], [1, -2, 1]]).view(2, 3, 1, 1).expand(2, 3, 4, 4)
    light, magenta = Preconditioning(decorrelation=0.5).for_images(colours)(colours).flatten(1).norm(
        dim=1
    ) / colours.flatten(1).norm(dim=1)
    assert light > 3 * magenta


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_frequency_falls_by_its_power_and_low_ones_stay(power: float) -> None:
    x = (torch.arange(64) + 0.5) / 64

    def wave(cycles: int) -> Tensor:
        # Half a cosine has the same slope on both sides of a mirror at the border.
        return torch.cos(torch.pi * 2 * cycles * x).expand(1, 3, 64, 64)

    whole, tiles = (Preconditioning(decay_power=power, side=side).for_images(wave(1)) for side in (0, 16))
    for cycles, share in ((1, 1.0), (3, 1.0), (6, 0.5**power), (24, 0.125**power)):
        torch.testing.assert_close(whole(wave(cycles)), share * wave(cycles), atol=1e-5, rtol=1e-4)
    # What the network sees at once counts, not the size of the picture.
    torch.testing.assert_close(tiles(wave(12)), wave(12), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tiles(wave(24)), 0.5**power * wave(24), atol=1e-5, rtol=1e-4)


def test_whitening_takes_out_the_frequency_that_a_network_asks_for() -> None:
    x = (torch.arange(64) + 0.5) / 64
    plain = noise(2, 3, 64, 64)
    # The first picture's own alone: pictures of a batch make no difference to each other.
    dots = plain + 20 * torch.cos(torch.pi * 2 * 15 * x) * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)

    def peak(images: Tensor) -> Tensor:
        power = torch.fft.rfft2(images).abs().square().mean(1)[:, 0]
        ratio: Tensor = power[:, 15] / power[:, [4, 5, 25, 26]].mean(1)
        return ratio.sqrt()

    found = {w: Preconditioning(whitening=w).for_images(dots)(dots) for w in (0.5, 1.0)}
    assert peak(dots)[0] > 10 * peak(found[1.0])[0]
    assert peak(dots)[0] > 3 * peak(found[0.5])[0] > 3 * peak(found[1.0])[0]
    torch.testing.assert_close(found[1.0][1:], Preconditioning(whitening=1.0).for_images(dots[1:])(dots[1:]))
    # Noise is white already: only its length changes.
    kept = F.cosine_similarity(found[1.0][1].flatten(), plain[1].flatten(), dim=0)
    assert kept > 0.95


def test_a_gradient_of_zero_stays_zero() -> None:
    nothing = torch.zeros(1, 3, 9, 12)
    assert torch.equal(Preconditioning(whitening=1.0, decay_power=1.2).for_images(nothing)(nothing), nothing)


def test_a_wavelength_counts_the_same_in_both_directions_of_a_picture_that_is_not_square() -> None:
    # Stripes of 8 pixels: 6 cycles in 48 pixels, as large as 24 x 96.
    lying = torch.cos(torch.pi * 2 * (torch.arange(24) + 0.5) / 8)[:, None].expand(1, 3, 24, 96)
    standing = torch.cos(torch.pi * 2 * (torch.arange(96) + 0.5) / 8).expand(1, 3, 24, 96)
    for stripes in (lying, standing):
        precondition = Preconditioning(decay_power=1.0).for_images(stripes)
        torch.testing.assert_close(precondition(stripes), 0.5 * stripes, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(96, 96), (192, 288)])
def test_frequencies_are_counted_in_what_the_network_sees_at_once(size: tuple[int, int]) -> None:
    settings = preset(TranslateSettings, "generate").settings
    first, *finer = translate_plan(96, *size, settings).levels
    assert first.ascent.preconditioning.side == 0
    assert all(level.tiled and level.ascent.preconditioning.side == 96 for level in finer)
    enlarged = upsample_plan(96, *size, 4, preset(UpsampleSettings, "upsample").settings).levels
    # Coarse levels see the picture reduced, so that a tile covers more of it.
    assert [level.ascent.preconditioning.side for level in enlarged] == [192, 96]


def test_a_class_has_the_covariance_of_its_pictures() -> None:
    red, blue = (torch.zeros(2, 3, 4, 4) for _ in range(2))
    red[:, 0], blue[:, 2] = noise(2, 4, 4), noise(2, 4, 4, seed=1)
    seeds = ClassSeeds(torch.full((2, 3, 4, 4), 0.5), torch.stack([red, blue]), 4, (0, 2))
    found = class_covariance(seeds, torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0], [-1, 0, 0], [1, 0, 1]]))
    assert found[0, 0, 0] == pytest.approx(float(red.square().sum() / 16))
    assert found[0].count_nonzero() == 1
    assert found[1, 2, 2] == pytest.approx(float(blue.square().sum() / 16))
    # A class without seeds, or one to leave: photographs in general.
    torch.testing.assert_close(found[2:4], photo_covariance().expand(2, 3, 3))
    torch.testing.assert_close(found[4], (found[0] + found[1]) / 2)
    torch.testing.assert_close(class_covariance(seeds, torch.tensor([[0.0, 1, 0]])), photo_covariance())


def test_a_covariance_is_computed_only_where_it_is_used(canvas: RobustClassifier) -> None:
    weights = Mix.single(3).vector(len(canvas.labels))[None]
    plain = preset(TranslateSettings, "generate").settings.with_values(decorrelation=0.0, whitening=0.0)
    assert target_covariance(canvas, weights, plain.with_values(decay_power=1.0).ascent) is None
    found = target_covariance(canvas, weights, plain.with_values(decorrelation=0.5).ascent)
    assert canvas.seeds is not None
    torch.testing.assert_close(found, class_covariance(canvas.seeds, weights))


@given(
    norm=st.sampled_from(("l2", "linf")),
    decorrelation=st.sampled_from((0.0, 0.5, 1.0)),
    decay_power=st.sampled_from((0.0, 0.5, 1.0)),
    whitening=st.sampled_from((0.0, 1.0)),
    height=st.integers(8, 20),
    width=st.integers(8, 20),
    masked=st.booleans(),
)
def test_constraint_mask_and_independence_hold(
    norm: Literal["l2", "linf"],
    decorrelation: float,
    decay_power: float,
    whitening: float,
    height: int,
    width: int,
    masked: bool,
) -> None:
    start, wanted = noise(3, 3, height, width).sigmoid(), noise(3, 3, height, width, seed=1).sigmoid()
    mask = (noise(3, 1, height, width, seed=2) > 0).float() if masked else None
    epsilon = 1.5 if norm == "l2" else 0.1
    metric = Preconditioning(decorrelation, decay_power, whitening)
    settings = AscentSettings(
        steps=3, step_size=epsilon / 2, constraint=Constraint(norm, epsilon), preconditioning=metric
    )

    def made(rows: slice) -> Tensor:
        def loss(images: Tensor) -> Tensor:
            return (images - wanted[rows]).square().sum((1, 2, 3))

        return ascend(start[rows], loss, settings, None if mask is None else mask[rows])

    images = made(slice(None))
    change = (images - start).flatten(1)
    length = change.norm(dim=1) if norm == "l2" else change.abs().amax(1)
    assert length.max() <= epsilon * (1 + 1e-5) + 1e-6
    assert 0 <= images.min() <= images.max() <= 1
    if mask is not None:
        outside = (mask == 0).expand_as(images)
        assert torch.equal(images[outside], start[outside])
    torch.testing.assert_close(made(slice(1, 2)), images[1:2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(96, 96), (130, 210)])
def test_pictures_still_show_the_class_and_are_less_colourful(canvas: RobustClassifier, size: tuple[int, int]) -> None:
    mix = Mix.single(canvas.labels.index("church"))
    start = torch.full((1, 3, *size), 0.5)
    usual = preset(TranslateSettings, "generate").settings
    plain = usual.with_values(detail_steps=2, decorrelation=0.0, decay_power=0.0, whitening=0.0)
    natural = plain.with_values(decorrelation=0.5)
    assert natural.values()["decorrelation"] == 0.5
    images = [translate(canvas, start, mix, settings, [0]) for settings in (plain, natural)]
    colourful = [float((image - image.mean(1, keepdim=True)).square().mean()) for image in images]
    assert colourful[1] < 0.5 * colourful[0]
    seen = [classify(canvas, image)[0] for image in images]
    church = mix.weights[0][0]
    assert seen[1].argmax() == church
    assert seen[1][church] > 0.8 * seen[0][church]


def test_every_operation_with_a_class_takes_its_covariance(canvas: RobustClassifier) -> None:
    # The pictures of the third class vary in red alone.
    factors = torch.zeros(1, 1, 3, 4, 4)
    factors[:, :, 0] = 1
    seeds = ClassSeeds(torch.full((1, 3, 4, 4), 0.5), factors, 24, (2,))
    red = RobustClassifier(canvas.network, canvas.card, seeds)
    grey, mix, metric = torch.full((1, 3, 96, 96), 0.5), Mix.single(2), {"decorrelation": 2, "steps": 2}
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., 20:70, 20:70] = 1
    enlarging = preset(UpsampleSettings, "upsample").settings.with_values(consistent=False, **metric)
    for made in (
        translate(red, grey, mix, preset(TranslateSettings, "generate").settings.with_values(**metric), [0]),
        inpaint(red, grey, mask, mix, preset(InpaintSettings, "inpaint").settings.with_values(**metric), [0]),
        upsample(red, grey[..., :48, :48], 2, mix, enlarging),
    ):
        change = (made - 0.5).abs().amax((0, 2, 3))
        assert change[0] > 0.02
        assert change[1:].max() < 1e-3


def test_every_operation_keeps_its_promise_in_the_metric_of_photographs(canvas: RobustClassifier) -> None:
    # Not square, with a finer level in tiles, and two classes that the operation guesses.
    metric = {"decorrelation": 0.5, "decay_power": 1.0, "whitening": 0.5}
    images = noise(2, 3, 120, 200).sigmoid()
    mask = torch.zeros(2, 1, 120, 200)
    mask[..., 30:80, 60:150] = 1
    outside = (mask == 0).expand_as(images)
    inpainting = preset(InpaintSettings, "inpaint").settings.with_values(steps=2, detail_steps=1, **metric)
    painting = preset(PaintSettings, "paint").settings.with_values(steps=2, detail_steps=1, **metric)
    feature = torch.eye(canvas.feature_count)[3]
    for penalty in (0.0, 5.0):
        filled = inpaint(canvas, images, mask, None, inpainting.with_values(penalty=penalty), [0, 1])
        painted = paint(canvas, images, mask, feature, 1.0, painting.with_values(penalty=penalty))
        for made in (filled, painted):
            assert torch.equal(made[outside], images[outside])
            assert (made - images)[~outside].abs().max() > 0.01
    small = images[:, :, :40, :60]
    enlarged = upsample(canvas, small, 4, None, preset(UpsampleSettings, "upsample").settings.with_values(**metric))
    torch.testing.assert_close(F.avg_pool2d(enlarged, 4), small, atol=1e-5, rtol=0)


def test_exponents_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="decorrelation is 3"):
        Preconditioning(decorrelation=3)
    with pytest.raises(ValueError, match="decay_power is -1"):
        preset(TranslateSettings, "generate").settings.with_values(decay_power=-1)
    with pytest.raises(ValueError, match=r"whitening is 1\.5; it must be from 0 to 1"):
        Preconditioning(whitening=1.5)
