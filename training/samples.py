"""Generated samples of a classifier in training: the eye validates what accuracies cannot."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ..models import ClassSeeds, RobustClassifier
from ..synthesis import Mix, generate
from ..synthesis.ascent import Callback

MAX_SAMPLES = 16


def generate_samples(classifier: RobustClassifier, seeds: ClassSeeds, callback: Callback | None = None) -> Tensor:
    """Up to 16 pictures `[B, 3, S, S]` in [0, 1] on the CPU: equally many of each class, from the same random seeds.

    Args:
        classifier: on the device that is to compute.
        seeds: of all its classes.
        callback: see `synthesis.ascent.Callback`.
    """
    classes = range(min(len(classifier.labels), MAX_SAMPLES))
    random_seeds = range(samples_per_class(len(classifier.labels)))
    seeded = classifier.with_seeds(seeds)
    samples = [generate(seeded, Mix.single(index), random_seeds, callback=callback).cpu() for index in classes]
    return torch.cat(samples)


def samples_per_class(classes: int) -> int:
    """How many samples there are of each of so many classes."""
    return max(1, MAX_SAMPLES // classes)


def write_samples(folder: Path, samples: Tensor, epoch: int) -> None:
    """Write them as one sheet, `samples/epoch-012.png`.

    Raises:
        OSError: it cannot be written.
    """
    sheet = folder / "samples" / f"epoch-{epoch:03}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image(make_grid(samples, nrow=4, padding=2, pad_value=1)).save(sheet)
