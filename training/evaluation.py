"""How good a classifier is: on pictures as they are, and on pictures that an attack has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..models import RobustClassifier
from .attack import pgd_attack
from .data import Pictures
from .randomness import seeded
from .recipes import Attack

BATCH = 128

Report = Callable[[int, int], None]
"""Called with (pictures measured, pictures in all); may raise to stop."""


@dataclass(frozen=True)
class Accuracy:
    """Shares (0 to 1) of pictures that are named rightly."""

    clean: float
    robust: float
    """Of the pictures that are named rightly, and still are when an attack has changed them."""


def accuracy(
    classifier: RobustClassifier, pictures: Pictures, attack: Attack, seed: int = 0, report: Report | None = None
) -> Accuracy:
    """Clean accuracy, and accuracy under an attack; the same each time for the same seed, on the same device.

    Args:
        classifier: on the device that is to compute.
        pictures: to measure with.
        attack: see `attack.attacked`.
        seed: of the attack's random starts.
        report: see `Report`.
    """
    clean = robust = 0
    device = classifier.mean.device
    with seeded(seed, device):
        for start in range(0, len(pictures), BATCH):
            part = pictures[slice(start, start + BATCH)]
            images, classes = part.images.to(device).float() / 255, part.classes.to(device)
            with torch.no_grad():
                right = classifier(images).argmax(1) == classes
            clean += int(right.sum())
            # The others are lost already.
            images, classes = images[right], classes[right]
            if len(classes):
                changed = pgd_attack(classifier, images, classes, attack)
                with torch.no_grad():
                    robust += int((classifier(changed).argmax(1) == classes).sum())
            if report is not None:
                report(min(start + BATCH, len(pictures)), len(pictures))
    return Accuracy(clean / len(pictures), robust / len(pictures))
