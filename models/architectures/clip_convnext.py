"""The ConvNeXt tower of open_clip: timm's trunk without its classifier, and a linear projection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpointing import CheckpointedBlocks
from ._clip import CLIP_MEAN, CLIP_STD, ClipTower, layer_norm, read_integer, text_layer, whole_strides
from ._entry import Architecture, ArchitectureError

EPSILON = 1e-6
"""Of all norms, as in timm."""
STRIDE = 32


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of `[B, C, H, W]`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """ConvNeXt's block (Liu et al., arXiv 2201.03545), with timm's tensor names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        layers = {"fc1": nn.Linear(width, 4 * width), "act": nn.GELU(), "fc2": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.conv_dw(x).movedim(1, -1))) * self.gamma
        result: Tensor = x + y.movedim(-1, 1)
        return result


class Stage(nn.Module):
    """Blocks of one width, behind a convolution that halves the size; the first stage has no `channels` and none."""

    def __init__(self, channels: int | None, width: int, depth: int) -> None:
        super().__init__()
        halving = [] if channels is None else [ChannelNorm(channels, EPSILON), nn.Conv2d(channels, width, 2, 2)]
        self.downsample = nn.Sequential(*halving)
        self.blocks = CheckpointedBlocks(*(Block(width) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(self.downsample(x))
        return result


class Trunk(nn.Module):
    """Stem, stages, and the norm that is applied after pooling."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], EPSILON))
        channels = (None, *widths[:-1])
        self.stages = nn.Sequential(*map(Stage, channels, widths, depths))
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(widths[-1], EPSILON)})

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.stages(self.stem(x))
        return result


class ClipConvNeXt(ClipTower):
    """open_clip's `convnext_*_w` image tower. Its features are the last stage's maps `[B, width, h, w]`."""

    def __init__(self, classes: int, widths: tuple[int, ...], depths: tuple[int, ...], embed_dim: int) -> None:
        super().__init__()
        self.trunk = Trunk(widths, depths)
        self.head = nn.ModuleDict({"proj": nn.Linear(widths[-1], embed_dim, bias=False)})
        self.classes = text_layer(embed_dim, classes)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        result: Tensor = self.trunk(whole_strides(x, STRIDE))
        return result

    def embed_image(self, features: Tensor) -> Tensor:
        return self._embed(features.mean((2, 3), dtype=self.classes.weight.dtype))

    def embed_positions(self, features: Tensor) -> Tensor:
        return self._embed(features.movedim(1, -1)).movedim(-1, 1)

    def _embed(self, features: Tensor) -> Tensor:
        norm, proj = self.trunk.head["norm"], self.head["proj"]
        assert isinstance(norm, nn.LayerNorm)
        assert isinstance(proj, nn.Linear)
        dtype = self.classes.weight.dtype
        return layer_norm(features, norm, dtype) @ proj.weight.mT.to(dtype)


def build_clip_convnext(classes: int, hyperparameters: Mapping[str, Any]) -> ClipConvNeXt:
    """Build the network with random weights.

    Args:
        classes: the number of texts; 0: none yet.
        hyperparameters: `widths` and `depths` (lists of four numbers) and `embed_dim`.

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    lists = []
    for key, high in (("widths", 4096), ("depths", 128)):
        values = hyperparameters.get(key)
        if (
            not isinstance(values, (list, tuple))
            or len(values) != 4
            or not all(type(value) is int and 1 <= value <= high for value in values)
        ):
            raise ArchitectureError(f"{key} is {values!r}, not a list of 4 numbers from 1 to {high}")
        lists.append(tuple(values))
    widths, depths = lists
    return ClipConvNeXt(classes, widths, depths, read_integer(hyperparameters, "embed_dim", 1, 8192))


ARCHITECTURES = (
    Architecture(
        "clip_convnext",
        build_clip_convnext,
        configurable=True,
        classifier="classes",
        input_size=256,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        takes_texts=True,
    ),
)
