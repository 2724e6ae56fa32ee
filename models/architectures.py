"""From a name and its hyperparameters to a network with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from torch import nn

from .narrow_resnet import Downsampling, NarrowResNet
from .network import ClassifierNetwork

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}
OWN = "narrow_resnet"


class ArchitectureError(ValueError):
    """The description of an architecture names something that does not exist or cannot be built."""


def build_network(architecture: Mapping[str, Any], classes: int) -> ClassifierNetwork:
    """Build a network with random weights.

    Args:
        architecture: `name` and the hyperparameters of that name. `narrow_resnet` takes `widths` and `blocks`
            (lists of equal length), `stem_stride` (1 or 2), `activation` (silu, relu or gelu) and `downsampling` (how
            it halves the size: strided, which is also meant where it is left out, even, or overlapping); torchvision's
            names (`resnet50`) and `cifar_resnet18` to `152` take nothing.
        classes: the number of logits.

    Raises:
        ArchitectureError: an unknown name, or a hyperparameter that is missing or out of range.
    """
    name = architecture.get("name")
    if name != OWN:
        # torchvision takes a second to import, and the bundled classifiers do without.
        from .torchvision_networks import NETWORKS

        if not isinstance(name, str) or name not in NETWORKS:
            raise ArchitectureError(f"unknown architecture {name!r} (known: {', '.join([OWN, *NETWORKS])})")
        return NETWORKS[name](classes)
    widths = _whole_numbers(architecture, "widths", 1, 4096)
    blocks = _whole_numbers(architecture, "blocks", 1, 64)
    if len(widths) != len(blocks):
        raise ArchitectureError(f"{len(widths)} widths but {len(blocks)} blocks")
    stem_stride = architecture.get("stem_stride")
    if stem_stride not in (1, 2):
        raise ArchitectureError(f"stem_stride is {stem_stride!r}, not 1 or 2")
    activation = architecture.get("activation")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ArchitectureError(f"unknown activation {activation!r} (known: {', '.join(ACTIVATIONS)})")
    downsampling = architecture.get("downsampling", "strided")
    if downsampling not in get_args(Downsampling):
        raise ArchitectureError(f"unknown downsampling {downsampling!r} (known: {', '.join(get_args(Downsampling))})")
    return NarrowResNet(classes, widths, blocks, stem_stride, ACTIVATIONS[activation], downsampling)


def _whole_numbers(architecture: Mapping[str, Any], key: str, low: int, high: int) -> tuple[int, ...]:
    values = architecture.get(key)
    if (
        not isinstance(values, (list, tuple))
        or not 1 <= len(values) <= 8
        or not all(isinstance(value, int) and low <= value <= high for value in values)
    ):
        raise ArchitectureError(f"{key} is {values!r}, not a list of 1 to 8 numbers from {low} to {high}")
    return tuple(values)
