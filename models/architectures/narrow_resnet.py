"""A small residual network for small images: that of most bundled classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from ..network import PooledActivationNetwork
from ._entry import Architecture, ArchitectureError, read_integers

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}
Downsampling = Literal["strided", "even", "overlapping"]
"""How a block halves the size.

- strided: a 3x3 convolution of stride 2, and average pooling of 2x2 pixels in the shortcut. The windows cover a pixel
  once, twice or four times, which leaves a grid in the gradient.
- even: a 4x4 convolution, whose windows cover every pixel four times (Odena et al., Deconvolution and Checkerboard
  Artifacts, Distill 2016). The gradient of the pooling still is constant in blocks of 2x2 pixels.
- overlapping: as even, with pooling windows that overlap, which smooths those blocks.
"""


class EvenConv2d(nn.Conv2d):
    """A 4x4 convolution of stride 2 that covers every pixel equally often; an odd side is rounded up."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 4, 2, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        missing = (0, input.shape[-1] % 2, 0, input.shape[-2] % 2)
        # F.pad copies even where it adds nothing.
        return super().forward(F.pad(input, missing) if any(missing) else input)


def _convolution(channels: int, width: int, stride: int, even: bool) -> nn.Conv2d:
    if even and stride == 2:
        return EvenConv2d(channels, width)
    return nn.Conv2d(channels, width, 3, stride, 1, bias=False)


def _pool(overlapping: bool) -> nn.Module:
    # ceil_mode rounds an odd side up, as the convolutions do.
    pool = nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), pool) if overlapping else pool


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, which uses average pooling where the block halves the size."""

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        activation: Callable[[], nn.Module],
        downsampling: Downsampling,
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, stride, downsampling != "strided")
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.activation = activation()
        self.pool = _pool(downsampling == "overlapping") if stride == 2 else nn.Identity()
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            if stride == 2 or channels != width
            else nn.Identity()
        )

    def forward_preactivation(self, x: Tensor) -> Tensor:
        y = self.activation(self.bn1(self.conv1(x)))
        result: Tensor = self.bn2(self.conv2(y)) + self.downsample(self.pool(x))
        return result

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(self.forward_preactivation(x))
        return result


class NarrowResNet(PooledActivationNetwork):
    """A residual network with a small stem, no max-pool, and one stage for each width.

    Tensor names are those of torchvision's ResNet.
    """

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        stem_stride: int,
        activation: Callable[[], nn.Module],
        downsampling: Downsampling,
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(3, widths[0], stem_stride, downsampling != "strided")
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.activation = activation()
        self.stages: list[str] = []
        channels = widths[0]
        for index, (width, depth) in enumerate(zip(widths, blocks, strict=True), start=1):
            stage = nn.Sequential()
            for block in range(depth):
                stride = 2 if index > 1 and block == 0 else 1
                stage.append(BasicBlock(channels, width, stride, activation, downsampling))
                channels = width
            self.stages.append(f"layer{index}")
            self.add_module(f"layer{index}", stage)
        self.fc = nn.Linear(channels, classes)

    def get_classifier(self) -> nn.Linear:
        return self.fc

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(x)))
        *blocks, last = [block for stage in self.stages for block in self.get_submodule(stage).children()]
        for block in blocks:
            x = block(x)
        assert isinstance(last, BasicBlock)
        return last.forward_preactivation(x)

    def last_activation(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(x)
        return result


def build_narrow_resnet(classes: int, hyperparameters: Mapping[str, Any]) -> NarrowResNet:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `widths` and `blocks` (lists of equal length), `stem_stride` (1 or 2), `activation` (silu,
            relu or gelu) and `downsampling` (see `Downsampling`; strided where it is left out).

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    widths = read_integers(hyperparameters, "widths", 1, 4096)
    blocks = read_integers(hyperparameters, "blocks", 1, 64)
    if len(widths) != len(blocks):
        raise ArchitectureError(f"{len(widths)} widths but {len(blocks)} blocks")
    stem_stride = hyperparameters.get("stem_stride")
    # `true` in a header equals 1, and is no stride for torch.
    if isinstance(stem_stride, bool) or stem_stride not in (1, 2):
        raise ArchitectureError(f"stem_stride is {stem_stride!r}, not 1 or 2")
    activation = hyperparameters.get("activation")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ArchitectureError(f"unknown activation {activation!r} (known: {', '.join(ACTIVATIONS)})")
    downsampling = hyperparameters.get("downsampling", "strided")
    if downsampling not in get_args(Downsampling):
        raise ArchitectureError(f"unknown downsampling {downsampling!r} (known: {', '.join(get_args(Downsampling))})")
    return NarrowResNet(classes, widths, blocks, stem_stride, ACTIVATIONS[activation], downsampling)


ARCHITECTURES = (Architecture("narrow_resnet", build_narrow_resnet, configurable=True),)
