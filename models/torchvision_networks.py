"""torchvision's networks, and the CIFAR ResNets of the `robustness` library, made climbable.

Each is torchvision's own class, so the names of its tensors are torchvision's. Importing this imports torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import (
    densenet,
    mnasnet,
    mobilenetv2,
    resnet,
    shufflenetv2,
    vgg,
)

from .network import ClassifierNetwork


class _EndsInReLU(ClassifierNetwork):
    def last_activation(self, x: Tensor) -> Tensor:
        return F.relu(x)


class ResNet(_EndsInReLU, resnet.ResNet):  # type: ignore[misc]
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

    @property
    def head(self) -> nn.Linear:
        return self.fc

    def before_last_activation(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        *blocks, last = [*self.layer1, *self.layer2, *self.layer3, *self.layer4]
        for block in blocks:
            x = block(x)
        return _before_activation(last, x)


def _before_activation(block: Any, x: Tensor) -> Tensor:
    """A residual block without its last activation, which is the same module as those inside it."""
    y = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    if isinstance(block, resnet.Bottleneck):
        y = block.bn3(block.conv3(block.relu(y)))
    shortcut = x if block.downsample is None else block.downsample(x)
    result: Tensor = y + shortcut
    return result


class CifarResNet(ResNet):
    """A ResNet for 32 x 32 pixels, as the `robustness` library has it: 3x3 stem, no max-pool."""

    def __init__(self, block: type[nn.Module], layers: list[int], num_classes: int) -> None:
        super().__init__(block, layers, num_classes)
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.maxpool = nn.Identity()


class DenseNet(_EndsInReLU, densenet.DenseNet):  # type: ignore[misc]
    """torchvision's DenseNet. H and W from 29 pixels."""

    features: nn.Sequential
    classifier: nn.Linear

    def __init__(self, growth: int, layers: tuple[int, int, int, int], stem: int, num_classes: int) -> None:
        super().__init__(growth, layers, stem, num_classes=num_classes)

    @property
    def head(self) -> nn.Linear:
        return self.classifier

    def before_last_activation(self, x: Tensor) -> Tensor:
        result: Tensor = self.features(x)
        return result


class VGG(_EndsInReLU, vgg.VGG):  # type: ignore[misc]
    """torchvision's VGG with batch norm. H and W from 32 pixels.

    Its 4096 features are of the picture as a whole: the feature maps are `[B, 4096, 1, 1]`.
    """

    features: nn.Sequential
    avgpool: nn.Module
    classifier: nn.Sequential

    def __init__(self, layers: str, num_classes: int) -> None:
        super().__init__(vgg.make_layers(vgg.cfgs[layers], batch_norm=True), num_classes)

    @property
    def head(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def before_last_activation(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)
        features: Tensor = self.classifier[:4](x)
        return features[:, :, None, None]


class MobileNetV2(ClassifierNetwork, mobilenetv2.MobileNetV2):  # type: ignore[misc]
    """torchvision's MobileNetV2."""

    features: nn.Sequential
    classifier: nn.Sequential

    @property
    def head(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def before_last_activation(self, x: Tensor) -> Tensor:
        *blocks, last = self.features
        convolution, norm, _ = cast(nn.Sequential, last)
        for block in blocks:
            x = block(x)
        result: Tensor = norm(convolution(x))
        return result

    def last_activation(self, x: Tensor) -> Tensor:
        return F.relu6(x)


class MNASNet(_EndsInReLU, mnasnet.MNASNet):  # type: ignore[misc]
    """torchvision's MNASNet."""

    layers: nn.Sequential
    classifier: nn.Sequential

    @property
    def head(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def before_last_activation(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers[:-1](x)
        return result

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        # torchvision asks for a version, which only PyTorch's own files have.
        super()._load_from_state_dict(state, prefix, {**metadata, "version": self._version}, *rest)


class ShuffleNetV2(_EndsInReLU, shufflenetv2.ShuffleNetV2):  # type: ignore[misc]
    """torchvision's ShuffleNetV2."""

    conv1: nn.Module
    maxpool: nn.Module
    stage2: nn.Module
    stage3: nn.Module
    stage4: nn.Module
    conv5: nn.Sequential
    fc: nn.Linear

    @property
    def head(self) -> nn.Linear:
        return self.fc

    def before_last_activation(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        result: Tensor = self.conv5[:-1](self.stage4(self.stage3(self.stage2(x))))
        return result


CIFAR = "cifar_"
"""How the names of networks for CIFAR's 32 x 32 pixels begin."""

# Those of the public robust checkpoints first: a file is compared with one after the other.
NETWORKS: dict[str, Callable[[int], ClassifierNetwork]] = {
    "resnet50": partial(ResNet, resnet.Bottleneck, [3, 4, 6, 3]),
    "resnet18": partial(ResNet, resnet.BasicBlock, [2, 2, 2, 2]),
    "wide_resnet50_2": partial(ResNet, resnet.Bottleneck, [3, 4, 6, 3], width_per_group=128),
    "wide_resnet50_4": partial(ResNet, resnet.Bottleneck, [3, 4, 6, 3], width_per_group=256),
    "resnext50_32x4d": partial(ResNet, resnet.Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=4),
    "cifar_resnet50": partial(CifarResNet, resnet.Bottleneck, [3, 4, 6, 3]),
    "cifar_resnet18": partial(CifarResNet, resnet.BasicBlock, [2, 2, 2, 2]),
    "vgg16_bn": partial(VGG, "D"),
    "mobilenet_v2": MobileNetV2,
    "mnasnet1_0": partial(MNASNet, 1.0),
    "shufflenet_v2_x1_0": partial(ShuffleNetV2, [4, 8, 4], [24, 116, 232, 464, 1024]),
    "densenet161": partial(DenseNet, 48, (6, 12, 36, 24), 96),
    "resnet34": partial(ResNet, resnet.BasicBlock, [3, 4, 6, 3]),
    "resnet101": partial(ResNet, resnet.Bottleneck, [3, 4, 23, 3]),
    "resnet152": partial(ResNet, resnet.Bottleneck, [3, 8, 36, 3]),
    "cifar_resnet34": partial(CifarResNet, resnet.BasicBlock, [3, 4, 6, 3]),
    "cifar_resnet101": partial(CifarResNet, resnet.Bottleneck, [3, 4, 23, 3]),
    "cifar_resnet152": partial(CifarResNet, resnet.Bottleneck, [3, 8, 36, 3]),
    "vgg11_bn": partial(VGG, "A"),
    "vgg13_bn": partial(VGG, "B"),
    "vgg19_bn": partial(VGG, "E"),
    "densenet121": partial(DenseNet, 32, (6, 12, 24, 16), 64),
    "densenet169": partial(DenseNet, 32, (6, 12, 32, 32), 64),
    "densenet201": partial(DenseNet, 32, (6, 12, 48, 32), 64),
}
"""Each takes the number of classes. A file is recognised as one of these by the names and shapes of its tensors."""
