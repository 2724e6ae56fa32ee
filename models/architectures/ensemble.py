"""Two networks of the same classes as one: its logits are a weighted mean of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network import PooledActivationNetwork, PooledNetwork
from ._entry import Architecture, ArchitectureError

MEMBERS = 2


class Ensemble(PooledNetwork):
    """Networks beside each other; their features are joined, and one last layer reads all of them."""

    scale: Tensor
    shift: Tensor

    def __init__(self, members: Sequence[PooledActivationNetwork], classes: int) -> None:
        """Join networks.

        Args:
            members: they end in average pooling and a linear layer.
            classes: the number of logits.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        # From images as the first one expects them to the normalisation of each.
        self.register_buffer("scale", torch.ones(len(members), 3))
        self.register_buffer("shift", torch.zeros(len(members), 3))
        self.fc = nn.Linear(sum(member.get_classifier().in_features for member in members), classes)

    def get_classifier(self) -> nn.Linear:
        return self.fc

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        factors = zip(self.scale.to(x.dtype), self.shift.to(x.dtype), strict=True)
        inputs = [x * scale.view(3, 1, 1) + shift.view(3, 1, 1) for scale, shift in factors]
        maps = [member.forward_features(own, fake_relu) for member, own in zip(self.members, inputs, strict=True)]  # type: ignore[operator]
        size = (max(each.shape[2] for each in maps), max(each.shape[3] for each in maps))
        return torch.cat([_enlarged(each, size) for each in maps], 1)


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at another size, with the same mean, which is what the last layer reads."""
    if maps.shape[2:] == size:
        return maps
    larger = F.interpolate(maps, size, mode="nearest-exact")
    return larger + (maps.mean((2, 3), keepdim=True) - larger.mean((2, 3), keepdim=True))


def _build(classes: int, hyperparameters: Mapping[str, Any]) -> Ensemble:
    from . import build_network

    described = hyperparameters.get("members")
    if not isinstance(described, (list, tuple)) or len(described) != MEMBERS:
        raise ArchitectureError(f"members is {described!r}, not a list of {MEMBERS} networks")
    members = []
    for each in described:
        if not isinstance(each, Mapping) or each.get("name") == "ensemble":
            raise ArchitectureError(f"a member is {each!r}, not the description of a network")
        member = build_network(each, classes)
        if not isinstance(member, PooledActivationNetwork):
            raise ArchitectureError(f"{each['name']} does not end in average pooling and a linear layer")
        members.append(member)
    return Ensemble(members, classes)


ARCHITECTURES = (Architecture("ensemble", _build, configurable=True),)
