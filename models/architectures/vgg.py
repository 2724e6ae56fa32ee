"""torchvision's VGGs with batch norm."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision.models import vgg

from ..network import PooledActivationNetwork
from ._entry import Architecture


class VGG(PooledActivationNetwork, vgg.VGG):  # type: ignore[misc]
    """torchvision's VGG with batch norm. H and W are at least 32 pixels.

    Its last activation is behind fully connected layers, so its feature maps are `[B, 4096, 1, 1]`.
    """

    features: nn.Sequential
    avgpool: nn.Module
    classifier: nn.Sequential

    def __init__(self, layers: str, num_classes: int) -> None:
        super().__init__(vgg.make_layers(vgg.cfgs[layers], batch_norm=True), num_classes)

    def get_classifier(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)
        result: Tensor = self.classifier[:4](x)
        return result[:, :, None, None]


_vgg = partial(Architecture, classifier="classifier.6")

ARCHITECTURES = (
    _vgg("vgg11_bn", partial(VGG, "A")),
    _vgg("vgg13_bn", partial(VGG, "B")),
    _vgg("vgg16_bn", partial(VGG, "D")),
    _vgg("vgg19_bn", partial(VGG, "E")),
)
