"""What transformers share, and in part ConvNeXt: tokens as maps, position embeddings, attention heads, MLPs."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network import ClassifierNetwork

EPSILON = 1e-6
"""Of all norms, as in timm."""
HEAD_WIDTHS = {1280: 80}
"""Channels of an attention head by the width of a vision transformer (H/14), which its tensors do not show."""
USUAL_HEAD_WIDTH = 64


def head_count(width: int) -> int:
    """How many attention heads the published vision transformers of a width have, timm's and CLIP's."""
    return max(width // HEAD_WIDTHS.get(width, USUAL_HEAD_WIDTH), 1)


class Mlp(nn.Sequential):
    """Two layers with a GELU between them, the inner one four times as wide."""

    def __init__(self, width: int) -> None:
        layers = {"fc1": nn.Linear(width, 4 * width), "act": nn.GELU(), "fc2": nn.Linear(4 * width, width)}
        super().__init__(OrderedDict(layers))


class TokenNetwork(ClassifierNetwork):
    """A transformer that classifies by its class token.

    Its features are all tokens as maps `[B, F, 1 + h, w]`: the class token fills the first row, so that the patches
    keep their places. The pre-logits are the class token, and the feature maps those of the patches, which have the
    same channels but are not averaged into it. There is no last activation, and the fake ReLU changes nothing.
    """

    head: nn.Linear

    def get_classifier(self) -> nn.Linear:
        return self.head

    def feature_maps(self, features: Tensor) -> Tensor:
        return features[:, :, 1:]

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        token = features[:, :, 0, 0].to(self.head.weight.dtype)
        logits: Tensor = token if pre_logits else self.head(token)
        return logits


def as_maps(tokens: Tensor, height: int, width: int) -> Tensor:
    """Arrange `[B, 1 + h * w, F]` as `[B, F, 1 + h, w]`."""
    rows = torch.cat([tokens[:, :1].expand(-1, width, -1), tokens[:, 1:]], 1)
    maps: Tensor = rows.mT.unflatten(2, (1 + height, width))
    return maps


def resize_positions(positions: Tensor, grid: int, height: int, width: int) -> Tensor:
    """Position embeddings `[1 + grid * grid, F]` for `height` x `width` patches, bicubic, as timm and open_clip do."""
    if (height, width) == (grid, grid):
        return positions
    maps = positions[1:].mT.unflatten(1, (grid, grid))[None].float()
    maps = F.interpolate(maps, (height, width), mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([positions[:1], maps[0].flatten(1).mT.to(positions)])
