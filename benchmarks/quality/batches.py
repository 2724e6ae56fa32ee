"""Operations on many pictures, each towards its own class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robust_synthesis.models import ClassSeeds, RobustClassifier
from robust_synthesis.synthesis import Mix, TranslateSettings, detailed_class_seeds, translate

BATCH_SIZE = 32

Operation = Callable[[Tensor, Mix | None], Tensor]
"""From the rows `[B]` of some pictures and their class (None: the classifier's prediction) to `[B, 3, H, W]`."""
Draw = Callable[[ClassSeeds, Mix, int, int, Sequence[int]], Tensor]
"""`class_seeds`, as in the paper, or `detailed_class_seeds`."""


def in_batches(operation: Operation, classes: Tensor, class_given: bool = True) -> Tensor:
    """The results of an operation on pictures of some classes `[N]`, in their order."""
    if class_given:
        batches: list[tuple[Tensor, Mix | None]] = [
            (rows.flatten(), Mix.single(int(c)))
            for c in classes.unique()
            for rows in (classes == c).nonzero().split(BATCH_SIZE)
        ]
    else:
        batches = [(rows, None) for rows in torch.arange(len(classes)).split(BATCH_SIZE)]
    order = torch.cat([rows for rows, _ in batches]).argsort()
    return torch.cat([operation(rows, mix) for rows, mix in batches])[order]


def translated(
    classifier: RobustClassifier,
    images: Tensor,
    classes: Tensor,
    settings: TranslateSettings,
    masks: Tensor | None = None,
) -> Tensor:
    """Images `[N, 3, H, W]`, each translated to its class, `[N]`, where masks `[N, 1, H, W]` let it."""

    def operation(rows: Tensor, mix: Mix | None) -> Tensor:
        mask = None if masks is None else masks[rows]
        return translate(classifier, images[rows], mix, settings, rows.tolist(), mask)

    return in_batches(operation, classes)


def seeds_of_each_class(
    seeds: ClassSeeds, side: int, random_seeds: Sequence[int], draw: Draw = detailed_class_seeds
) -> tuple[Tensor, Tensor]:
    """One class seed for each random seed and class, `[N, 3, side, side]`, and their classes `[N]`."""
    drawn = [draw(seeds, Mix.single(c), side, side, random_seeds) for c in seeds.classes]
    return torch.cat(drawn), torch.tensor(seeds.classes).repeat_interleave(len(random_seeds))
