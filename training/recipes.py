"""How to train, as data: named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..synthesis.constraints import Constraint, NormName

STEPS_AN_EPOCH, SMALLEST_BATCH = 20, 16
FEW = 5000
"""Training pictures."""
WIDE_STAGES = 3
"""Of a network for few pictures, the first ones."""


@dataclass(frozen=True)
class Attack:
    """Projected gradient descent on the classifier's cross-entropy (PGD; Madry et al., arXiv 1706.06083)."""

    norm: NormName
    """`l2` or `linf`."""
    epsilon: float
    """The radius of the ball, for a picture with values in [0, 1]: of the whole picture for `l2`, of a value for
    `linf`."""
    steps: int
    rel_step_size: float
    """The step size, as a share of epsilon."""
    restarts: int = 1
    """From how many random starts; the one that deceives counts."""

    def __post_init__(self) -> None:
        if self.norm == "free":
            raise ValueError("An attack stays in a ball: its norm is l2 or linf, not free.")
        if self.steps < 1 or self.restarts < 1:
            raise ValueError(f"An attack has {self.steps} steps and {self.restarts} restarts; each must be 1 or more.")
        if not 0 < self.rel_step_size <= 4:
            raise ValueError(f"A step takes {self.rel_step_size} of epsilon; it must be above 0, and 4 at most.")
        self.constraint  # noqa: B018 (an epsilon that is none is refused there)

    @property
    def constraint(self) -> Constraint:
        return Constraint(self.norm, self.epsilon)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is trained, whatever the pictures."""

    summary: str
    """What it is for, in a few words."""
    architecture: Mapping[str, Any]
    """A `narrow_resnet`; see `models.architectures.build_network`."""
    input_size: int
    """Height and width of the pictures, in pixels."""
    attack: Attack
    pictures: int
    """How many pictures are shown in all, each time one is shown counted: fewer pictures, more epochs."""
    most_epochs: int
    """However few pictures there are."""
    batch_size: int = 128
    learning_rate: float = 0.2
    """The highest, for a batch of 128; it is scaled with the batch."""
    warm_up: float = 0.1
    """The share of the steps in which the learning rate rises from 0, and epsilon to its full size."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 5.0
    """The longest gradient of all weights together."""
    ema_decay: float = 0.995
    """The decay of the exponential moving average of the weights, which is what is kept in the end."""
    label_smoothing: float = 0.0
    crop_padding: int = 8
    """Pixels by which a picture may be shifted."""
    smallest_crop: float = 1.0
    """The smallest share of a picture's area that is cut out and enlarged; 1: nothing is cut out."""
    colour: float = 0.0
    """By which share brightness, contrast and saturation may change."""
    cut_mix: float = 0.0
    """The share of batches in which a piece of each picture is cut from another, and that share of its class with it
    (Yun et al., arXiv 1905.04899), against robust overfitting (Rebuffi et al., arXiv 2111.05328)."""
    few_cut_mix: float = 0.0
    """The same for few pictures. Patterns that are learned soon anyway lose their shapes by it."""
    seed: int = 0
    start: str = ""
    """The bundled classifier whose first stages a network for few pictures begins with; empty: random weights.
    What robust features have been learned on other pictures is a good start (Salman et al., arXiv 2007.08489)."""

    def epochs(self, count: int) -> int:
        """How often each of so many training pictures is shown."""
        return max(1, min(round(self.pictures / count), self.most_epochs))

    def batch(self, count: int) -> int:
        """How many of so many training pictures are learned from at once: fewer of few, so that there are steps."""
        size = self.batch_size
        while size > SMALLEST_BATCH and count < size * STEPS_AN_EPOCH:
            size //= 2
        return min(size, count)

    def network(self, count: int) -> dict[str, Any]:
        """The architecture for so many training pictures: half as wide in the end for few, which it would learn by
        heart."""
        widths = self.architecture["widths"]
        narrow = [*widths[:WIDE_STAGES], *(width // 2 for width in widths[WIDE_STAGES:])]
        return {**self.architecture, "widths": narrow if count < FEW else list(widths)}

    def mixing(self, count: int) -> float:
        """The share of batches to mix, of so many training pictures."""
        return self.few_cut_mix if count < FEW else self.cut_mix

    def begins_with(self, count: int) -> str:
        """The bundled classifier that a network for so many training pictures begins with; empty: none."""
        return self.start if count < FEW else ""


def _recipe(summary: str, widths: list[int], blocks: list[int], **settings: Any) -> Recipe:
    architecture = {
        "name": "narrow_resnet",
        "widths": widths,
        "blocks": blocks,
        "stem_stride": 2,
        "activation": "silu",
        "downsampling": "overlapping",
    }
    return Recipe(summary=summary, architecture=architecture, **settings)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "quick": _recipe(
            "small and soon done, an hour at most on two CPU cores",
            [32, 64, 128, 256, 384],
            [1, 1, 1, 1, 1],
            input_size=96,
            attack=Attack("l2", 1.5, 2, 0.94),
            pictures=400_000,
            most_epochs=32,
            cut_mix=0.5,
            start="canvas",
        ),
        "good": _recipe(
            "half as wide again, and attacked harder; a night on two CPU cores, minutes on a GPU",
            [48, 96, 192, 384, 512],
            [1, 1, 2, 2, 1],
            input_size=96,
            attack=Attack("l2", 1.5, 3, 0.6),
            pictures=1_000_000,
            most_epochs=200,
            ema_decay=0.999,
            smallest_crop=0.5,
        ),
        "best": _recipe(
            "as large as a ResNet-18, 128 pixels, seven attack steps; for a GPU",
            [64, 128, 256, 512],
            [2, 2, 2, 2],
            input_size=128,
            attack=Attack("l2", 2.0, 7, 0.25),
            pictures=2_000_000,
            most_epochs=300,
            batch_size=256,
            ema_decay=0.999,
            smallest_crop=0.5,
        ),
    }
)
