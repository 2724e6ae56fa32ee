"""Fine-tuning: a training that begins with the layers of another robust classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..models import bundled_classifiers, load_classifier
from .recipes import Recipe

LAST_LAYER_PREFIX = "fc."


def layers_to_fine_tune(recipe: Recipe, labels: Sequence[str]) -> dict[str, Tensor]:
    """The weights of the classifier that a recipe fine-tunes; the last layer's only if it has the same classes.

    Robust features transfer well (Salman et al., arXiv 2007.08489).

    Raises:
        FileNotFoundError: there is no such classifier.
        CheckpointError: the file is none.
        ValueError: its network is not the recipe's.
    """
    path = bundled_classifiers().get(recipe.fine_tune, Path(recipe.fine_tune))
    classifier = load_classifier(path)
    if dict(classifier.card.architecture) != dict(recipe.architecture):
        raise ValueError(
            f"'{recipe.fine_tune}' has another network ({dict(classifier.card.architecture)}) than this recipe "
            f"({dict(recipe.architecture)}). Choose the recipe that it was trained with."
        )
    weights = classifier.network.state_dict()
    if tuple(labels) == classifier.labels:
        return weights
    return {name: tensor for name, tensor in weights.items() if not name.startswith(LAST_LAYER_PREFIX)}
