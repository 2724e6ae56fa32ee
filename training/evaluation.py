"""How good a classifier is: clean and robust accuracy, and how far its pictures are from real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..models import RobustClassifier
from .attack import pgd_attack
from .data import Pictures, TrainingData
from .randomness import seeded
from .recipes import Attack
from .record import Evaluation

BATCH_SIZE = 128
VALIDATION_STEPS = 5
FINAL_STEPS, FINAL_RESTARTS = 20, 2
FINAL_EPSILONS = (0.5, 1, 2)
"""The final figures are measured at these multiples of the epsilon of training, in ascending order."""
FINAL_PICTURES = 1000
"""At most: the standard error of an accuracy is then 1.6 points at most."""

Report = Callable[[int, int], None]
"""Called with (pictures measured, pictures in all); may raise to stop."""


@dataclass(frozen=True)
class Accuracy:
    """Fractions (0 to 1) of all pictures."""

    clean: float
    robust: float
    """Classified correctly, and still so under attack."""


def accuracy(
    classifier: RobustClassifier, pictures: Pictures, attack: Attack, seed: int = 0, report: Report | None = None
) -> Accuracy:
    """Clean and robust accuracy; deterministic for a seed on a CPU.

    Args:
        classifier: on the device that is to compute.
        pictures: to measure with.
        attack: see `attack.pgd_attack`.
        seed: of the attack's random starts.
        report: see `Report`.
    """
    correct, robust = _classified(classifier, pictures, attack, seed, report)
    return Accuracy(float(correct.float().mean()), float(robust.float().mean()))


def _classified(
    classifier: RobustClassifier, pictures: Pictures, attack: Attack, seed: int = 0, report: Report | None = None
) -> tuple[Tensor, Tensor]:
    """Which pictures are classified correctly, and which of them under attack, too: bool `[N]`."""
    correct = torch.zeros(len(pictures), dtype=torch.bool)
    robust = torch.zeros(len(pictures), dtype=torch.bool)
    device = classifier.mean.device
    with seeded(seed, device):
        for start in range(0, len(pictures), BATCH_SIZE):
            rows = torch.arange(start, min(start + BATCH_SIZE, len(pictures)))
            part = pictures[rows]
            images, classes = part.images.to(device).float() / 255, part.classes.to(device)
            with torch.no_grad():
                right = classifier(images).argmax(1) == classes
            correct[rows] = right.cpu()
            # A misclassified picture needs no attack.
            images, classes = images[right], classes[right]
            if len(classes):
                adversarial = pgd_attack(classifier, images, classes, attack)
                with torch.no_grad():
                    robust[rows[right.cpu()]] = (classifier(adversarial).argmax(1) == classes).cpu()
            if report is not None:
                report(start + len(rows), len(pictures))
    return correct, robust


def validation_accuracy(
    classifier: RobustClassifier, data: TrainingData, attack: Attack, report: Report | None = None
) -> Accuracy:
    """Accuracy on the validation pictures, under 5 steps of a training's attack: cheap enough for every evaluation."""
    short = replace(attack, steps=VALIDATION_STEPS, rel_step_size=0.4)
    return accuracy(classifier, data.validation, short, report=report)


def evaluate(
    classifier: RobustClassifier, data: TrainingData, attack: Attack, report: Report | None = None
) -> Evaluation:
    """The final figures: on the test pictures (validation pictures if there are none), under PGD-20 with 2 restarts.

    A picture that a small epsilon deceives is not attacked again with a larger one, whose ball holds the smaller one's.

    Args:
        classifier: on the device that is to compute.
        data: of its training.
        attack: of its training; half and twice its epsilon are measured, too.
        report: see `Report`.
    """
    pictures, measured_on = (data.test, "test split") if data.test else (data.validation, "validation pictures")
    long = replace(attack, steps=FINAL_STEPS, rel_step_size=0.125, restarts=FINAL_RESTARTS)
    if len(pictures) > FINAL_PICTURES:
        measured_on = f"{FINAL_PICTURES} of the {len(pictures)} pictures of the {measured_on}"
        # They are ordered by class: the same share of each.
        pictures = pictures[torch.linspace(0, len(pictures) - 1, FINAL_PICTURES).long()]
    epsilons = [factor * attack.epsilon for factor in FINAL_EPSILONS]
    counts, left = [], pictures
    for epsilon in epsilons:
        correct, robust = _classified(classifier, left, replace(long, epsilon=epsilon), report=report)
        counts.append((int(correct.sum()), int(robust.sum())))
        left = left[robust]
    accuracies = {f"{e:g}": kept / len(pictures) for e, (_, kept) in zip(epsilons, counts, strict=True)}
    return Evaluation(
        clean_accuracy=counts[0][0] / len(pictures),
        robust_accuracy=accuracies[f"{attack.epsilon:g}"],
        robust_accuracies=accuracies,
        attack=f"PGD-{long.steps} from {long.restarts} random starts",
        measured_on=measured_on,
    )


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy of two sets of features, with the cubic polynomial kernel of the
    kernel inception distance (Binkowski et al., arXiv 1801.01401); around 0 for samples of one distribution.

    Args:
        real: `[N, F]`, N 2 or more.
        generated: `[M, F]`, M 2 or more.
    """
    real, generated = real.double(), generated.double()

    def kernel(left: Tensor, right: Tensor) -> Tensor:
        return (left @ right.T / left.shape[1] + 1) ** 3

    def within(features: Tensor) -> Tensor:
        count = len(features)
        values = kernel(features, features)
        return (values.sum() - values.diagonal().sum()) / (count * (count - 1))

    return float(within(real) + within(generated) - 2 * kernel(real, generated).mean())
