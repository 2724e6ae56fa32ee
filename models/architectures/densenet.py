"""torchvision's DenseNets."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision.models import densenet

from ..network import PooledActivationNetwork
from ._entry import Architecture


class DenseNet(PooledActivationNetwork, densenet.DenseNet):  # type: ignore[misc]
    """torchvision's DenseNet. H and W are at least 29 pixels."""

    features: nn.Sequential
    classifier: nn.Linear

    def __init__(self, growth: int, layers: tuple[int, int, int, int], stem: int, num_classes: int) -> None:
        super().__init__(growth, layers, stem, num_classes=num_classes)

    def get_classifier(self) -> nn.Linear:
        return self.classifier

    def forward_preactivation(self, x: Tensor) -> Tensor:
        result: Tensor = self.features(x)
        return result


_densenet = partial(Architecture, classifier="classifier")

ARCHITECTURES = (
    _densenet("densenet121", partial(DenseNet, 32, (6, 12, 24, 16), 64)),
    _densenet("densenet161", partial(DenseNet, 48, (6, 12, 36, 24), 96)),
    _densenet("densenet169", partial(DenseNet, 32, (6, 12, 32, 32), 64)),
    _densenet("densenet201", partial(DenseNet, 32, (6, 12, 48, 32), 64)),
)
