"""torchvision's VGGs, with batch norm and without."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision.models import vgg

from ..network import PooledActivationNetwork
from ._entry import Architecture


class VGG(PooledActivationNetwork, vgg.VGG):  # type: ignore[misc]
    """torchvision's VGG. H and W are at least 32 pixels.

    Its last activation is behind fully connected layers, so its feature maps are `[B, 4096, 1, 1]`.
    """

    features: nn.Sequential
    avgpool: nn.Module
    classifier: nn.Sequential

    def __init__(self, layers: str, batch_norm: bool, num_classes: int) -> None:
        super().__init__(vgg.make_layers(vgg.cfgs[layers], batch_norm=batch_norm), num_classes)

    def get_classifier(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)
        result: Tensor = self.classifier[:4](x)
        return result[:, :, None, None]


LAYERS = {11: "A", 13: "B", 16: "D", 19: "E"}
"""torchvision's names of the sizes."""
# timm's fully connected layers are convolutions of the same numbers in another shape, which is not taken.
_vgg = partial(Architecture, classifier="classifier.6")

ARCHITECTURES = tuple(
    _vgg(f"vgg{depth}{'_bn' if batch_norm else ''}", partial(VGG, layers, batch_norm))
    for batch_norm in (True, False)
    for depth, layers in LAYERS.items()
)
