"""PGD: the adversarial examples that a classifier is trained on and measured by."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..synthesis.ascent import AscentSettings, ascend
from ..synthesis.preconditioning import Preconditioning
from .recipes import Attack

Logits = Callable[[Tensor], Tensor]
"""A classifier: from images `[B, 3, H, W]` in [0, 1] to logits `[B, classes]`."""


def pgd_attack(logits_of: Logits, images: Tensor, targets: Tensor, attack: Attack, rows: slice = slice(None)) -> Tensor:
    """Adversarial examples in the ball around `images` (PGD; Madry et al., arXiv 1706.06083).

    Each starts at a random point of the ball, drawn from torch's global generator. Examples that are misclassified
    are kept; restarts are spent on the others.

    Args:
        logits_of: see `Logits`.
        images: `[B, 3, H, W]` in [0, 1].
        targets: classes `[B]`, or class probabilities `[B, classes]`, whose largest is the class.
        attack: norm, radius, steps and restarts.
        rows: which of the images to attack. First starts are drawn for all of them, so that those of a row are the same
            whatever the others.

    Returns:
        Examples of these rows, in [0, 1].
    """
    adversarial = _from_one_start(logits_of, images, targets, attack, rows)
    images, targets = images[rows], targets[rows]
    classes = targets if targets.ndim == 1 else targets.argmax(1)
    for _ in range(attack.restarts - 1):
        with torch.no_grad():
            correct = (logits_of(adversarial).argmax(1) == classes).nonzero().flatten()
        if not len(correct):
            break
        adversarial[correct] = _from_one_start(logits_of, images[correct], targets[correct], attack)
    return adversarial


def preconditioned_attack(
    logits_of: Logits, images: Tensor, targets: Tensor, attack: Attack, preconditioning: Preconditioning
) -> Tensor:
    """As `pgd_attack`, in the metric of photographs and from the images themselves: no restarts, all are attacked."""
    return _ascended(logits_of, images, targets, attack, images, preconditioning)


def _from_one_start(
    logits_of: Logits, images: Tensor, targets: Tensor, attack: Attack, rows: slice = slice(None)
) -> Tensor:
    initial = attack.constraint.project(images + _random_change(images, attack), images)
    return _ascended(logits_of, images[rows], targets[rows], attack, initial[rows], Preconditioning())


def _ascended(
    logits_of: Logits,
    images: Tensor,
    targets: Tensor,
    attack: Attack,
    initial: Tensor,
    preconditioning: Preconditioning,
) -> Tensor:
    # The cross-entropy rises along the way that its negative falls.
    return ascend(
        images,
        lambda adversarial: -F.cross_entropy(logits_of(adversarial), targets, reduction="none"),
        AscentSettings(
            steps=attack.steps,
            step_size=attack.rel_step_size * attack.epsilon,
            constraint=attack.constraint,
            preconditioning=preconditioning,
            keep_best=False,
        ),
        initial=initial,
    )


def _random_change(images: Tensor, attack: Attack) -> Tensor:
    """Changes from anywhere in the ball."""
    if attack.norm == "linf":
        return torch.empty_like(images).uniform_(-attack.epsilon, attack.epsilon)
    fraction = torch.rand(len(images), 1, 1, 1, device=images.device)
    return attack.epsilon * fraction * attack.constraint.direction(torch.randn_like(images))
