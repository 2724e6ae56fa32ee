"""Generation from class seeds and from other starts."""

from __future__ import annotations

import torch
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import (
    Mix,
    TranslateSettings,
    best_of,
    class_seeds,
    natural_noise,
    photo_noise,
    preset,
)
from robust_synthesis.synthesis.seeds import CANDIDATES, natural_pictures
from robust_synthesis.synthesis.tasks.classify import class_cross_entropy
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import seeds_of_each_class, translated
from .judge import Judge
from .metrics import frechet_distance, grid, kernel_distance, spectrum_slope

FIRST_SEED = 1000
"""The random seeds from here on were not used to choose any setting."""
PRESET = preset(TranslateSettings, "generate").settings
PAPER = preset(TranslateSettings, "paper generate").settings


COLUMNS = {"judge": ".1%", "KID": ".1f", "Frechet": ".1f", "grid": ".2f", "slope": ".2f"}
"""Of `figures`."""


def figures(
    judge: Judge, images: Tensor, classes: Tensor, real: Tensor, features: Tensor | None = None
) -> tuple[float, ...]:
    """What is measured of images `[N, 3, S, S]` of classes `[N]` beside features `[M, 1280]` of real pictures.

    The images' own features `[N, 1280]` may be given, where they are known.
    """
    features = judge.features(images) if features is None else features
    distances = kernel_distance(features, real), frechet_distance(features, real)
    return judge.agreement(features, classes), *distances, grid(images), spectrum_slope(images)


def generation(
    judge: Judge, classifier: RobustClassifier, ensemble: RobustClassifier, test: Pictures, count: int, every: int
) -> None:
    """Compare `generate` with the paper's settings, on `count` pictures of each class, or every so many of them.

    `ensemble` has the classes and the seeds of `classifier`, and begins with the same pictures.
    """
    real = judge.features(as_float(test))
    side, numbers = classifier.input_size, _random_seeds(count)
    kinds = {
        "the paper's": (*seeds_of_each_class(own_seeds(classifier), side, numbers, class_seeds), PAPER),
        "our": (*seeds_of_each_class(own_seeds(classifier), side, numbers), PRESET),
    }
    made = len(range(0, count * len(classifier.labels), every))
    table = Table(f"Generation, {made} pictures; distances to the {len(test)} test pictures", {"steps": "d"} | COLUMNS)
    agreed, pictures = judge.agreement(real, test.classes), as_float(test)
    table.row("the test pictures themselves", 0, agreed, None, None, grid(pictures), spectrum_slope(pictures))
    for whose, (seeds, classes, settings) in kinds.items():
        start, targets = seeds[::every], classes[::every]
        table.row(f"{whose} class seeds", 0, *figures(judge, start, targets, real))
        images = translated(classifier, start, targets, settings)
        table.row(f"{whose} `generate`", settings.ascent.steps, *figures(judge, images, targets, real))
    seeds, classes, _ = kinds["our"]
    images, targets = translated(ensemble, seeds[::every], classes[::every], PRESET), classes[::every]
    table.row("... by `canvas-ensemble`", PRESET.ascent.steps, *figures(judge, images, targets, real))


def starts(judge: Judge, classifier: RobustClassifier, test: Pictures, count: int) -> None:
    """Compare what `generate` can start from, on `count` pictures of each class: not every classifier has seeds."""
    pictures, side, numbers = as_float(test), classifier.input_size, _random_seeds(count)
    real = judge.features(pictures)
    seeds = own_seeds(classifier)
    blurry, classes = seeds_of_each_class(seeds, side, numbers, class_seeds)
    labels = range(len(classifier.labels))

    def best(candidates: int) -> Tensor:
        losses = (class_cross_entropy(classifier, Mix.single(c)) for c in labels)
        return torch.cat([best_of(candidates, lambda n: photo_noise(side, side, n), loss, numbers) for loss in losses])

    def pictures_of_others(c: int) -> Tensor:
        loss, others = class_cross_entropy(classifier, Mix.single(c)), [label for label in labels if label != c]
        return best_of(CANDIDATES, lambda n: natural_pictures(side, side, n, others), loss, numbers)

    def photographs(c: int) -> Tensor:
        others = (test.classes != c).nonzero().flatten()
        return pictures[others[torch.randperm(len(others), generator=torch.Generator().manual_seed(c))[:count]]]

    kinds = {
        "class seeds, as in the paper": blurry,
        "class seeds with detail": seeds_of_each_class(seeds, side, numbers)[0],
        "grey noise, 1/f (`natural_noise`)": natural_noise(side, side, numbers).repeat(len(labels), 1, 1, 1),
        "natural noise (`photo_noise`)": photo_noise(side, side, numbers).repeat(len(labels), 1, 1, 1),
        "natural noise, the best of 8": best(8),
        "natural noise, the best of 32": best(32),
        "natural pictures of other classes, the best of 8": torch.cat([pictures_of_others(c) for c in labels]),
        "photographs of other classes": torch.cat([photographs(c) for c in labels]),
    }
    table = Table(
        f"Starts of `generate`, {len(classes)} pictures, {PRESET.ascent.steps} steps", {"judge, start": ".1%"} | COLUMNS
    )
    for name, start in kinds.items():
        before = judge.agreement(judge.features(start), classes)
        images = translated(classifier, start, classes, PRESET)
        table.row(name, before, *figures(judge, images, classes, real))


def own_seeds(classifier: RobustClassifier) -> ClassSeeds:
    """The class seeds of a classifier."""
    if classifier.seeds is None:
        raise SystemExit("The classifier has no class seeds.")
    return classifier.seeds


def _random_seeds(count: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + count)
