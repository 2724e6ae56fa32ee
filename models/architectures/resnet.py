"""torchvision's ResNets, those of the `robustness` library for CIFAR, and timm's with squeeze and excitation."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.resnet import BasicBlock, Bottleneck

from ..network import PooledActivationNetwork
from ._entry import IMAGENET_LABELS, Architecture

RENAMES = {r"\.shortcut\.": ".downsample.", r"^linear\.": "fc."}
"""The `robustness` library's names for CIFAR -> torchvision's."""


class ResNet(PooledActivationNetwork, resnet.ResNet):  # type: ignore[misc]
    """torchvision's ResNet, Wide ResNet or ResNeXt."""

    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    fc: nn.Linear

    def get_classifier(self) -> nn.Linear:
        return self.fc

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        *blocks, last = [*self.layer1, *self.layer2, *self.layer3, *self.layer4]
        for block in blocks:
            x = block(x)
        return _without_last_activation(last, x)


def _without_last_activation(block: Any, x: Tensor) -> Tensor:
    # torchvision's block applies one ReLU module in several places, so the last use cannot be removed from it.
    y = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    if isinstance(block, Bottleneck):
        y = block.bn3(block.conv3(block.relu(y)))
    if isinstance(block, SqueezedBottleneck):
        y = block.se(y)
    shortcut = x if block.downsample is None else block.downsample(x)
    result: Tensor = y + shortcut
    return result


class Squeeze(nn.Module):
    """Scales each channel by what the means of all say (Hu et al., arXiv 1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // 16, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(width // 16, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x * self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()
        return result


class SqueezedBottleneck(Bottleneck):  # type: ignore[misc]
    """torchvision's block with a squeeze before the shortcut."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.se = Squeeze(self.conv3.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.relu(_without_last_activation(self, x))
        return result


class CifarResNet(ResNet):
    """The `robustness` library's ResNet for 32 x 32 pixels: a 3x3 stem of stride 1 and no max-pool."""

    def __init__(self, block: type[nn.Module], layers: list[int], num_classes: int) -> None:
        super().__init__(block, layers, num_classes)
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.maxpool = nn.Identity()


_imagenet = partial(Architecture, renames=RENAMES)
_cifar = partial(
    Architecture,
    input_size=32,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    label_lists=IMAGENET_LABELS | {10: "cifar10"},
    renames=RENAMES,
)

ARCHITECTURES = (
    _imagenet("resnet18", partial(ResNet, BasicBlock, [2, 2, 2, 2])),
    _imagenet("resnet34", partial(ResNet, BasicBlock, [3, 4, 6, 3])),
    _imagenet("resnet50", partial(ResNet, Bottleneck, [3, 4, 6, 3])),
    _imagenet("resnet101", partial(ResNet, Bottleneck, [3, 4, 23, 3])),
    _imagenet("resnet152", partial(ResNet, Bottleneck, [3, 8, 36, 3])),
    _imagenet("resnext50_32x4d", partial(ResNet, Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=4)),
    _imagenet("wide_resnet50_2", partial(ResNet, Bottleneck, [3, 4, 6, 3], width_per_group=128)),
    _imagenet("wide_resnet50_4", partial(ResNet, Bottleneck, [3, 4, 6, 3], width_per_group=256)),
    _imagenet("seresnet50", partial(ResNet, SqueezedBottleneck, [3, 4, 6, 3])),
    _imagenet("seresnet101", partial(ResNet, SqueezedBottleneck, [3, 4, 23, 3])),
    _cifar("cifar_resnet18", partial(CifarResNet, BasicBlock, [2, 2, 2, 2])),
    _cifar("cifar_resnet34", partial(CifarResNet, BasicBlock, [3, 4, 6, 3])),
    _cifar("cifar_resnet50", partial(CifarResNet, Bottleneck, [3, 4, 6, 3])),
    _cifar("cifar_resnet101", partial(CifarResNet, Bottleneck, [3, 4, 23, 3])),
    _cifar("cifar_resnet152", partial(CifarResNet, Bottleneck, [3, 8, 36, 3])),
)
