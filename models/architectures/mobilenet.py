"""torchvision's MobileNetV2."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenetv2

from ..network import PooledActivationNetwork
from ._entry import Architecture


class MobileNetV2(PooledActivationNetwork, mobilenetv2.MobileNetV2):  # type: ignore[misc]
    """torchvision's MobileNetV2."""

    features: nn.Sequential
    classifier: nn.Sequential

    def get_classifier(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def forward_preactivation(self, x: Tensor) -> Tensor:
        *blocks, last = self.features
        convolution, norm, _ = cast(nn.Sequential, last)
        for block in blocks:
            x = block(x)
        result: Tensor = norm(convolution(x))
        return result

    def last_activation(self, x: Tensor) -> Tensor:
        return F.relu6(x)


ARCHITECTURES = (Architecture("mobilenet_v2", MobileNetV2, classifier="classifier.1"),)
