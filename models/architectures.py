"""From a name and its hyperparameters to a network with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


class ArchitectureError(ValueError):
    """The description of an architecture names something that does not exist or cannot be built."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; a strided shortcut averages, which leaves no checkerboard."""

    def __init__(self, channels: int, width: int, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.activation = activation()
        # ceil_mode keeps the shortcut as large as the strided convolution when a side is odd.
        self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity()
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            if stride == 2 or channels != width
            else nn.Identity()
        )

    def forward(self, x: Tensor, pass_through: bool = False) -> Tensor:
        y = self.activation(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.downsample(self.pool(x))
        result: Tensor = self.activation(y)
        # The activation's value with the gradient of the identity.
        return y + (result - y).detach() if pass_through else result


class NarrowResNet(nn.Module):
    """A small residual network for small pictures: 3x3 stem, no max-pool, one stage per width.

    Tensor names are those of torchvision's ResNet. Input `[B, 3, H, W]`, any H and W; output `[B, classes]`.
    """

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        stem_stride: int,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.activation = activation()
        self.stages: list[str] = []
        channels = widths[0]
        for index, (width, depth) in enumerate(zip(widths, blocks, strict=True), start=1):
            stage = nn.Sequential()
            for block in range(depth):
                stride = 2 if index > 1 and block == 0 else 1
                stage.append(BasicBlock(channels, width, stride, activation))
                channels = width
            self.stages.append(f"layer{index}")
            self.add_module(f"layer{index}", stage)
        self.fc = nn.Linear(channels, classes)

    def feature_maps(self, x: Tensor, pass_through: bool = False) -> Tensor:
        """The last activation, `[B, widths[-1], h, w]`.

        Args:
            x: `[B, 3, H, W]`, normalised.
            pass_through: let gradients pass the very last activation unchanged, so that a feature that is switched
                off can be climbed as well (the "fake ReLU" of arXiv 1906.09453's code). The values are the same.
        """
        x = self.activation(self.bn1(self.conv1(x)))
        *blocks, last = [block for stage in self.stages for block in self.get_submodule(stage).children()]
        for block in blocks:
            x = block(x)
        maps: Tensor = last(x, pass_through)
        return maps

    def features(self, x: Tensor, pass_through: bool = False) -> Tensor:
        """The pooled last activation, `[B, widths[-1]]`; see `feature_maps`."""
        return self.feature_maps(x, pass_through).mean((2, 3))

    def forward(self, x: Tensor, pass_through: bool = False) -> Tensor:
        logits: Tensor = self.fc(self.features(x, pass_through))
        return logits


def build_network(architecture: Mapping[str, Any], classes: int) -> NarrowResNet:
    """Build a network with random weights.

    Args:
        architecture: `name` and the hyperparameters of that name. `narrow_resnet` takes `widths` and `blocks`
            (lists of equal length), `stem_stride` (1 or 2) and `activation` (silu, relu or gelu).
        classes: the number of logits.

    Raises:
        ArchitectureError: an unknown name, or a hyperparameter that is missing or out of range.
    """
    name = architecture.get("name")
    if name != "narrow_resnet":
        raise ArchitectureError(f"unknown architecture {name!r} (known: narrow_resnet)")
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
    return NarrowResNet(classes, widths, blocks, stem_stride, ACTIVATIONS[activation])


def _whole_numbers(architecture: Mapping[str, Any], key: str, low: int, high: int) -> tuple[int, ...]:
    values = architecture.get(key)
    if (
        not isinstance(values, (list, tuple))
        or not 1 <= len(values) <= 8
        or not all(isinstance(value, int) and low <= value <= high for value in values)
    ):
        raise ArchitectureError(f"{key} is {values!r}, not a list of 1 to 8 numbers from {low} to {high}")
    return tuple(values)
