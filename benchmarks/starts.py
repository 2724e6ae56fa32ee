"""Generation from other starts than class seeds: what a classifier without training pictures can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import TRANSLATE_PRESETS, Mix, best_of, class_seeds, natural_noise, photo_noise
from robust_synthesis.synthesis.tasks.classify import class_cross_entropy

from .generation import FIRST_SEED, climb
from .judge import accuracy, frechet_distance
from .measures import Pictures, Table, climbed

COLUMNS = {"judge, start": ".1%", "judge": ".1%", "Frechet": ".2f"}
Draw = Callable[[int], Tensor]
"""Pictures to start from, for a class."""


def starts(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, each: int) -> None:
    """Print how pictures look to the judge that were generated from each kind of start, so many of each class."""
    seeds = classifier.seeds
    if seeds is None:
        raise SystemExit("The classifier has no class seeds.")
    side, numbers = classifier.input_size, range(FIRST_SEED, FIRST_SEED + each)

    def chosen(count: int, c: int) -> Tensor:
        noise = partial(photo_noise, side, side)
        return best_of(count, noise, class_cross_entropy(classifier, Mix(((c, 1.0),))), numbers)

    def photographs(c: int) -> Tensor:
        others = (test.classes != c).nonzero().flatten()
        return test.images[others[torch.randperm(len(others), generator=torch.Generator().manual_seed(c))[:each]]]

    kinds: dict[str, Draw] = {
        "class seeds": lambda c: class_seeds(seeds, Mix(((c, 1.0),)), side, side, numbers),
        "grey noise, 1/f (`natural_noise`)": lambda _: natural_noise(side, side, numbers),
        "natural noise (`photo_noise`)": lambda _: photo_noise(side, side, numbers),
        "natural noise, the best of 8": partial(chosen, 8),
        "natural noise, the best of 32": partial(chosen, 32),
        "photographs of other classes": photographs,
    }
    asked = torch.arange(len(classifier.labels)).repeat_interleave(each)
    settings = TRANSLATE_PRESETS["generate"]
    table = Table(f"Starts of `generate`, {len(asked)} pictures, {settings.steps} steps", COLUMNS)
    for name, draw in kinds.items():
        start = _of_every_class(draw, range(len(classifier.labels)))
        images, _ = climbed(partial(climb, classifier, start, settings), asked)
        before, after = accuracy(judge, start, asked), accuracy(judge, images, asked)
        table.row(name, before, after, frechet_distance(judge, images, test.images))


def _of_every_class(draw: Draw, classes: Sequence[int]) -> Tensor:
    return torch.cat([draw(c) for c in classes])
