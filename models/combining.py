"""Two classifiers of the same classes as one."""

from __future__ import annotations

import copy

import torch

from .architectures.ensemble import Ensemble
from .classifier import ClassifierCard, RobustClassifier
from .names import comparable
from .network import PooledActivationNetwork


class CombineError(ValueError):
    """Two classifiers that cannot be combined; the message says why."""


def combine(first: RobustClassifier, second: RobustClassifier, weight: float = 0.5) -> RobustClassifier:
    """A classifier whose logits are a weighted mean of two others'.

    What both ask for is followed, and what only one of them asks for, its faults among it, counts less.

    Args:
        first: its class names, normalisation and class seeds are those of the result.
        second: of the same classes, in any order, and the same input size. Both stay as they are.
        weight: of the second one's logits, from 0 to 1; the first one's have the rest.

    Returns:
        A classifier that shares no tensor with them. Its features are those of both, the first one's before the
        second one's.

    Raises:
        CombineError: they have other classes or another input size, one does not end in average pooling and a linear
            layer, or the weight is out of range.
    """
    if not 0 <= weight <= 1:
        raise CombineError(f"The weight is {weight}; it must be from 0 to 1.")
    if first.input_size != second.input_size:
        raise CombineError(
            f"'{first.card.title}' sees {first.input_size} x {first.input_size} pixels and '{second.card.title}' "
            f"{second.input_size} x {second.input_size}: only classifiers of one size can be combined."
        )
    names, others = ([comparable(name) for name in classifier.labels] for classifier in (first, second))
    if sorted(names) != sorted(others):
        raise CombineError(
            f"'{first.card.title}' and '{second.card.title}' know different classes: only classifiers of the same "
            "classes can be combined."
        )
    members = []
    for classifier in (first, second):
        network = classifier.network
        if not isinstance(network, PooledActivationNetwork):
            raise CombineError(
                f"'{classifier.card.title}' cannot be combined: its network ({classifier.card.architecture['name']}) "
                "does not end in average pooling and a linear layer, or is a combination itself."
            )
        members.append(copy.deepcopy(network))
    network = Ensemble(members, len(names)).to(first.mean.device)
    order = [others.index(name) for name in names]
    layers = [member.get_classifier() for member in members]
    with torch.no_grad():
        own, other = (layer.weight.float() for layer in layers)
        network.fc.weight.copy_(torch.cat([(1 - weight) * own, weight * other[order]], 1))
        own, other = (layer.bias.float() for layer in layers)
        network.fc.bias.copy_((1 - weight) * own + weight * other[order])
        network.scale[1] = first.std.flatten() / second.std.flatten()
        network.shift[1] = (first.mean.flatten() - second.mean.flatten()) / second.std.flatten()
    cards = first.card, second.card
    card = ClassifierCard(
        title=" and ".join(card.title for card in cards),
        architecture={"name": "ensemble", "members": [dict(card.architecture) for card in cards]},
        labels=first.card.labels,
        input_size=first.input_size,
        mean=first.card.mean,
        std=first.card.std,
        licence="; ".join(dict.fromkeys(card.licence for card in cards if card.licence)),
    )
    return RobustClassifier(network, card, first.seeds)
