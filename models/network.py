"""The contract that every network fulfils: timm's methods, and a gradient for inactive features."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class ClassifierNetwork(nn.Module, ABC):
    """An image classifier with timm's methods: `forward(x)` is `forward_head(forward_features(x))`.

    The input is `[B, 3, H, W]`, normalised, of any H and W unless a subclass says otherwise. Submodules are registered
    in the order in which they are applied, because `fold_batch_norms` relies on it. All tensors are in the state dict,
    because networks are built on the meta device and get their weights from it.
    """

    @abstractmethod
    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        """Compute what the head reads: maps `[B, F, h, w]`, or the tokens of a transformer.

        Args:
            x: `[B, 3, H, W]`, normalised.
            fake_relu: replace the gradient of the last activation by the identity (a straight-through gradient, the
                "fake ReLU" of the `robustness` library), so that inactive features get a gradient too. The values
                stay the same. A network without a last activation (ConvNeXt, a transformer) ignores it.
        """

    def feature_maps(self, features: Tensor) -> Tensor:
        """Turn the result of `forward_features` into features at each position, `[B, F, h, w]`.

        The mean over h and w is the pre-logits only where the head applies no norm after pooling.
        """
        return features

    @abstractmethod
    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Compute logits `[B, classes]` from the result of `forward_features`; with `pre_logits`, their input `[B, F]`.

        Pre-logits have the precision of the classifier's weights: `optimize_for_inference` keeps those in float32
        while the other layers may compute in bfloat16.
        """

    @abstractmethod
    def get_classifier(self) -> nn.Linear:
        """Return the last layer, from F features to logits."""

    def forward(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        """Compute logits `[B, classes]`; see `forward_features`."""
        return self.forward_head(self.forward_features(x, fake_relu))


def whole_strides(images: Tensor, stride: int) -> Tensor:
    """Images `[B, C, H, W]` resized, where a side is no multiple of the stride, to the nearest multiples.

    Without it a network of patches does not see what is beyond the last whole patch, which would get no gradient.
    """
    height, width = images.shape[2:]
    size = (max(round(height / stride), 1) * stride, max(round(width / stride), 1) * stride)
    return images if size == (height, width) else F.interpolate(images, size, mode="bicubic", align_corners=False)


class PooledNetwork(ClassifierNetwork):
    """A network that ends in global average pooling and a linear layer."""

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        classifier = self.get_classifier()
        pooled = features.mean((2, 3), dtype=classifier.weight.dtype)
        logits: Tensor = pooled if pre_logits else classifier(pooled)
        return logits


class PooledActivationNetwork(PooledNetwork):
    """A pooled network whose features end in an activation."""

    @abstractmethod
    def forward_preactivation(self, x: Tensor) -> Tensor:
        """Compute the input of the last activation, `[B, F, h, w]`."""

    def last_activation(self, x: Tensor) -> Tensor:
        """Apply the last activation, a ReLU unless overridden, without changing `x` in place."""
        return F.relu(x)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        before = self.forward_preactivation(x)
        after = self.last_activation(before)
        # The difference is exactly zero, and its gradient is the identity.
        return after.detach() + (before - before.detach()) if fake_relu else after
