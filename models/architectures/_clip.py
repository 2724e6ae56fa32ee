"""What the image towers of all CLIPs share: cosine similarity with texts, and the size of the images."""

from __future__ import annotations

import copy
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from ..network import ClassifierNetwork
from ._entry import Triple

CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)


class ClipTower(ClassifierNetwork):
    """The image tower of a CLIP (Radford et al., arXiv 2103.00020) before a linear layer of text embeddings.

    Features are the image's embedding, divided by its length: the pre-logits `[B, D]`. The last layer's rows are text
    embeddings of length `logit_scale`, so that logits are the scaled cosine similarities. It has no rows until there
    are texts. Feature maps are the embedding of each position, each of length 1. There is no last activation, so that
    the fake ReLU changes nothing.

    Images of any H and W: sides that are no multiple of the stride are resized to the nearest one.
    """

    classes: nn.Linear

    @abstractmethod
    def embed_image(self, features: Tensor) -> Tensor:
        """The embedding of each image, `[B, D]`, of any length, from the result of `forward_features`."""

    @abstractmethod
    def embed_positions(self, features: Tensor) -> Tensor:
        """The embedding of each position, `[B, D, h, w]`, of any length."""

    def get_classifier(self) -> nn.Linear:
        return self.classes

    def feature_maps(self, features: Tensor) -> Tensor:
        return F.normalize(self.embed_positions(features), dim=1)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        embedding = F.normalize(self.embed_image(features), dim=1)
        return embedding if pre_logits else self.classes(embedding)

    def with_classes(self, rows: Tensor) -> Self:
        """The same tower before other texts, `[classes, D]`; both share all other weights."""
        other = copy.copy(self)
        # A module's copy shares the dict of its submodules.
        other._modules = dict(self._modules)
        other.classes = text_layer(rows.shape[1], len(rows))
        with torch.no_grad():
            other.classes.weight.copy_(rows)
        return other.eval().requires_grad_(False)


def text_layer(features: int, classes: int) -> nn.Linear:
    """A linear layer without a bias to speak of; it may have no rows, which torch's own would warn of."""
    layer = nn.Linear(features, max(classes, 1))
    layer.out_features = classes
    layer.weight = nn.Parameter(layer.weight.detach()[:classes].clone())
    layer.bias = nn.Parameter(torch.zeros_like(layer.bias[:classes]))
    return layer


def layer_norm(x: Tensor, norm: nn.LayerNorm, dtype: torch.dtype) -> Tensor:
    """Apply a norm over the last dimension, computed in `dtype` whatever its weights are in."""
    return F.layer_norm(x.to(dtype), norm.normalized_shape, norm.weight.to(dtype), norm.bias.to(dtype), norm.eps)
