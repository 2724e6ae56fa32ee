"""torchvision's VGGs, with batch norm and without, and timm's, whose fully connected layers are convolutions."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg

from ..network import PooledActivationNetwork
from ._entry import Architecture

KERNEL = 7
"""Positions of the last maps, along each side, that the fully connected layers read."""


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


class ConvolutionalVGG(PooledActivationNetwork):
    """timm's VGG. H and W are at least 32 pixels.

    The first fully connected layer is a 7x7 convolution: at 224 pixels it computes as torchvision's does, at larger
    sizes it has a result at each position, and its feature maps are `[B, 4096, H / 32 - 6, W / 32 - 6]`.
    """

    def __init__(self, layers: str, batch_norm: bool, num_classes: int) -> None:
        super().__init__()
        self.features = vgg.make_layers(vgg.cfgs[layers], batch_norm=batch_norm)
        connected = {"fc1": nn.Conv2d(512, 4096, KERNEL), "act1": nn.ReLU(), "fc2": nn.Conv2d(4096, 4096, 1)}
        self.pre_logits = nn.Sequential(OrderedDict(connected))
        self.head = nn.ModuleDict({"fc": nn.Linear(4096, num_classes)})

    def get_classifier(self) -> nn.Linear:
        return self.head["fc"]  # type: ignore[return-value]

    def forward_preactivation(self, x: Tensor) -> Tensor:
        maps = self.features(x)
        size = (max(maps.shape[2], KERNEL), max(maps.shape[3], KERNEL))
        result: Tensor = self.pre_logits(F.adaptive_avg_pool2d(maps, size))
        return result


LAYERS = {11: "A", 13: "B", 16: "D", 19: "E"}
"""torchvision's names of the sizes."""

KINDS = (("vgg", VGG, "classifier.6"), ("timm_vgg", ConvolutionalVGG, "head.fc"))

ARCHITECTURES = tuple(
    Architecture(f"{name}{depth}{suffix}", partial(kind, layers, bool(suffix)), classifier=classifier)
    for name, kind, classifier in KINDS
    for suffix in ("_bn", "")
    for depth, layers in LAYERS.items()
)
