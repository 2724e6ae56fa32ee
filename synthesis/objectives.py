"""Objectives of the ascent as losses: one number per image of the batch, smaller is better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from .views import See

ObjectiveName = Literal["logit", "cross-entropy", "margin", "logit + cross-entropy"]
OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)

CE_WEIGHT = 8.0
"""How much cross-entropy counts beside the logit in `logit + cross-entropy`; chosen on
training pictures, by the judge of the benchmarks."""

Loss = Callable[[Tensor], Tensor]
"""From images `[B, 3, H, W]` in [0, 1] to losses `[B]`."""


def check_objective(objective: str) -> None:
    """Raise ValueError for an unknown objective."""
    if objective not in OBJECTIVES:
        raise ValueError(f"Unknown objective {objective!r}: choose one of {', '.join(OBJECTIVES)}.")


def class_loss(logits_of: See, weights: Tensor, objective: ObjectiveName) -> Loss:
    """The loss of pictures that should show a mix of classes.

    Args:
        logits_of: gives the logits: a classifier, as it is or seen in some way.
        weights: `[classes]`, or `[B, classes]` for a mix of its own for each picture; negative ones repel.
        objective: `logit` maximises the weighted sum of the logits; `cross-entropy` is -log p of the classes that
            attract (in proportion to their weights) and -log(1 - p) of those that repel; `margin` maximises
            the weighted logits over the highest logit of a class that is not named; `logit + cross-entropy` adds
            `CE_WEIGHT` times the latter to the former: bold, and rivals go down while the classifier is not sure.

    Raises:
        ValueError: an unknown objective.
    """
    check_objective(objective)
    of_logits = {"logit": _logit, "cross-entropy": _cross_entropy, "margin": _margin, "logit + cross-entropy": _both}
    measure = of_logits[objective]
    weights = torch.atleast_2d(weights)
    # Asked once: on a GPU each answer would wait for all that is under way.
    repels = bool((weights < 0).any())

    def loss(images: Tensor) -> Tensor:
        logits = logits_of(images)
        return measure(logits, weights.to(logits), repels)

    return loss


def feature_loss(features_of: See, weights: Tensor) -> Loss:
    """The loss of pictures that should show features (arXiv 1906.09453, section 4.2).

    Maximises the weighted sum of the penultimate features.

    Args:
        features_of: gives the features. Use `fake_relu` (see `ClassifierNetwork`): a feature that is
            switched off in an image has a zero gradient otherwise.
        weights: `[F]`, or `[B, F]` for a mix of its own for each picture; negative ones repel.
    """
    weights = torch.atleast_2d(weights)

    def loss(images: Tensor) -> Tensor:
        features = features_of(images)
        return -(features * weights.to(features)).sum(1)

    return loss


def penalised(loss: Loss, original: Tensor, mask: Tensor, penalty: float) -> Loss:
    """A loss plus `penalty` times the mean squared change of the pixels outside a mask (arXiv 1906.09453, 3.2).

    Args:
        loss: what to add to.
        original: `[B, 3, H, W]`.
        mask: `[B, 1, H, W]` in [0, 1]: 1 where change costs nothing.
        penalty: the paper's lambda.
    """

    def both(images: Tensor) -> Tensor:
        return loss(images) + penalty * ((images - original) * (1 - mask)).square().mean((1, 2, 3))

    return both


def _logit(logits: Tensor, weights: Tensor, _repels: bool) -> Tensor:
    return -(logits * weights).sum(1)


def _cross_entropy(logits: Tensor, weights: Tensor, repels: bool) -> Tensor:
    attract = weights.clamp(min=0)
    attract = attract / attract.sum(1, keepdim=True).clamp(min=torch.finfo(attract.dtype).tiny)
    loss = -(attract * logits.log_softmax(1)).sum(1)
    if not repels:
        return loss
    # log(1 - p), from the logits of all other classes: exact where p is close to 1.
    away = torch.logsumexp(_others(logits), 2) - logits.logsumexp(1, keepdim=True)
    return loss + (weights.clamp(max=0) * away).sum(1)


def _both(logits: Tensor, weights: Tensor, repels: bool) -> Tensor:
    return _logit(logits, weights, repels) + CE_WEIGHT * _cross_entropy(logits, weights, repels)


def _others(logits: Tensor) -> Tensor:
    """`[B, K, K]`: for each class, the logits with its own taken out."""
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    return logits[:, None, :].expand(-1, logits.shape[1], -1).masked_fill(own, -torch.inf)


def _margin(logits: Tensor, weights: Tensor, _repels: bool) -> Tensor:
    attract = weights.clamp(min=0)
    total = attract.sum(1, keepdim=True)
    scaled = torch.where(total > 0, weights / total.clamp(min=torch.finfo(total.dtype).tiny), weights)
    named = weights != 0
    rivals = logits.masked_fill(named, -torch.inf).amax(1)
    # With every class named there is no rival, and the weighted logits alone are the goal.
    rivals = torch.where(named.all(1), torch.zeros_like(rivals), rivals)
    # Classes that only repel push the picture towards the rival instead of above it.
    sign = torch.where(total.squeeze(1) > 0, 1.0, -1.0)
    return sign * rivals - (logits * scaled).sum(1)
