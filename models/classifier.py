"""A robust classifier with its description and class seeds: what every synthesis ascends."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .checkpointing import CheckpointedBlocks
from .names import label_names
from .network import ClassifierNetwork

PIXEL_LIMIT = 1e6
"""Files with a mean or std above this, or a std below its inverse, are refused: no images have such statistics."""


@dataclass(frozen=True)
class ClassSeeds:
    """A low-rank Gaussian over small images for each of some classes (arXiv 1906.09453, section 3.1).

    A seed is `mean + sum_k z_k * factors_k` with `z` standard normal, upsampled by the factor `grain`.
    """

    mean: Tensor
    """`[N, 3, h, w]`, float32, in about [0, 1], for the N classes that have seeds."""
    factors: Tensor
    """`[N, rank, 3, h, w]`, float32."""
    grain: int
    """How many input pixels of the classifier one seed pixel covers, in each direction."""
    classes: tuple[int, ...]
    """The N classes, as indices of the logits."""


@dataclass(frozen=True)
class ClassifierCard:
    """The description in a classifier's file."""

    title: str
    architecture: Mapping[str, Any]
    labels: tuple[str, ...]
    """For each class its name, then further names after commas (`tench, Tinca tinca`). None for a CLIP's image tower
    that has no classes yet."""
    input_size: int
    """Height and width, in pixels, of the training images."""
    mean: tuple[float, float, float]
    """Of each channel, in [0, 1]: images are normalised with `(x - mean) / std`."""
    std: tuple[float, float, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: data, norm, epsilon, clean and robust accuracy (0 to 1)."""
    licence: str = ""


class RobustClassifier(nn.Module):
    """A frozen classifier of images in [0, 1], with its labels and class seeds.

    It normalises images itself. Parameters require no gradient and batch norm uses its running statistics, so that
    gradients flow to the image only.
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
        return tuple(label_names(label)[0] for label in self.card.labels)

    @property
    def input_size(self) -> int:
        """Height and width, in pixels, of the training images."""
        return self.card.input_size

    @property
    def feature_count(self) -> int:
        """The number of features (inputs of the last layer)."""
        return self.network.get_classifier().in_features

    @property
    def feature_effects(self) -> Tensor:
        """The effect of each feature on each logit (the last layer's weights), `[classes, F]`, float32 on the CPU."""
        return self.network.get_classifier().weight.detach().float().cpu()

    def with_seeds(self, seeds: ClassSeeds | None) -> RobustClassifier:
        """Return the same classifier with other class seeds.

        Both share one network and its buffers, so that moving one to another device moves the other.
        """
        other = copy.copy(self)
        other.seeds = seeds
        return other

    def with_network(self, network: ClassifierNetwork, card: ClassifierCard) -> RobustClassifier:
        """Return the same classifier with another last layer and card, and without class seeds.

        Args:
            network: shares all other modules with this one's; see `with_seeds`.
            card: describes it.
        """
        other = self.with_seeds(None)
        # A module's copy shares the dict of its submodules.
        other._modules = {**self._modules, "network": network}
        other.card = card
        return other

    def forward(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """Compute logits `[B, classes]` in float32 of images `[B, 3, H, W]` in [0, 1], any H and W.

        The network computes in the precision of its weights; images and logits are in float32. For `fake_relu` see
        `ClassifierNetwork.forward_features`.
        """
        logits: Tensor = self.network(self._normalise(images), fake_relu)
        return logits.to(images.dtype)

    def feature_maps(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """Compute the features at each position, `[B, F, h, w]` in float32, of images as in `forward`."""
        features = self.network.forward_features(self._normalise(images), fake_relu)
        return self.network.feature_maps(features).to(images.dtype)

    def features(self, images: Tensor, fake_relu: bool = False) -> Tensor:
        """Compute the pooled features (pre-logits) `[B, F]` in float32 of images as in `forward`."""
        features = self.network.forward_features(self._normalise(images), fake_relu)
        return self.network.forward_head(features, pre_logits=True).to(images.dtype)

    def activation_bytes(self, height: int, width: int, count: int = 1) -> int:
        """Estimate the memory, in bytes, of a forward and a backward pass for `count` images of this size.

        It adds up the outputs of all layers, on the meta device, which computes and allocates nothing. Of blocks that
        are recomputed on the way back, it counts the outputs, and the layers of the largest one.
        """
        tally = _Tally()
        handles = [h for module in self.network.modules() for h in tally.hooks(module)]
        try:
            weights = {name: tensor.to("meta") for name, tensor in self.network.state_dict().items()}
            dtype = next(self.network.parameters()).dtype
            images = torch.empty(count, 3, height, width, dtype=dtype, device="meta")
            torch.func.functional_call(self.network, weights, images)
        finally:
            for handle in handles:
                handle.remove()
        # The backward pass needs each output and a gradient of the same size.
        return 2 * (tally.kept + tally.largest) * dtype.itemsize

    def _normalise(self, images: Tensor) -> Tensor:
        x = (images - self.mean.to(images.dtype)) / self.std.to(images.dtype)
        return x.to(next(self.network.parameters()).dtype)


class _Tally:
    """Counts the numbers that a pass through a network keeps."""

    def __init__(self) -> None:
        self.kept = 0
        self.largest = 0
        """Inside of one block that is recomputed."""
        self._before = 0

    def hooks(self, module: nn.Module) -> list[RemovableHandle]:
        if not list(module.children()):
            return [module.register_forward_hook(self._leaf)]
        if not isinstance(module, CheckpointedBlocks):
            return []

        def enter(_block: nn.Module, _inputs: Any) -> None:
            self._before = self.kept

        def leave(_block: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            if module.recomputes(inputs[0]):
                self.largest = max(self.largest, self.kept - self._before)
                self.kept = self._before + output.numel()

        pairs = [(block.register_forward_pre_hook(enter), block.register_forward_hook(leave)) for block in module]
        return [handle for pair in pairs for handle in pair]

    def _leaf(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.kept += output.numel()
