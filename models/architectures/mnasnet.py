"""torchvision's MNASNet."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models import mnasnet

from ..network import PooledActivationNetwork
from ._entry import Architecture


class MNASNet(PooledActivationNetwork, mnasnet.MNASNet):  # type: ignore[misc]
    """torchvision's MNASNet."""

    layers: nn.Sequential
    classifier: nn.Sequential

    def get_classifier(self) -> nn.Linear:
        return self.classifier[-1]  # type: ignore[return-value]

    def forward_preactivation(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers[:-1](x)
        return result

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        # torchvision asks for a version, which only a state dict in PyTorch's own files carries.
        super()._load_from_state_dict(state, prefix, {**metadata, "version": self._version}, *rest)


ARCHITECTURES = (Architecture("mnasnet1_0", partial(MNASNet, 1.0), classifier="classifier.1"),)
