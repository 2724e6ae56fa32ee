"""ResNeSt-50 with timm's tensor names (`resnest50d`)."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from ._entry import Architecture
from .resnet import ResNet

SPLITS = 2
STEM = 32


class SplitAttention(nn.Module):
    """A 3x3 convolution in two halves, of which each channel takes the shares that the means of all say.

    Where it has a stride, it averages over 3 x 3 positions at last.
    """

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        hidden = max(width // 2, 32)
        self.conv = nn.Conv2d(width, SPLITS * width, 3, padding=1, groups=SPLITS, bias=False)
        self.bn0 = nn.BatchNorm2d(SPLITS * width)
        self.act0 = nn.ReLU()
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.act1 = nn.ReLU()
        self.fc2 = nn.Conv2d(hidden, SPLITS * width, 1)
        self.pool = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        halves = self.act0(self.bn0(self.conv(x))).unflatten(1, (SPLITS, -1))
        means = halves.sum(1).mean((2, 3), keepdim=True)
        shares = self.fc2(self.act1(self.bn1(self.fc1(means)))).unflatten(1, (SPLITS, -1)).softmax(1)
        result: Tensor = self.pool((halves * shares).sum(1))
        return result


class SplitBottleneck(Bottleneck):  # type: ignore[misc]
    """torchvision's block with split attention in its middle, whose shortcuts average where it has a stride."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Sequential | None = None,
        *others: Any,
        **options: Any,
    ) -> None:
        super().__init__(inplanes, planes, 1, downsample, *others, **options)
        self.conv2 = SplitAttention(planes, stride)
        self.bn2 = nn.Identity()
        if downsample is not None:
            norm = downsample[1]
            convolution = nn.Conv2d(inplanes, self.conv3.out_channels, 1, bias=False)
            pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, convolution, norm)


class ResNeSt(ResNet):
    """ResNeSt (Zhang et al., arXiv 2004.08955) of two splits, with a stem of three convolutions."""

    def __init__(self, layers: list[int], num_classes: int) -> None:
        super().__init__(SplitBottleneck, layers, num_classes)
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
            nn.Conv2d(STEM, STEM, 3, 1, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
            nn.Conv2d(STEM, 2 * STEM, 3, 1, 1, bias=False),
        )


ARCHITECTURES = (Architecture("resnest50d", partial(ResNeSt, [3, 4, 6, 3])),)
