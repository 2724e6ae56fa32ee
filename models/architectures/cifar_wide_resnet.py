"""Wide ResNets for 32 x 32 pixels: as most robust training code has them, and as DeepMind has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..network import PooledActivationNetwork
from ..state_dict import Shapes
from ._entry import IMAGENET_LABELS, Architecture, ArchitectureError, count_blocks, read_integer, read_integers

LABEL_LISTS = IMAGENET_LABELS | {10: "cifar10", 100: "cifar100"}
DEEPMIND_RENAMES = {
    # A file of the other layout is no DeepMind's.
    r"^(conv1|block\d)\.": r"other.\1.",
    r"^init_conv\.": "conv1.",
    r"^layer\.0\.": "block1.",
    r"^layer\.1\.": "block2.",
    r"^layer\.2\.": "block3.",
    r"^(block\d)\.block\.": r"\1.layer.",
    r"\.batchnorm_0\.": ".bn1.",
    r"\.batchnorm_1\.": ".bn2.",
    r"\.conv_0\.": ".conv1.",
    r"\.conv_1\.": ".conv2.",
    r"\.shortcut\.": ".convShortcut.",
    r"^batchnorm\.": "bn1.",
    r"^logits\.": "fc.",
}
"""DeepMind's names -> those of the others."""


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 padded as TensorFlow's SAME: below and to the right of an even side only."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        height, width = input.shape[2:]
        return super().forward(F.pad(input, (width % 2, 1, height % 2, 1)))


class Block(nn.Module):
    """Two convolutions, each behind a norm and an activation, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, activation: type[nn.Module], same: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.activation1 = activation()
        if same and stride == 2:
            self.conv1: nn.Conv2d = SameConv2d(channels, width, 3, 2, 0, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.activation2 = activation()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        if channels != width:
            self.convShortcut = nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation1(self.bn1(x))
        # A shortcut with a convolution begins behind the first activation.
        shortcut = self.convShortcut(y) if hasattr(self, "convShortcut") else x
        result: Tensor = shortcut + self.conv2(self.activation2(self.bn2(self.conv1(y))))
        return result


class Stage(nn.Module):
    """Only there for the name of its blocks."""

    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)
        return result


class CifarWideResNet(PooledActivationNetwork):
    """A Wide ResNet for small images (Zagoruyko and Komodakis, arXiv 1605.07146): pre-activation, three stages."""

    def __init__(
        self,
        classes: int,
        stem: int,
        widths: tuple[int, ...],
        depth: int,
        activation: type[nn.Module],
        same: bool,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        for index, (channels, width) in enumerate(zip((stem, *widths), widths, strict=False), start=1):
            stride = 1 if index == 1 else 2
            blocks = [Block(channels, width, stride, activation, same)]
            blocks += [Block(width, width, 1, activation, same) for _ in range(depth - 1)]
            self.add_module(f"block{index}", Stage(*blocks))
        self.bn1 = nn.BatchNorm2d(widths[-1])
        self.activation = activation()
        self.fc = nn.Linear(widths[-1], classes)

    def get_classifier(self) -> nn.Linear:
        return self.fc

    def forward_preactivation(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for stage in ("block1", "block2", "block3"):
            x = self.get_submodule(stage)(x)
        result: Tensor = self.bn1(x)
        return result

    def last_activation(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(x)
        return result


def build_cifar_wide_resnet(
    classes: int, hyperparameters: Mapping[str, Any], activation: type[nn.Module] = nn.ReLU, same: bool = False
) -> CifarWideResNet:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `stem` (width of the first convolution), `widths` of the three stages, `depth` (blocks in
            each).
        activation: without arguments.
        same: whether convolutions of stride 2 are padded as in TensorFlow.

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    widths = read_integers(hyperparameters, "widths", 1, 8192)
    stem, depth = (read_integer(hyperparameters, key, 1, high) for key, high in (("stem", 8192), ("depth", 128)))
    # Where a stage halves the size, its first block needs a shortcut of its own, which only another width gives it.
    if len(widths) != 3 or widths[0] == widths[1] or widths[1] == widths[2]:
        raise ArchitectureError(f"widths is {list(widths)}, not three that differ")
    return CifarWideResNet(classes, stem, widths, depth, activation, same)


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    widths = [shapes.get(f"block{stage}.layer.0.conv1.weight", (0,))[0] for stage in (1, 2, 3)]
    stem, depth = shapes.get("conv1.weight", (0,))[0], count_blocks(shapes, "block1.layer.{}.conv1.weight")
    return {"stem": stem, "widths": widths, "depth": depth} if depth else None


_wide = partial(
    Architecture, configurable=True, infer=_sizes, first="conv1.weight", input_size=32, label_lists=LABEL_LISTS
)

ARCHITECTURES = (
    _wide(
        "cifar_wide_resnet",
        build_cifar_wide_resnet,
        mean=(0.4914, 0.48216, 0.44653),
        std=(0.24703, 0.24349, 0.26159),
    ),
    _wide(
        "deepmind_wide_resnet",
        partial(build_cifar_wide_resnet, activation=nn.SiLU, same=True),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2471, 0.2435, 0.2616),
        other_statistics={100: ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))},
        renames=DEEPMIND_RENAMES,
    ),
)
