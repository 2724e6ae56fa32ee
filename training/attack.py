"""Adversarial changes to pictures: what a classifier is trained with, and what it is measured by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..synthesis.constraints import Constraint
from ..synthesis.views import See
from .recipes import Attack


def pgd_attack(logits_of: See, images: Tensor, classes: Tensor, attack: Attack) -> Tensor:
    """Pictures in the ball around `images` that a classifier takes for something else, as far as PGD finds them.

    It starts at random places in the ball (of torch's global generator), and climbs cross-entropy. Where there are
    restarts, a picture that deceives is kept, and the others start again.

    Args:
        logits_of: a classifier.
        images: `[B, 3, H, W]` in [0, 1].
        classes: `[B]`, what they show; or shares of classes `[B, classes]`, of which the largest counts.
        attack: how.

    Returns:
        `[B, 3, H, W]` in [0, 1].
    """
    named = classes if classes.ndim == 1 else classes.argmax(1)
    found = _once(logits_of, images, classes, attack)
    for _ in range(attack.restarts - 1):
        with torch.no_grad():
            withstood = (logits_of(found).argmax(1) == named).nonzero().flatten()
        if not len(withstood):
            break
        found[withstood] = _once(logits_of, images[withstood], classes[withstood], attack)
    return found


def _once(logits_of: See, images: Tensor, classes: Tensor, attack: Attack) -> Tensor:
    constraint = attack.constraint
    length = attack.rel_step_size * attack.epsilon
    moved = constraint.project(images + _random_change(images, constraint), images)
    for _ in range(attack.steps):
        with torch.enable_grad():
            leaf = moved.detach().requires_grad_()
            loss = F.cross_entropy(logits_of(leaf), classes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
        moved = constraint.project(moved + length * constraint.direction(gradient), images)
    return moved


def _random_change(images: Tensor, constraint: Constraint) -> Tensor:
    """Changes from anywhere in the ball."""
    if constraint.norm == "linf":
        return torch.empty_like(images).uniform_(-constraint.epsilon, constraint.epsilon)
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    return constraint.epsilon * share * constraint.direction(torch.randn_like(images))
