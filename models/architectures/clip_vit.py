"""The vision transformer of CLIP, with open_clip's tensor names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpointing import CheckpointedBlocks
from ..network import whole_strides
from ._clip import CLIP_MEAN, CLIP_STD, ClipTower, layer_norm, text_layer
from ._entry import Architecture, ArchitectureError, read_integer
from ._tokens import as_maps, resize_positions


class QuickGELU(nn.Module):
    """OpenAI's approximation of the GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Self-attention and an MLP of four times the width, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, quick_gelu: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = {
            "c_fc": nn.Linear(width, 4 * width),
            "gelu": QuickGELU() if quick_gelu else nn.GELU(),
            "c_proj": nn.Linear(4 * width, width),
        }
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class Transformer(nn.Module):
    """Only there for the name of its blocks."""

    def __init__(self, width: int, layers: int, heads: int, quick_gelu: bool) -> None:
        super().__init__()
        self.resblocks = CheckpointedBlocks(*(Block(width, heads, quick_gelu) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.resblocks(x)
        return result


class ClipVit(ClipTower):
    """The vision transformer of CLIP (Dosovitskiy et al., arXiv 2010.11929, with a norm before the blocks).

    Its features are its tokens as maps `[B, width, 1 + h, w]`: the class token fills the first row, so that the
    positions keep their places. At another size than its own its position embeddings are resized, bicubic, as
    open_clip does.
    """

    def __init__(
        self,
        classes: int,
        width: int,
        layers: int,
        heads: int,
        patch_size: int,
        grid: int,
        embed_dim: int,
        quick_gelu: bool,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.grid = grid
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(grid**2 + 1, width))
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, heads, quick_gelu)
        self.ln_post = nn.LayerNorm(width)
        self.classes = text_layer(embed_dim, classes)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        patches = self.conv1(whole_strides(x, self.patch_size))
        height, width = patches.shape[2:]
        tokens = torch.cat([self.class_embedding.expand(len(x), 1, -1), patches.flatten(2).mT], 1)
        positions = resize_positions(self.positional_embedding, self.grid, height, width)
        return as_maps(self.transformer(self.ln_pre(tokens + positions)), height, width)

    def embed_image(self, features: Tensor) -> Tensor:
        return self._embed(features[:, :, 0, 0])

    def embed_positions(self, features: Tensor) -> Tensor:
        return self._embed(features[:, :, 1:].movedim(1, -1)).movedim(-1, 1)

    def _embed(self, tokens: Tensor) -> Tensor:
        dtype = self.classes.weight.dtype
        embedding: Tensor = layer_norm(tokens, self.ln_post, dtype) @ self.proj.to(dtype)
        return embedding


def build_clip_vit(classes: int, hyperparameters: Mapping[str, Any]) -> ClipVit:
    """Build the network with random weights.

    Args:
        classes: the number of texts; 0: none yet.
        hyperparameters: `width`, `layers`, `heads`, `patch_size`, `grid` (patches along each side), `embed_dim`, and
            `quick_gelu` (whether the MLPs have OpenAI's GELU).

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    limits = {"width": 8192, "layers": 128, "heads": 256, "patch_size": 64, "grid": 128, "embed_dim": 8192}
    numbers = {key: read_integer(hyperparameters, key, 1, high) for key, high in limits.items()}
    if numbers["width"] % numbers["heads"]:
        raise ArchitectureError(f"{numbers['heads']} heads do not divide a width of {numbers['width']}")
    quick_gelu = hyperparameters.get("quick_gelu")
    if not isinstance(quick_gelu, bool):
        raise ArchitectureError(f"quick_gelu is {quick_gelu!r}, not true or false")
    return ClipVit(classes, **numbers, quick_gelu=quick_gelu)


ARCHITECTURES = (
    Architecture(
        "clip_vit",
        build_clip_vit,
        configurable=True,
        classifier="classes",
        mean=CLIP_MEAN,
        std=CLIP_STD,
        takes_texts=True,
    ),
)
