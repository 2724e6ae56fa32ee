"""Vision transformers with timm's tensor names: ViT, DeiT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpointing import CheckpointedBlocks
from ..network import whole_strides
from ..state_dict import Shapes
from ._entry import Architecture, ArchitectureError, count_blocks, read_integer
from ._tokens import EPSILON, Mlp, TokenNetwork, as_maps, head_count, resize_positions

OTHERS = {"norm_pre.weight", "head_dist.weight", "dist_token", "reg_token"}
"""What other transformers have besides."""
LIMITS = {"width": 8192, "depth": 128, "heads": 256, "patch_size": 64, "image_size": 4096}


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        # [B, N, 3 * D] -> three of [B, heads, N, D / heads]
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: Tensor = self.proj(y)
        return result


class Block(nn.Module):
    """Self-attention and an MLP, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class PatchEmbed(nn.Module):
    """Only there for the name of its convolution."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.proj(x)
        return result


class VisionTransformer(TokenNetwork):
    """ViT (Dosovitskiy et al., arXiv 2010.11929).

    Sides that are no multiple of the patch size are resized to the nearest one. At another size than its own its
    position embeddings are resized, bicubic, as timm does.
    """

    def __init__(self, classes: int, width: int, depth: int, heads: int, patch_size: int, image_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.grid = image_size // patch_size
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + self.grid**2, width))
        self.patch_embed = PatchEmbed(width, patch_size)
        self.blocks = CheckpointedBlocks(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.head = nn.Linear(width, classes)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        patches = self.patch_embed(whole_strides(x, self.patch_size))
        height, width = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).mT], 1)
        positions = resize_positions(self.pos_embed[0], self.grid, height, width)
        tokens = self.norm(self.blocks(tokens + positions))
        return as_maps(tokens, height, width)


def build_vit(classes: int, hyperparameters: Mapping[str, Any]) -> VisionTransformer:
    """Build the network with random weights.

    Args:
        classes: the number of logits.
        hyperparameters: `width`, `depth`, `heads`, `patch_size`, and `image_size` (height and width, in pixels, that
            its position embeddings are for).

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    sizes = {key: read_integer(hyperparameters, key, 1, high) for key, high in LIMITS.items()}
    if sizes["width"] % sizes["heads"] or sizes["image_size"] % sizes["patch_size"]:
        raise ArchitectureError("heads must divide the width, and patch_size the image_size")
    return VisionTransformer(classes, **sizes)


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    patches, positions = shapes.get("patch_embed.proj.weight", ()), shapes.get("pos_embed", ())
    if len(patches) != 4 or len(positions) != 3 or shapes.keys() & OTHERS:
        return None
    grid = math.isqrt(max(positions[1] - 1, 0))
    return {
        "width": patches[0],
        "depth": count_blocks(shapes, "blocks.{}.attn.qkv.weight"),
        "heads": head_count(patches[0]),
        "patch_size": patches[2],
        "image_size": grid * patches[2],
    }


ARCHITECTURES = (Architecture("vit", build_vit, configurable=True, infer=_sizes, first="cls_token", classifier="head"),)
