"""Generated samples of a classifier in training: the eye validates what accuracies cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ..models import ClassSeeds, RobustClassifier
from ..synthesis import Mix, generate
from ..synthesis.ascent import Callback

MAX_SAMPLES = 16
JUDGED_PICTURES = 200
"""How many generated pictures the kernel distance of stage two compares with training pictures, about."""
SAMPLER = "generate"
"""The preset that stage two trains for; other samplers gain little from it, or lose."""


def generate_samples(classifier: RobustClassifier, seeds: ClassSeeds, callback: Callback | None = None) -> Tensor:
    """Up to 16 pictures `[B, 3, S, S]` in [0, 1] on the CPU: equally many of each class, from the same random seeds.

    Args:
        classifier: on the device that is to compute.
        seeds: of all its classes.
        callback: see `synthesis.ascent.Callback`.
    """
    classes = range(min(len(classifier.labels), MAX_SAMPLES))
    each = range(samples_per_class(len(classifier.labels)))
    return generate_each(classifier, seeds, classes, each, callback).flatten(0, 1)


def generate_each(
    classifier: RobustClassifier,
    seeds: ClassSeeds,
    classes: Sequence[int],
    random_seeds: Sequence[int],
    callback: Callback | None = None,
) -> Tensor:
    """Pictures `[classes, random seeds, 3, S, S]` in [0, 1] on the CPU: of each class, from the same random seeds."""
    seeded = classifier.with_seeds(seeds)
    return torch.stack(
        [generate(seeded, Mix.single(index), random_seeds, callback=callback).cpu() for index in classes]
    )


def samples_per_class(classes: int) -> int:
    """How many samples there are of each of so many classes."""
    return max(1, MAX_SAMPLES // classes)


def judged_per_class(classes: int) -> int:
    """How many pictures of each of so many classes the kernel distance compares."""
    return max(samples_per_class(classes), math.ceil(JUDGED_PICTURES / classes))


def write_samples(folder: Path, samples: Tensor, name: str) -> None:
    """Write them as one sheet, `samples/{name}.png`.

    Raises:
        OSError: it cannot be written.
    """
    sheet = folder / "samples" / f"{name}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image(make_grid(samples, nrow=4, padding=2, pad_value=1)).save(sheet)
