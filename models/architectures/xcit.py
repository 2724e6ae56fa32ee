"""XCiT with timm's tensor names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network import whole_strides
from ..state_dict import Shapes
from ._entry import NO_MEAN, NO_STD, Architecture, ArchitectureError, count_blocks, read_integer
from ._tokens import EPSILON, Mlp, TokenNetwork, as_maps

FREQUENCIES = 32
TEMPERATURE = 10000.0
CLASS_BLOCKS = 2
NANO = 128
"""The width of the one size whose class attention leaves the patches without a norm."""


class PatchEmbed(nn.Module):
    """Convolutions of stride 2, four for patches of 16 pixels and three for 8."""

    def __init__(self, width: int, strides: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for index in range(strides):
            wide = width // 2 ** (strides - 1 - index)
            layers += [
                nn.Sequential(nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide)),
                nn.GELU(),
            ]
            channels = wide
        self.proj = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.proj(x)
        return result


class PositionalEncoding(nn.Module):
    """Sines and cosines of each position, projected to the width of the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * FREQUENCIES, width, 1)

    def forward(self, height: int, width: int) -> Tensor:
        """Return `[1, width, h, w]` for a grid of this height and width."""
        weight = self.token_projection.weight
        exponents = torch.arange(FREQUENCIES // 2, device=weight.device) * 2 / FREQUENCIES
        sides = []
        for side in (height, width):
            angles = torch.arange(1, side + 1, device=weight.device)[:, None] * (2 * math.pi / (side + 1e-6))
            angles = angles / TEMPERATURE**exponents
            sides.append(torch.stack([angles.sin(), angles.cos()], 2).flatten(1).mT)
        rows, columns = sides[0][:, :, None].expand(-1, -1, width), sides[1][:, None].expand(-1, height, -1)
        result: Tensor = self.token_projection(torch.cat([rows, columns])[None].to(weight))
        return result


class CrossCovarianceAttention(nn.Module):
    """Attention of the channels to each other, over all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        # [B, N, 3 * D] -> three of [B, heads, D / heads, N]
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 4, 1).unbind(0)
        attention = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT) * self.temperature
        y = (attention.softmax(-1) @ v).flatten(1, 2).mT
        result: Tensor = self.proj(y)
        return result


class LocalPatchInteraction(nn.Module):
    """Two depthwise convolutions over the tokens in their places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.act = nn.GELU()
        self.bn = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        maps = tokens.mT.unflatten(2, (height, width))
        result: Tensor = self.conv2(self.bn(self.act(self.conv1(maps)))).flatten(2).mT
        return result


class Block(nn.Module):
    """Cross-covariance attention, local interaction and an MLP, each behind a norm, scaled, beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = CrossCovarianceAttention(width, heads)
        self.norm3 = nn.LayerNorm(width, EPSILON)
        self.local_mp = LocalPatchInteraction(width)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width)
        self.gamma1 = nn.Parameter(torch.ones(width))
        self.gamma3 = nn.Parameter(torch.ones(width))
        self.gamma2 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        x = x + self.gamma1 * self.attn(self.norm1(x))
        x = x + self.gamma3 * self.local_mp(self.norm3(x), *grid)
        result: Tensor = x + self.gamma2 * self.mlp(self.norm2(x))
        return result


class ClassAttention(nn.Module):
    """Attention of the class token to all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = (self.q(x[:, :1]), self.k(x), self.v(x))
        q, k, v = (token.unflatten(2, (self.heads, -1)).transpose(1, 2) for token in tokens)
        result: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return result


class ClassBlock(nn.Module):
    """Class attention and an MLP of the class token (Touvron et al., arXiv 2103.17239)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = ClassAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width)
        self.gamma1 = nn.Parameter(torch.ones(width))
        self.gamma2 = nn.Parameter(torch.ones(width))
        self.norms_patches = width != NANO

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.gamma1 * torch.cat([self.attn(y), y[:, 1:]], 1)
        token, patches = self.norm2(x[:, :1]), self.norm2(x[:, 1:]) if self.norms_patches else x[:, 1:]
        # Patches are added to themselves, as in the authors' code.
        return torch.cat([token + self.gamma2 * self.mlp(token), 2 * patches], 1)


class XCiT(TokenNetwork):
    """XCiT (El-Nouby et al., arXiv 2106.09681).

    Sides that are no multiple of the patch size are resized to the nearest one.
    """

    def __init__(self, classes: int, width: int, depth: int, heads: int, strides: int) -> None:
        super().__init__()
        self.patch_size = 2**strides
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.patch_embed = PatchEmbed(width, strides)
        self.pos_embed = PositionalEncoding(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.cls_attn_blocks = nn.Sequential(*(ClassBlock(width, heads) for _ in range(CLASS_BLOCKS)))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.head = nn.Linear(width, classes)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        patches = self.patch_embed(whole_strides(x, self.patch_size))
        height, width = patches.shape[2:]
        tokens = (patches + self.pos_embed(height, width)).flatten(2).mT
        for block in self.blocks:
            tokens = block(tokens, (height, width))
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1)
        return as_maps(self.norm(self.cls_attn_blocks(tokens)), height, width)


def build_xcit(classes: int, hyperparameters: Mapping[str, Any]) -> XCiT:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `width`, `depth`, `heads`, and `strides` (convolutions of stride 2 before the first block).

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    limits = {"width": 8192, "depth": 128, "heads": 256, "strides": 5}
    sizes = {key: read_integer(hyperparameters, key, 1, high) for key, high in limits.items()}
    if sizes["width"] % sizes["heads"] or sizes["width"] % 2 ** (sizes["strides"] - 1):
        raise ArchitectureError("heads and strides must divide the width")
    return XCiT(classes, **sizes)


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    depth = count_blocks(shapes, "blocks.{}.attn.temperature")
    token = shapes.get("cls_token", ())
    if not depth or len(token) != 3:
        return None
    # Activations stand between the convolutions.
    strides = sum(f"patch_embed.proj.{2 * index}.0.weight" in shapes for index in range(6))
    return {"width": token[2], "depth": depth, "heads": shapes["blocks.0.attn.temperature"][0], "strides": strides}


ARCHITECTURES = (
    # The public robust ones were trained on images in [0, 1].
    Architecture(
        "xcit",
        build_xcit,
        configurable=True,
        infer=_sizes,
        first="cls_token",
        classifier="head",
        mean=NO_MEAN,
        std=NO_STD,
    ),
)
