"""What torchvision's mobile networks share: the last of their features is a convolution, a norm and an activation."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ..network import PooledActivationNetwork


class ConvNormActivationNetwork(PooledActivationNetwork):
    """A network whose `features` end in torchvision's `Conv2dNormActivation`, before a `classifier`."""

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
