"""Fine-tuning: a training that begins with the layers of another robust classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..models import RobustClassifier, bundled_classifiers, load_classifier
from .recipes import Recipe


def fine_tuning(recipe: Recipe, classifier: str) -> Recipe:
    """The recipe that begins with a classifier, and has its network.

    Args:
        recipe: for everything but the network.
        classifier: the name of a bundled one, or the path of a file in this pack's format.

    Raises:
        FileNotFoundError: there is no such classifier.
        CheckpointError: the file is none.
        ValueError: it is a CLIP, or combines two classifiers.
    """
    card = _load(classifier).card
    if not card.labels:
        raise ValueError(f"'{classifier}' is a CLIP, which has no classes. Fine-tune a classifier that has some.")
    if card.architecture["name"] == "ensemble":
        raise ValueError(f"'{classifier}' combines two classifiers. Fine-tune one of them, and combine them again.")
    return replace(recipe, fine_tune=classifier, architecture=dict(card.architecture))


def classifier_to_fine_tune(recipe: Recipe) -> RobustClassifier:
    """The classifier that a recipe of `fine_tuning` begins with.

    Raises:
        FileNotFoundError: it is not there any more.
        CheckpointError: the file is none.
        ValueError: the recipe has another network.
    """
    classifier = _load(recipe.fine_tune)
    if dict(classifier.card.architecture) != dict(recipe.architecture):
        raise ValueError(
            f"'{recipe.fine_tune}' has another network ({dict(classifier.card.architecture)}) than this recipe "
            f"({dict(recipe.architecture)}). Make the recipe with `fine_tuning`, which takes the network over."
        )
    return classifier


def layers_to_fine_tune(classifier: RobustClassifier, labels: Sequence[str]) -> dict[str, Tensor]:
    """The weights of a classifier, those of its last layer only if it has the same classes.

    Robust features transfer well (Salman et al., arXiv 2007.08489).
    """
    weights: dict[str, Tensor] = classifier.network.state_dict()
    if tuple(labels) == classifier.labels:
        return weights
    last = classifier.network.get_classifier()
    prefix = next(f"{name}." for name, module in classifier.network.named_modules() if module is last)
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}


def _load(classifier: str) -> RobustClassifier:
    return load_classifier(bundled_classifiers().get(classifier, Path(classifier)))
