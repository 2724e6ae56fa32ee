"""Two classifiers of the same classes as one ensemble."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from .architectures.ensemble import Ensemble
from .classifier import ClassifierCard, RobustClassifier
from .names import comparable
from .network import PooledActivationNetwork


class CombineError(ValueError):
    """Two classifiers that cannot be combined; the message says why."""


def combine(first: RobustClassifier, second: RobustClassifier, weight: float = 0.5) -> RobustClassifier:
    """An ensemble of two classifiers: its logits are a weighted mean of theirs.

    What both ask for is followed, and what only one of them asks for, its faults among it, counts less
    (Lakshminarayanan et al., arXiv 1612.01474).

    Args:
        first: its class names, normalisation and class seeds are those of the result, which is on its device.
        second: of the same classes, in any order, and the same input size. Both stay as they are, and neither was
            optimised for inference.
        weight: of the second one's logits, from 0 to 1; the first one's have the rest.

    Returns:
        A classifier in float32. It shares the seeds of the first one, and no weight. Its features are those of both,
        the first one's before the second one's.

    Raises:
        CombineError: they have other classes or another input size, one does not end in average pooling and a linear
            layer, classes that share their first name are in another order, or the weight is out of range.
    """
    if not 0 <= weight <= 1:
        raise CombineError(f"The weight is {weight}; it must be from 0 to 1.")
    if first.input_size != second.input_size:
        raise CombineError(
            f"'{first.card.title}' sees {first.input_size} x {first.input_size} pixels and '{second.card.title}' "
            f"{second.input_size} x {second.input_size}: only classifiers of one size can be combined."
        )
    order, device = _order(first, second), first.mean.device
    members = []
    for classifier in (first, second):
        network = classifier.network
        if not isinstance(network, PooledActivationNetwork):
            raise CombineError(
                f"'{classifier.card.title}' cannot be combined: its network ({classifier.card.architecture['name']}) "
                "does not end in average pooling and a linear layer, or is an ensemble itself."
            )
        members.append(copy.deepcopy(network))
    network = Ensemble(members, len(order)).to(device, torch.float32)
    own, other = (member.get_classifier() for member in members)
    mean, std = (each.flatten().to(device) for each in (second.mean, second.std))
    with torch.no_grad():
        network.fc.weight.copy_(torch.cat([(1 - weight) * own.weight, weight * other.weight[order]], 1))
        network.fc.bias.copy_((1 - weight) * own.bias + weight * other.bias[order])
        network.scale[1] = first.std.flatten() / std
        network.shift[1] = (first.mean.flatten() - mean) / std
    cards = first.card, second.card
    card = ClassifierCard(
        title=" and ".join(card.title for card in cards),
        architecture={"name": "ensemble", "members": [dict(card.architecture) for card in cards]},
        labels=first.card.labels,
        input_size=first.input_size,
        mean=first.card.mean,
        std=first.card.std,
        licence=_licence(cards),
    )
    return RobustClassifier(network, card, first.seeds)


def _order(first: RobustClassifier, second: RobustClassifier) -> list[int]:
    """For each class of the first one, its index in the second one."""
    titles = f"'{first.card.title}' and '{second.card.title}'"
    # By all names of each class, and where those differ by the first ones.
    for labels in ((first.card.labels, second.card.labels), (first.labels, second.labels)):
        names, others = (list(map(comparable, each)) for each in labels)
        if names == others:
            return list(range(len(names)))
        if sorted(names) == sorted(others) and len({*names}) == len(names):
            return [others.index(name) for name in names]
    if sorted(names) != sorted(others):
        raise CombineError(f"{titles} know different classes: only classifiers of the same classes can be combined.")
    shared = next(label for label, name in zip(first.labels, names, strict=True) if names.count(name) > 1)
    raise CombineError(
        f"{titles} have their classes in different orders, and more than one is called '{shared}': it cannot be told "
        "which are the same."
    )


def _licence(cards: Sequence[ClassifierCard]) -> str:
    licences = {card.licence for card in cards}
    if len(licences) == 1:
        return licences.pop()
    return "; ".join(f"{card.title}: {card.licence or 'not stated'}" for card in cards)
