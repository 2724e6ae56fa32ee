"""What every network here can do beyond classifying: show its features, and be climbed where they are off."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class ClassifierNetwork(nn.Module, ABC):
    """A classifier network that ends in an activation, a mean over all places, and a linear layer.

    Input `[B, 3, H, W]`, normalised; any H and W, unless a subclass says otherwise; output `[B, classes]`.
    """

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The last layer, from features to logits."""

    @abstractmethod
    def before_last_activation(self, x: Tensor) -> Tensor:
        """`[B, F, h, w]`: all of the network up to, and without, the activation whose mean the head reads."""

    @abstractmethod
    def last_activation(self, x: Tensor) -> Tensor:
        """The activation whose mean the head reads; leaves `x` as it is."""

    def feature_maps(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        """The last activation, `[B, F, h, w]`.

        Args:
            x: `[B, 3, H, W]`, normalised.
            fake_relu: let gradients pass the very last activation unchanged, so that a feature that is switched
                off can be climbed as well (the "fake ReLU" of arXiv 1906.09453's code). The values are the same.
        """
        before = self.before_last_activation(x)
        maps = self.last_activation(before)
        # The difference is exactly zero, and has the gradient of the identity.
        return maps.detach() + (before - before.detach()) if fake_relu else maps

    # Not `features`: some of torchvision's networks call a part of theirs that.
    def pooled_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        """The mean of the last activation, `[B, F]`, in the head's precision; see `feature_maps`."""
        return self.feature_maps(x, fake_relu).mean((2, 3), dtype=self.head.weight.dtype)

    def forward(self, x: Tensor, fake_relu: bool = False) -> Tensor:
        """Logits, `[B, classes]`; see `feature_maps`."""
        logits: Tensor = self.head(self.pooled_features(x, fake_relu))
        return logits
