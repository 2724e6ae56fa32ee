"""Starts of an ascent: class Gaussians and noise like photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import (
    Mix,
    best_of,
    class_seeds,
    detailed_class_seeds,
    natural_noise,
    parse_class_expression,
    photo_noise,
    pictures_in,
)
from robust_synthesis.synthesis.seeds import natural_pictures
from robust_synthesis.synthesis.tasks.classify import class_cross_entropy

SEA = Mix(((0, 1.0),))
LARGEST_SEED = 2**64 - 1


@pytest.fixture(scope="module")
def gaussians() -> ClassSeeds:
    """Two classes of 3 x 4 x 5 pixels, five factors, so narrow that nothing reaches 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    mean = 0.4 + 0.2 * torch.rand(2, 3, 4, 5, generator=generator)
    return ClassSeeds(mean, 0.03 * torch.randn(2, 5, 3, 4, 5, generator=generator), grain=4, classes=(0, 1))


def statistics(pictures: Tensor) -> tuple[Tensor, Tensor]:
    flat = pictures.flatten(1).double()
    return flat.mean(0), flat.T.cov()


def test_seeds_have_the_mean_and_covariance_of_their_class(gaussians: ClassSeeds) -> None:
    mean, covariance = statistics(class_seeds(gaussians, SEA, 4, 5, range(4000)))

    factors = gaussians.factors[0].flatten(1).double()
    expected = factors.T @ factors
    deviation = expected.diagonal().sqrt()
    # Five standard errors of a mean of 4000.
    assert ((mean - gaussians.mean[0].flatten()).abs() <= 5 * deviation / 4000**0.5 + 1e-6).all()
    assert (covariance - expected).norm() / expected.norm() < 0.08


def test_a_mix_blends_what_its_classes_attract(gaussians: ClassSeeds) -> None:
    mix = Mix(((0, 3.0), (1, 1.0)))
    mean, covariance = statistics(class_seeds(gaussians, mix, 4, 5, range(4000)))

    first, second = (gaussians.factors[index].flatten(1).double() for index in (0, 1))
    expected = 0.75**2 * first.T @ first + 0.25**2 * second.T @ second
    expected_mean = (0.75 * gaussians.mean[0] + 0.25 * gaussians.mean[1]).flatten()
    assert (mean - expected_mean).abs().max() < 0.01
    assert (covariance - expected).norm() / expected.norm() < 0.08
    repelled = Mix(((0, 1.0), (1, -1.0)))
    assert torch.equal(class_seeds(gaussians, repelled, 4, 5, [3]), class_seeds(gaussians, SEA, 4, 5, [3]))


def test_without_a_class_that_attracts_there_is_no_seed(gaussians: ClassSeeds) -> None:
    with pytest.raises(ValueError, match="every class has a minus"):
        class_seeds(gaussians, Mix(((1, -1.0),)), 8, 8, [0])


@pytest.mark.parametrize(("height", "width"), [(96, 96), (16, 16), (37, 53), (200, 24)])
@pytest.mark.parametrize("method", ["class gaussian", "detailed", "natural noise", "photo noise", "natural picture"])
def test_a_picture_depends_on_its_seed_alone(canvas: RobustClassifier, height: int, width: int, method: str) -> None:
    def draw(random_seeds: list[int]) -> Tensor:
        if method == "natural noise":
            return natural_noise(height, width, random_seeds)
        if method == "photo noise":
            return photo_noise(height, width, random_seeds)
        if method == "natural picture":
            return natural_pictures(height, width, random_seeds)
        assert canvas.seeds is not None
        mix = parse_class_expression("sea, church", canvas.labels)
        kind = detailed_class_seeds if method == "detailed" else class_seeds
        return kind(canvas.seeds, mix, height, width, random_seeds)

    batch = draw([5, 6, 7, LARGEST_SEED])

    assert batch.shape == (4, 3, height, width)
    assert batch.dtype == torch.float32
    assert batch.min() >= 0
    assert batch.max() <= 1
    assert torch.equal(batch[2:3], draw([7]))
    assert torch.equal(batch[3:], draw([LARGEST_SEED]))
    assert torch.equal(batch, draw([5, 6, 7, LARGEST_SEED]))
    assert not torch.equal(batch[0], batch[1])


@pytest.mark.parametrize(("height", "width"), [(96, 96), (80, 144), (400, 384)])
def test_detail_is_grey_and_only_what_seeds_are_too_small_to_show(
    canvas: RobustClassifier, height: int, width: int
) -> None:
    assert canvas.seeds is not None
    mix = parse_class_expression("street", canvas.labels)
    blurry, detailed = (
        draw(canvas.seeds, mix, height, width, range(4)) for draw in (class_seeds, detailed_class_seeds)
    )

    detail = detailed - blurry
    inside = ((detailed > 0) & (detailed < 1) & (blurry > 0) & (blurry < 1)).all(1, keepdim=True)
    assert inside.float().mean() > 0.7
    assert ((detail - detail.mean(1, keepdim=True)) * inside).abs().max() < 1e-5
    assert 0.05 < float(detail.std()) < 0.2
    assert F.interpolate(detail, (24, 24), mode="area").std() < 0.3 * detail.std()
    # As fine as the pictures that the seeds were fitted to, however large the picture.
    finer = detail - F.interpolate(
        F.interpolate(detail, (96, 96), mode="area"), (height, width), mode="bicubic", align_corners=False
    )
    assert finer.std() < 0.4 * detail.std()


def test_a_picture_as_small_as_the_seeds_has_no_detail(canvas: RobustClassifier) -> None:
    assert canvas.seeds is not None
    mix = parse_class_expression("street", canvas.labels)
    drawn = [draw(canvas.seeds, mix, 24, 24, [1]) for draw in (class_seeds, detailed_class_seeds)]
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=0)


def test_bundled_seeds_look_like_their_class_to_their_classifier(canvas: RobustClassifier) -> None:
    assert canvas.seeds is not None
    mixes = [parse_class_expression(label, canvas.labels) for label in canvas.labels]
    scores = torch.stack([canvas(class_seeds(canvas.seeds, mix, 96, 96, range(8))).softmax(1).mean(0) for mix in mixes])
    for label in ("sea", "forest", "glacier", "church"):
        index = canvas.labels.index(label)
        own, others = scores[index, index], (scores[:, index].sum() - scores[index, index]) / (len(mixes) - 1)
        assert own > 1.3 * others, f"seeds of {label} score {own:.3f}, those of other classes {others:.3f}"


def spectral_slope(pictures: Tensor) -> float:
    """How steeply the amplitude falls with frequency, both on logarithmic scales."""
    side = pictures.shape[2]
    pictures = pictures.double()
    amplitude = torch.fft.fft2(pictures - pictures.mean((2, 3), keepdim=True)).abs().mean((0, 1))
    frequencies = torch.fft.fftfreq(side).double() * side
    radius = (frequencies[:, None] ** 2 + frequencies[None] ** 2).sqrt()
    rings = [2**power for power in range(1, 6)]
    means = [amplitude[(radius > ring / 1.2) & (radius < ring * 1.2)].mean() for ring in rings]
    x = torch.tensor(rings).double().log()
    y = torch.stack(means).log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def test_natural_noise_has_the_spectrum_of_photographs() -> None:
    pictures = natural_noise(128, 128, range(24))
    assert spectral_slope(pictures) == pytest.approx(-1, abs=0.1)
    assert float(pictures.mean()) == pytest.approx(0.5, abs=0.02)
    assert 0.1 < float(pictures.std()) < 0.25
    # Colours vary together, as in photographs: more light and dark than hue.
    red, blue = pictures[:, 0].flatten(), pictures[:, 2].flatten()
    assert float(torch.stack([red, blue]).corrcoef()[0, 1]) > 0.5


def test_photo_noise_has_the_statistics_of_photographs() -> None:
    # Measured on 1500 photographs at 96 px: slope -1.21, mean 0.45, deviation inside a picture 0.23 on average and
    # 0.15 to 0.30 for four in five; brightness varies by 0.14 from picture to picture.
    pictures = photo_noise(96, 96, range(300))
    assert spectral_slope(pictures) == pytest.approx(-1.21, abs=0.1)
    means = pictures.mean((2, 3))
    assert float(means.mean()) == pytest.approx(0.45, abs=0.03)
    assert float(means.mean(1).std()) == pytest.approx(0.14, abs=0.03)
    contrast = (pictures - means[:, :, None, None]).square().mean((1, 2, 3)).sqrt()
    assert float(contrast.mean()) == pytest.approx(0.226, abs=0.02)
    low, high = contrast.quantile(torch.tensor([0.1, 0.9])).tolist()
    assert low == pytest.approx(0.154, abs=0.02)
    assert high == pytest.approx(0.298, abs=0.04)
    assert float((means[:, 0] - means[:, 2]).std()) == pytest.approx(0.117, abs=0.03)


def test_the_best_of_many_is_the_one_the_classifier_sees_most_of_the_class_in(canvas: RobustClassifier) -> None:
    sea = parse_class_expression("sea", canvas.labels)
    loss, drawn = class_cross_entropy(canvas, sea), []

    def draw(random_seeds: Sequence[int]) -> Tensor:
        drawn.append(photo_noise(64, 80, random_seeds))
        return drawn[-1]

    steps: list[int] = []
    chosen = best_of(6, draw, loss, [3, 4, 5], lambda step, _losses, _images: steps.append(step))
    candidates = torch.stack(drawn[1:])
    losses = torch.stack([loss(round_) for round_ in candidates])
    assert steps == list(range(6))
    assert torch.equal(chosen, torch.stack([candidates[losses[:, i].argmin(), i] for i in range(3)]))
    # Of its own the first candidate, none shared with a neighbour.
    assert torch.equal(candidates[0], photo_noise(64, 80, [3, 4, 5]))
    assert len({tuple(picture.flatten()[:8].tolist()) for picture in candidates.flatten(0, 1)}) == 18
    alone = best_of(6, draw, loss, [4])
    torch.testing.assert_close(alone[0], chosen[1])


def test_pictures_of_a_folder_are_read_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (400, 30), (255, 0, 0)).save(tmp_path / "a.JPG")
    Image.new("RGBA", (20, 300), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("CMYK", (20, 20), (0, 0, 0, 255)).save(tmp_path / "c.jpeg")
    pictures = pictures_in(tmp_path, 24, 32).images
    assert pictures.shape == (3, 3, 24, 32)
    colours = torch.tensor([[1.0, 0, 0], [1, 1, 1], [0, 0, 0]])
    torch.testing.assert_close(pictures.mean((2, 3)), colours, atol=0.02, rtol=0)


def test_a_folder_that_will_not_do_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder 'nowhere'"):
        pictures_in(tmp_path / "nowhere", 24, 24)
    with pytest.raises(ValueError, match="has no picture that can be read"):
        pictures_in(tmp_path, 24, 24)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"cannot be read \(1\): broken\.png \(cannot identify"):
        pictures_in(tmp_path, 24, 24)
