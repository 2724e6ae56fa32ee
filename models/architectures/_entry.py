"""One entry of the registry: how a network is built, and what its checkpoint files leave unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..network import ClassifierNetwork

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
IMAGENET_LABELS = {1000: "imagenet", 9: "restricted_imagenet"}


class ArchitectureError(ValueError):
    """An architecture that is unknown, or whose hyperparameters are missing or out of range."""


@dataclass(frozen=True)
class Architecture:
    """A network by name. Input size, normalisation, labels and key renames describe third-party files of it.

    The defaults are those of networks that were trained on ImageNet.
    """

    name: str
    build: Callable[..., ClassifierNetwork]
    """Takes the number of classes; with `configurable`, then also the mapping of hyperparameters."""
    configurable: bool = False
    """Whether it has hyperparameters. Those are not inferred, so a third-party file of it is not recognised."""
    classifier: str = "fc"
    """The last layer's name in the state dict."""
    input_size: int = 224
    """Height and width, in pixels, of the training images."""
    mean: Triple = IMAGENET_MEAN
    """Of the training images' channels, in [0, 1]; used where the file has no normalisation of its own."""
    std: Triple = IMAGENET_STD
    label_lists: Mapping[int, str] = field(default_factory=lambda: IMAGENET_LABELS)
    """The known label list (see `labels.known_labels`) for a number of classes."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Regular expression -> replacement: from the tensor names of other libraries to those of the network."""
