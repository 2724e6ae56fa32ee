"""Class seeds of one's own: fitted to pictures, beside those there were, and kept in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import (
    ClassSeeds,
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    save_classifier,
)
from robust_synthesis.synthesis import Mix, class_seeds, fit_seeds


def only(index: int) -> Mix:
    return Mix(((index, 1.0),))


def pictures(count: int, height: int, width: int, rank: int, seed: int = 0) -> Tensor:
    """Around middle grey, varying in a few ways together, so narrowly that nothing reaches 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    ways = torch.randn(rank, 3, height, width, generator=generator) / torch.arange(1, rank + 1).view(-1, 1, 1, 1)
    amounts = torch.randn(count, rank, generator=generator).clamp(-2, 2)
    base = 0.4 + 0.2 * torch.rand(3, height, width, generator=generator)
    result: Tensor = base + 0.02 * torch.tensordot(amounts, ways, dims=1)
    return result


@pytest.fixture
def before() -> ClassSeeds:
    """Seeds of the classes 2 and 0, of 4 x 5 pixels and six factors."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.rand(2, 3, 4, 5, generator=generator)
    return ClassSeeds(mean, 0.1 * torch.randn(2, 6, 3, 4, 5, generator=generator), 8, (2, 0))


def row(seeds: ClassSeeds, index: int) -> tuple[Tensor, Tensor]:
    position = seeds.classes.index(index)
    return seeds.mean[position], seeds.factors[position]


def test_drawn_seeds_have_the_mean_and_covariance_of_the_pictures(before: ClassSeeds) -> None:
    photos = pictures(50, 4, 5, rank=5)
    assert photos.min() > 0.1
    assert photos.max() < 0.9

    seeds = fit_seeds(photos, 1, before, 32)

    flat = photos.flatten(1)
    expected = flat.T.cov(correction=0)
    mean, factors = row(seeds, 1)
    torch.testing.assert_close(mean.flatten(), flat.mean(0))
    # Five ways to vary fit into six factors: nothing is lost.
    torch.testing.assert_close(factors.flatten(1).T @ factors.flatten(1), expected, rtol=1e-3, atol=1e-6)
    drawn = class_seeds(seeds, only(1), 4, 5, range(3000)).flatten(1)
    assert (drawn.mean(0) - flat.mean(0)).abs().max() < 0.005
    assert (drawn.T.cov() - expected).norm() / expected.norm() < 0.1


def test_what_varies_most_is_kept_when_there_are_fewer_factors_than_ways(before: ClassSeeds) -> None:
    photos = pictures(200, 4, 5, rank=20)
    covariance = photos.flatten(1).T.cov(correction=0)

    _, factors = row(fit_seeds(photos, 1, before, 32), 1)

    strongest = torch.linalg.eigvalsh(covariance).flip(0)[:6]
    kept = factors.flatten(1).square().sum(1)
    torch.testing.assert_close(kept, strongest, rtol=1e-3, atol=1e-6)


@given(count=st.integers(1, 40), height=st.integers(1, 60), width=st.integers(1, 60), again=st.booleans())
@example(count=1, height=1, width=1, again=False)
def test_pictures_of_any_number_and_size_give_seeds(count: int, height: int, width: int, again: bool) -> None:
    generator = torch.Generator().manual_seed(count)
    photos = torch.rand(count, 3, height, width, generator=generator)
    untouched = photos.clone()

    seeds = fit_seeds(photos, 5, None, 32)
    if again:
        seeds = fit_seeds(photos.flip(0), 5, seeds, 32)

    assert torch.equal(photos, untouched)
    assert seeds.classes == (5,)
    assert seeds.mean.shape == (1, 3, 8, 8)
    assert seeds.factors.shape[2:] == (3, 8, 8)
    assert seeds.mean.isfinite().all()
    assert seeds.factors.isfinite().all()
    drawn = class_seeds(seeds, only(5), height, width, [0, 1])
    assert drawn.shape == (2, 3, height, width)
    assert drawn.isfinite().all()


def test_fitted_seeds_survive_saving(
    tiny_classifier: Callable[..., RobustClassifier], before: ClassSeeds, tmp_path: Path
) -> None:
    classifier = tiny_classifier()
    assert classifier.seeds is None
    fitted = classifier.with_seeds(fit_seeds(pictures(9, 32, 32, rank=3), 1, None, classifier.input_size))
    assert classifier.seeds is None, "the classifier that came in was changed"
    path = tmp_path / "fitted.safetensors"

    save_classifier(fitted, path)
    loaded = load_classifier(path)

    assert loaded.card == fitted.card
    assert fitted.seeds is not None
    assert loaded.seeds is not None
    assert loaded.seeds.classes == (1,)
    assert loaded.seeds.grain == fitted.seeds.grain
    torch.testing.assert_close(loaded.seeds.mean, fitted.seeds.mean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(loaded.seeds.factors, fitted.seeds.factors, rtol=1e-3, atol=1e-3)
    drawn, again = (class_seeds(seeds, only(1), 32, 32, [3]) for seeds in (fitted.seeds, loaded.seeds))
    torch.testing.assert_close(drawn, again, rtol=0, atol=5e-3)

    # Classes out of order come back in theirs.
    save_classifier(classifier.with_seeds(before), path)
    loaded = load_classifier(path)
    assert loaded.seeds is not None
    assert loaded.seeds.classes == (2, 0)
    assert torch.equal(row(loaded.seeds, 0)[0], row(before, 0)[0].half().float())


def test_a_classifier_with_other_seeds_is_the_same_network(canvas: RobustClassifier) -> None:
    seeds = fit_seeds(pictures(3, 96, 96, rank=2), 0, canvas.seeds, canvas.input_size)
    other = canvas.with_seeds(seeds)
    assert other.seeds is seeds
    assert canvas.seeds is not seeds
    assert other.network is canvas.network
    assert other.labels == canvas.labels
    photos = pictures(2, 96, 96, rank=2)
    assert torch.equal(other(photos), canvas(photos))


def test_a_class_without_seeds_cannot_be_drawn(before: ClassSeeds) -> None:
    with pytest.raises(ValueError, match="no seeds for class number 1: fit some to pictures of it first"):
        class_seeds(before, only(1), 8, 8, [0])
    with pytest.raises(ValueError, match="no seeds for class number 1"):
        class_seeds(before, Mix(((0, 1.0), (1, 0.5))), 8, 8, [0])
    # What a mix stays away from needs no seeds.
    away = class_seeds(before, Mix(((0, 1.0), (1, -0.5))), 8, 8, [0])
    assert torch.equal(away, class_seeds(before, only(0), 8, 8, [0]))


def test_classes_are_drawn_by_their_own_number(before: ClassSeeds) -> None:
    still = ClassSeeds(before.mean, torch.zeros_like(before.factors), before.grain, before.classes)
    for position, index in enumerate(before.classes):
        assert torch.equal(class_seeds(still, only(index), 4, 5, [0])[0], before.mean[position])


@pytest.mark.parametrize("name", bundled_classifiers())
def test_files_that_do_not_name_the_classes_of_their_seeds_have_them_all(name: str) -> None:
    classifier = load_classifier(bundled_classifiers()[name])
    assert classifier.seeds is not None
    assert classifier.seeds.classes == tuple(range(len(classifier.labels)))
