"""What climbs: a robust classifier, and what it knows about itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .network import ClassifierNetwork


@dataclass(frozen=True)
class ClassSeeds:
    """A low-rank Gaussian over small pictures for each of some classes (arXiv 1906.09453, section 3.1).

    A seed is `mean + sum_k z_k * factors_k` with `z` standard normal, enlarged by `grain`.
    """

    mean: Tensor
    """`[N, 3, h, w]`, float32, pixel values around [0, 1], for the N classes that have seeds."""
    factors: Tensor
    """`[N, rank, 3, h, w]`, float32."""
    grain: int
    """Pixels of the classifier's input a seed pixel stands for."""
    classes: tuple[int, ...]
    """The N classes, by their index among the logits."""


@dataclass(frozen=True)
class ClassifierCard:
    """What a classifier's file says about it."""

    title: str
    architecture: Mapping[str, Any]
    labels: tuple[str, ...]
    """For each class its name, and further names for it after commas (`tench, Tinca tinca`)."""
    input_size: int
    """Height and width, in pixels, of the pictures it was trained on."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: data, norm, epsilon, clean and robust accuracy (0 to 1)."""
    licence: str = ""


class RobustClassifier(nn.Module):
    """A frozen classifier of pictures in [0, 1], with its labels and class seeds.

    Normalisation happens inside. Parameters take no gradient and batch-norm uses its running statistics, so
    the only thing left to differentiate is the picture.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: ClassifierNetwork, card: ClassifierCard, seeds: ClassSeeds | None = None) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.seeds = seeds
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each class, in the order of the logits."""
        return tuple(label.split(",")[0].strip() for label in self.card.labels)

    @property
    def input_size(self) -> int:
        """Height and width, in pixels, of the pictures it was trained on."""
        return self.card.input_size

    @property
    def feature_count(self) -> int:
        """How many features (units of the penultimate layer) there are."""
        return self.network.head.in_features

    @property
    def feature_effects(self) -> Tensor:
        """What one more of each feature adds to each logit, `[classes, feature_count]`, float32 on the CPU."""
        return self.network.head.weight.detach().float().cpu()

    def with_seeds(self, seeds: ClassSeeds) -> RobustClassifier:
        """The same classifier with other class seeds.

        Both share one network and its buffers: what moves one to another device moves the other.
        """
        other = copy.copy(self)
        other.seeds = seeds
        return other

    def forward(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """Logits `[B, classes]` in float32 of images `[B, 3, H, W]` in [0, 1], any H and W.

        The network computes in the precision of its weights; the image and the logits stay in float32. For
        `fake_relu` see `ClassifierNetwork`.
        """
        logits: Tensor = self.network(self._normalised(images), fake_relu)
        return logits.to(images.dtype)

    def feature_maps(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """The last activation `[B, F, h, w]` in float32 of images as in `forward`."""
        return self.network.feature_maps(self._normalised(images), fake_relu).to(images.dtype)

    def features(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """Penultimate (pooled) features `[B, F]` in float32 of images as in `forward`."""
        return self.network.pooled_features(self._normalised(images), fake_relu).to(images.dtype)

    def activation_bytes(self, height: int, width: int) -> int:
        """About how much memory a forward and a backward pass take for one picture of this size, in bytes.

        Counts what every layer puts out, on the meta device, which computes and allocates nothing.
        """
        numbers = 0

        def count(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            nonlocal numbers
            numbers += output.numel()

        handles = [m.register_forward_hook(count) for m in self.network.modules() if not list(m.children())]
        try:
            weights = {name: tensor.to("meta") for name, tensor in self.network.state_dict().items()}
            dtype = next(self.network.parameters()).dtype
            picture = torch.empty(1, 3, height, width, dtype=dtype, device="meta")
            torch.func.functional_call(self.network, weights, picture)
        finally:
            for handle in handles:
                handle.remove()
        # Each output is kept for the backward pass, where a gradient of the same size meets it.
        return 2 * numbers * dtype.itemsize

    def _normalised(self, images: Tensor) -> Tensor:
        x = (images - self.mean.to(images.dtype)) / self.std.to(images.dtype)
        return x.to(next(self.network.parameters()).dtype)
