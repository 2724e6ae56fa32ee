"""torchvision's ShuffleNetV2."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision.models import shufflenetv2

from ..network import PooledActivationNetwork
from ._entry import Architecture


class ShuffleNetV2(PooledActivationNetwork, shufflenetv2.ShuffleNetV2):  # type: ignore[misc]
    """torchvision's ShuffleNetV2."""

    conv1: nn.Module
    maxpool: nn.Module
    stage2: nn.Module
    stage3: nn.Module
    stage4: nn.Module
    conv5: nn.Sequential
    fc: nn.Linear

    def get_classifier(self) -> nn.Linear:
        return self.fc

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        result: Tensor = self.conv5[:-1](self.stage4(self.stage3(self.stage2(x))))
        return result


ARCHITECTURES = (Architecture("shufflenet_v2_x1_0", partial(ShuffleNetV2, [4, 8, 4], [24, 116, 232, 464, 1024])),)
