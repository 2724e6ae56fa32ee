"""Swin transformers with timm's tensor names, those before and since its stages begin with the halving."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpointing import CheckpointedBlocks
from ..network import ClassifierNetwork, whole_strides
from ..state_dict import Shapes
from ._entry import Architecture, ArchitectureError, count_blocks, read_integer, read_integers
from ._tokens import Mlp

PATCH_SIZE = 4
STAGES = 4
STRIDE = PATCH_SIZE * 2 ** (STAGES - 1)
EARLIER_HALVING = "layers.0.downsample.reduction.weight"
"""Only where the stages end with the halving, as in the authors' files, is there one in the first."""


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels as tokens in their places, `[B, h, w, width]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_SIZE, PATCH_SIZE)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.proj(x).movedim(1, -1))
        return result


class Halving(nn.Module):
    """Joins each 2 x 2 tokens to one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # [B, h, 2, w, 2, D] -> [B, h, w, 4 * D], the upper token of each column before the lower one.
        joined = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2, 5).flatten(3)
        result: Tensor = self.reduction(self.norm(joined))
        return result


class WindowAttention(nn.Module):
    """Self-attention in square windows that lie side by side, with a bias for each offset in a window.

    Shifted windows begin half a window further up and left. A side that fits into one window is never shifted. Where
    windows reach beyond the tokens there is nothing that could be attended to.
    """

    def __init__(self, width: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = window - window // 2 if shifted else 0
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        top, left = (self.shift if side > self.window else 0 for side in (height, width))
        bottom, right = (-side % self.window for side in (top + height, left + width))
        margins = (left, right, top, bottom)
        # [B, h, w, 3 * D] -> three of [B, windows * heads, N, D / heads]
        windows = self._windows(F.pad(self.qkv(x), (0, 0, *margins))).unflatten(-1, (3, self.heads, -1))
        q, k, v = windows.permute(4, 0, 1, 2, 5, 3, 6).flatten(2, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask(x, margins))
        rows = (top + height + bottom) // self.window
        # [B, windows * heads, N, D / heads] -> [B, h, w, D]
        y = y.unflatten(2, (self.window, self.window)).unflatten(1, (rows, -1, self.heads))
        y = y.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4).flatten(1, 2)
        result: Tensor = self.proj(y[:, top : top + height, left : left + width])
        return result

    def _windows(self, x: Tensor) -> Tensor:
        """Arrange `[B, h, w, D]` as `[B, rows, columns, N, D]`, windows of N tokens."""
        windows = x.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.window))
        result: Tensor = windows.transpose(2, 3).flatten(3, 4)
        return result

    def _mask(self, x: Tensor, margins: tuple[int, ...]) -> Tensor:
        """What is added to the attention, `[windows * heads, N, N]`: the bias, and -inf for what is no token."""
        places = torch.arange(self.window, device=x.device)
        offsets = places[:, None] - places + self.window - 1
        table = self.relative_position_bias_table.unflatten(0, (2 * self.window - 1, -1))
        # [rows, columns, rows, columns, heads] -> [heads, N, N]
        bias = table[offsets[:, None, :, None], offsets[:, None]].flatten(2, 3).flatten(0, 1).permute(2, 0, 1)
        tokens = F.pad(x.new_ones(1, *x.shape[1:3], 1), (0, 0, *margins))
        nothing = self._windows(tokens).flatten(0, 2)[:, None, None, :, 0] == 0
        mask: Tensor = bias.masked_fill(nothing, -math.inf).flatten(0, 1)
        return mask


class Block(nn.Module):
    """Attention in windows and an MLP, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, shifted)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def stages(width: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, ends: bool) -> nn.Sequential:
    """Stages of blocks, each of twice the width of the one before; `ends`: whether they end with the halving."""
    parts: list[OrderedDict[str, nn.Module]] = []
    for index, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        blocks = (Block(width * 2**index, count, window, bool(number % 2)) for number in range(depth))
        parts.append(OrderedDict(blocks=CheckpointedBlocks(*blocks)))
    for index in range(len(parts) - 1):
        owner = parts[index if ends else index + 1]
        owner["downsample"] = Halving(width * 2**index)
        owner.move_to_end("downsample", last=ends)
    return nn.Sequential(*(nn.Sequential(part) for part in parts))


class Swin(ClassifierNetwork):
    """The Swin transformer (Liu et al., arXiv 2103.14030).

    Its features are the normalised tokens of the last stage as maps `[B, 8 * width, h, w]`, whose mean is the
    pre-logits. There is no last activation: every feature has a gradient, and the fake ReLU changes nothing. Sides
    that are no multiple of 32 are resized to the nearest one. At other sizes than its own the windows keep theirs;
    where they reach beyond the tokens they end there, as shifted windows always do at an image's edge. (timm has empty
    tokens there, which take part in the attention.)
    """

    def __init__(
        self,
        classes: int,
        width: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        image_size: int,
        halving_ends: bool,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        self.layers = stages(width, depths, heads, image_size // STRIDE, halving_ends)
        features = width * 2 ** (len(depths) - 1)
        self.norm = nn.LayerNorm(features)
        self.head = nn.ModuleDict({"fc": nn.Linear(features, classes)})

    def get_classifier(self) -> nn.Linear:
        return self.head["fc"]  # type: ignore[return-value]

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        tokens: Tensor = self.norm(self.layers(self.patch_embed(whole_strides(x, STRIDE))))
        return tokens.movedim(-1, 1)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        classifier = self.get_classifier()
        pooled = features.mean((2, 3), dtype=classifier.weight.dtype)
        logits: Tensor = pooled if pre_logits else classifier(pooled)
        return logits


def build_swin(classes: int, hyperparameters: Mapping[str, Any]) -> Swin:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `width` of the first stage, `depths` and `heads` of the four stages, `image_size` (height and
            width, in pixels, at which the last stage is one window), and `halving_ends` (whether the tensors are named
            as in the authors' files, whose stages end with the halving; in timm's the next ones begin with it).

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    width = read_integer(hyperparameters, "width", 1, 1024)
    depths, heads = (read_integers(hyperparameters, key, 1, 128) for key in ("depths", "heads"))
    image_size = read_integer(hyperparameters, "image_size", STRIDE, 4096)
    halving_ends = hyperparameters.get("halving_ends")
    if not isinstance(halving_ends, bool):
        raise ArchitectureError(f"halving_ends is {halving_ends!r}, not true or false")
    if not len(depths) == len(heads) == STAGES or image_size % STRIDE:
        raise ArchitectureError(f"there must be {STAGES} depths and heads, and {STRIDE} must divide the image_size")
    if any(width * 2**index % count for index, count in enumerate(heads)):
        raise ArchitectureError(f"the heads {list(heads)} do not divide the widths")
    return Swin(classes, width, depths, heads, image_size, halving_ends)


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    tables = [f"layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in range(STAGES)]
    if "patch_embed.proj.weight" not in shapes or any(table not in shapes for table in tables):
        return None
    return {
        "width": shapes["patch_embed.proj.weight"][0],
        "depths": [count_blocks(shapes, f"layers.{stage}.blocks.{{}}.attn.qkv.weight") for stage in range(STAGES)],
        "heads": [shapes[table][1] for table in tables],
        "image_size": (math.isqrt(shapes[tables[0]][0]) + 1) // 2 * STRIDE,
        "halving_ends": EARLIER_HALVING in shapes,
    }


ARCHITECTURES = (
    Architecture(
        "swin",
        build_swin,
        configurable=True,
        infer=_sizes,
        first="patch_embed.proj.weight",
        classifier="head.fc",
        # The masks of shifted windows follow from the size. Before timm's pooling head the last layer was `head`.
        renames={r"^layers\..*\.attn_mask$": "masks", r"^head\.(?=weight$|bias$)": "head.fc."},
    ),
)
