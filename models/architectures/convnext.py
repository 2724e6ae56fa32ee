"""ConvNeXt with timm's tensor names, with its own stem and with the convolutional one of Singh et al."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpointing import CheckpointedBlocks
from ..network import ClassifierNetwork, whole_strides
from ..state_dict import Shapes
from ._entry import NO_MEAN, NO_STD, Architecture, ArchitectureError, count_blocks, read_integers
from ._tokens import EPSILON, Mlp

STRIDE = 32


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of `[B, C, H, W]`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """A 7x7 depthwise convolution, then two layers on each position; scaled and added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.conv_dw(x).movedim(1, -1))) * self.gamma
        result: Tensor = x + y.movedim(-1, 1)
        return result


class Stage(nn.Module):
    """Blocks of one width, which may halve the size before them."""

    def __init__(self, channels: int, width: int, depth: int, halve: bool) -> None:
        super().__init__()
        halved = [ChannelNorm(channels, EPSILON), nn.Conv2d(channels, width, 2, 2)] if halve else []
        self.downsample = nn.Sequential(*halved)
        self.blocks = CheckpointedBlocks(*(Block(width) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(self.downsample(x))
        return result


def stages(widths: tuple[int, ...], depths: tuple[int, ...]) -> nn.Sequential:
    """The stages of so many channels and so many blocks, in a row."""
    channels = (widths[0], *widths[:-1])
    numbered = enumerate(zip(channels, widths, depths, strict=True))
    return nn.Sequential(*(Stage(before, width, depth, index > 0) for index, (before, width, depth) in numbered))


def patch_stem(width: int) -> nn.Sequential:
    """ConvNeXt's own stem: patches of 4 x 4 pixels."""
    return nn.Sequential(nn.Conv2d(3, width, 4, 4), ChannelNorm(width, EPSILON))


class ConvStem(nn.Module):
    """3x3 convolutions, of which the first two halve the size (Singh et al., arXiv 2303.01870, appendix B)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (channels, width) in enumerate(zip((3, *widths), widths, strict=False)):
            stride = 2 if index < 2 else 1
            layers += [nn.Conv2d(channels, width, 3, stride, 1), ChannelNorm(width, EPSILON), nn.GELU()]
        self.stem = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.stem(x)
        return result


class ConvNeXt(ClassifierNetwork):
    """ConvNeXt (Liu et al., arXiv 2201.03545).

    Its features are the last stage's maps `[B, widths[-1], h, w]`. It has no last activation: a feature that
    is small has a gradient as it is, and the fake ReLU changes nothing. The pre-logits are the pooled features, scaled
    to one length by a norm, so that they say which features are large beside the others. Sides that are no multiple
    of 32 are resized to the nearest one.
    """

    def __init__(self, classes: int, widths: tuple[int, ...], depths: tuple[int, ...], stem: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = ConvStem(stem) if stem else patch_stem(widths[0])
        self.stages = stages(widths, depths)
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(widths[-1], EPSILON), "fc": nn.Linear(widths[-1], classes)})

    def get_classifier(self) -> nn.Linear:
        return self.head["fc"]  # type: ignore[return-value]

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        result: Tensor = self.stages(self.stem(whole_strides(x, STRIDE)))
        return result

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        norm, classifier = self.head["norm"], self.get_classifier()
        pooled: Tensor = norm(features.mean((2, 3))).to(classifier.weight.dtype)
        return pooled if pre_logits else classifier(pooled)


def build_convnext(classes: int, hyperparameters: Mapping[str, Any], conv_stem: bool = False) -> ConvNeXt:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `widths` and `depths` of the stages, and with `conv_stem` the widths of its `stem`.
        conv_stem: whether it has Singh's stem.

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    widths = read_integers(hyperparameters, "widths", 1, 8192)
    depths = read_integers(hyperparameters, "depths", 1, 128)
    stem = read_integers(hyperparameters, "stem", 1, 8192) if conv_stem else ()
    if len(widths) != len(depths):
        raise ArchitectureError(f"{len(widths)} widths but {len(depths)} depths")
    if stem and (len(stem) < 2 or stem[-1] != widths[0]):
        raise ArchitectureError(f"a stem of the widths {list(stem)} does not lead to {widths[0]}")
    return ConvNeXt(classes, widths, depths, stem)


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    stages = count_blocks(shapes, "stages.{}.blocks.0.conv_dw.weight")
    if not stages:
        return None
    widths = [shapes[f"stages.{stage}.blocks.0.conv_dw.weight"][0] for stage in range(stages)]
    depths = [count_blocks(shapes, f"stages.{stage}.blocks.{{}}.conv_dw.weight") for stage in range(stages)]
    return {"widths": widths, "depths": depths}


def _sizes_with_stem(shapes: Shapes) -> dict[str, Any] | None:
    # Each convolution is followed by a norm and an activation.
    found = [shapes[name] for name in (f"stem.stem.{3 * index}.weight" for index in range(8)) if name in shapes]
    sizes = _sizes(shapes)
    return sizes and {**sizes, "stem": [shape[0] for shape in found]}


ARCHITECTURES = (
    Architecture(
        "convnext", build_convnext, configurable=True, infer=_sizes, first="stem.0.weight", classifier="head.fc"
    ),
    Architecture(
        "convnext_convstem",
        partial(build_convnext, conv_stem=True),
        configurable=True,
        infer=_sizes_with_stem,
        first="stem.stem.0.weight",
        classifier="head.fc",
        mean=NO_MEAN,
        std=NO_STD,
    ),
)
