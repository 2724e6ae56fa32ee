"""The network of the bundled classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .network import ClassifierNetwork

Downsampling = Literal["strided", "even", "overlapping"]
"""How a block halves the size: by a 3x3 convolution of stride 2 or by a 4x4 one, beside averages of 2x2 pixels; or by a
4x4 one beside averages that overlap.

3x3 windows of stride 2 cover a pixel once, twice or four times, and so does the gradient weigh it: a grid. 4x4 windows
cover every pixel four times (Odena et al., Deconvolution and Checkerboard Artifacts, Distill 2016). Averages of 2x2
pixels cover each once, and their gradient is a block; where they overlap, blocks melt into each other.
"""


class EvenConv2d(nn.Conv2d):
    """A 4x4 convolution of stride 2, of which every pixel is covered as often; an odd side is rounded up."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 4, 2, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        missing = (0, input.shape[-1] % 2, 0, input.shape[-2] % 2)
        # Padding by nothing is a copy.
        return super().forward(F.pad(input, missing) if any(missing) else input)


def _convolution(channels: int, width: int, stride: int, even: bool) -> nn.Conv2d:
    if even and stride == 2:
        return EvenConv2d(channels, width)
    return nn.Conv2d(channels, width, 3, stride, 1, bias=False)


def _pool(overlapping: bool) -> nn.Module:
    # ceil_mode: an odd side is rounded up, as by the convolutions.
    pool = nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), pool) if overlapping else pool


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut; where it halves the size, the shortcut averages."""

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

    def before_activation(self, x: Tensor) -> Tensor:
        y = self.activation(self.bn1(self.conv1(x)))
        result: Tensor = self.bn2(self.conv2(y)) + self.downsample(self.pool(x))
        return result

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(self.before_activation(x))
        return result


class NarrowResNet(ClassifierNetwork):
    """A small residual network for small pictures: small stem, no max-pool, one stage per width.

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

    @property
    def head(self) -> nn.Linear:
        return self.fc

    def before_last_activation(self, x: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(x)))
        *blocks, last = [block for stage in self.stages for block in self.get_submodule(stage).children()]
        for block in blocks:
            x = block(x)
        assert isinstance(last, BasicBlock)
        return last.before_activation(x)

    def last_activation(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(x)
        return result
