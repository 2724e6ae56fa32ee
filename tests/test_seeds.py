"""Where a climb starts: class Gaussians and noise like photographs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import Mix, class_seeds, natural_noise, parse_class_expression

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
@pytest.mark.parametrize("method", ["class gaussian", "natural noise"])
def test_a_picture_depends_on_its_seed_alone(canvas: RobustClassifier, height: int, width: int, method: str) -> None:
    def draw(random_seeds: list[int]) -> Tensor:
        if method == "natural noise":
            return natural_noise(height, width, random_seeds)
        assert canvas.seeds is not None
        mix = parse_class_expression("sea, church", canvas.labels)
        return class_seeds(canvas.seeds, mix, height, width, random_seeds)

    batch = draw([5, 6, 7, LARGEST_SEED])

    assert batch.shape == (4, 3, height, width)
    assert batch.dtype == torch.float32
    assert batch.min() >= 0
    assert batch.max() <= 1
    assert torch.equal(batch[2:3], draw([7]))
    assert torch.equal(batch[3:], draw([LARGEST_SEED]))
    assert torch.equal(batch, draw([5, 6, 7, LARGEST_SEED]))
    assert not torch.equal(batch[0], batch[1])


def test_bundled_seeds_look_like_their_class_to_their_classifier(canvas: RobustClassifier) -> None:
    assert canvas.seeds is not None
    for label in ("sea", "forest", "glacier", "church"):
        mix = parse_class_expression(label, canvas.labels)
        pictures = class_seeds(canvas.seeds, mix, 96, 96, range(8))
        own = canvas(pictures).softmax(1).mean(0)[canvas.labels.index(label)]
        assert own > 2 / len(canvas.labels), f"seeds of {label} score {own:.3f}, little more than chance"


def test_natural_noise_has_the_spectrum_of_photographs() -> None:
    side = 128
    pictures = natural_noise(side, side, range(24)).double()

    amplitude = torch.fft.fft2(pictures - pictures.mean((2, 3), keepdim=True)).abs().mean((0, 1))
    frequencies = torch.fft.fftfreq(side).double() * side
    radius = (frequencies[:, None] ** 2 + frequencies[None] ** 2).sqrt()
    rings = [2**power for power in range(1, 6)]
    means = [amplitude[(radius > ring / 1.2) & (radius < ring * 1.2)].mean() for ring in rings]
    x = torch.tensor(rings).double().log()
    y = torch.stack(means).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()

    assert float(slope) == pytest.approx(-1, abs=0.1)
    assert float(pictures.mean()) == pytest.approx(0.5, abs=0.02)
    assert 0.1 < float(pictures.std()) < 0.25
    # Colours vary together, as in photographs: more light and dark than hue.
    red, blue = pictures[:, 0].flatten(), pictures[:, 2].flatten()
    assert float(torch.stack([red, blue]).corrcoef()[0, 1]) > 0.5
