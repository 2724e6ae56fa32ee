"""One entry of the registry: how a network is built, and what its checkpoint files leave unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..network import ClassifierNetwork
from ..state_dict import Shapes

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
NO_MEAN: Triple = (0.0, 0.0, 0.0)
NO_STD: Triple = (1.0, 1.0, 1.0)
"""Of networks that take images in [0, 1] as they are."""
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
    """Whether it has hyperparameters. A third-party file of it is recognised only with `infer`."""
    infer: Callable[[Shapes], dict[str, Any] | None] | None = None
    """Reads the hyperparameters from the shapes of a file's tensors, by the network's own names; None: another network.
    What it reads need not be possible: `build` checks that."""
    first: str = ""
    """With `infer`, the first tensor's name."""
    classifier: str = "fc"
    """The last layer's name in the state dict."""
    input_size: int = 224
    """Height and width, in pixels, of the training images; a hyperparameter `image_size` counts instead of it."""
    mean: Triple = IMAGENET_MEAN
    """Of the training images' channels, in [0, 1]; used where the file has no normalisation of its own."""
    std: Triple = IMAGENET_STD
    label_lists: Mapping[int, str] = field(default_factory=lambda: IMAGENET_LABELS)
    """The known label list (see `labels.known_labels`) for a number of classes."""
    takes_texts: bool = False
    """Whether it has no classes until texts give it some."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Regular expression -> replacement: from the tensor names of other libraries to those of the network."""
    other_statistics: Mapping[int, tuple[Triple, Triple]] = field(default_factory=dict)
    """Mean and std for a number of classes, where they differ from those."""

    def sizes(self, shapes: Shapes) -> dict[str, Any] | None:
        """What `infer` reads from a file's tensors, or nothing without it; None where they are of another network."""
        try:
            return self.infer(shapes) if self.infer else {}
        except (IndexError, ValueError):
            # A tensor of the right name with too few dimensions or without a number.
            return None

    def statistics(self, classes: int) -> tuple[Triple, Triple]:
        """The mean and std of its usual training images."""
        return self.other_statistics.get(classes, (self.mean, self.std))


def read_integer(hyperparameters: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """A hyperparameter that is a number.

    Raises:
        ArchitectureError: it is missing or out of range.
    """
    value = hyperparameters.get(key)
    # `true` in a header equals 1.
    if type(value) is not int or not low <= value <= high:
        raise ArchitectureError(f"{key} is {value!r}, not a number from {low} to {high}")
    return value


def read_integers(hyperparameters: Mapping[str, Any], key: str, low: int, high: int) -> tuple[int, ...]:
    """A hyperparameter that is a list of 1 to 8 numbers.

    Raises:
        ArchitectureError: it is missing or out of range.
    """
    values = hyperparameters.get(key)
    if (
        not isinstance(values, (list, tuple))
        or not 1 <= len(values) <= 8
        or not all(type(value) is int and low <= value <= high for value in values)
    ):
        raise ArchitectureError(f"{key} is {values!r}, not a list of 1 to 8 numbers from {low} to {high}")
    return tuple(values)


def count_blocks(shapes: Shapes, pattern: str) -> int:
    """How many consecutive numbers, from 0, a name has tensors for: `{}` in the pattern is the number."""
    count = 0
    while pattern.format(count) in shapes:
        count += 1
    return count
