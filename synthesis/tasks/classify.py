"""What a classifier sees in pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import AscentSettings
from ..mix import Mix
from ..objectives import Loss, class_loss
from ..preconditioning import class_covariance
from ..views import whole


def classify(classifier: RobustClassifier, images: Tensor) -> Tensor:
    """Probabilities `[B, classes]` of pictures `[B, 3, H, W]` in [0, 1], any H and W, seen whole."""
    with torch.no_grad():
        height, width = images.shape[2:]
        logits: Tensor = classifier(whole(height, width, classifier.input_size).look(images))
    return logits.softmax(1)


def target_weights(classifier: RobustClassifier, mix: Mix | None, images: Tensor) -> Tensor:
    """The weights of a mix, `[1, classes]`; without one, of the likeliest class of each picture, `[B, classes]`."""
    if mix is not None:
        return mix.vector(len(classifier.labels))[None].to(images)
    guesses = classify(classifier, images).argmax(1)
    return torch.nn.functional.one_hot(guesses, len(classifier.labels)).to(images)


def target_covariance(classifier: RobustClassifier, weights: Tensor, ascent: AscentSettings) -> Tensor | None:
    """The covariance of the channels in the pictures of some classes, `[B, 3, 3]`.

    None where the classifier has no seeds to take it from, or where the ascent does not use it.

    Args:
        classifier: its seeds know the pictures.
        weights: of all classes, `[B, classes]`.
        ascent: see `Preconditioning.decorrelation`.
    """
    if classifier.seeds is None or ascent.preconditioning.decorrelation == 0:
        return None
    return class_covariance(classifier.seeds, weights)


def class_cross_entropy(classifier: RobustClassifier, mix: Mix) -> Loss:
    """How little of a mix the classifier sees in pictures `[B, 3, H, W]`, any H and W: their cross-entropy, `[B]`."""

    def loss(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        view = whole(height, width, classifier.input_size)
        weights = target_weights(classifier, mix, images)
        return class_loss(classifier, weights, "cross-entropy")(view.look(images))

    return loss
