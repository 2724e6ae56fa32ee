"""The operations, with their settings as named presets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..models import RobustClassifier
from .ascent import AscentSettings, Callback, ascend
from .class_expression import ClassMix
from .constraints import Constraint, NormName, composite
from .objectives import ObjectiveName, class_loss
from .seeds import natural_noise
from .views import resized, with_change, working_size

REFERENCE_SIDE = 224


@dataclass(frozen=True)
class TranslateSettings:
    """How to bring a picture to a class, whatever its size.

    `l2` lengths (and the free norm's steps) are given for a picture of 224 x 224 pixels, as in the paper, and grow
    with the square root of the pixel count. `linf` lengths are pixel values and mean the same at every size.
    """

    steps: int
    step_size: float
    epsilon: float
    """The radius of the ball; not read when the norm is `free`."""
    norm: NormName
    objective: ObjectiveName
    final_step: float = 1.0
    jitter: int = 0
    noise: float = 0.0
    """How much natural-spectrum noise (0 to 1) is blended into the start, a picture of its own for each image."""
    keep_best: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise ValueError(f"Noise is {self.noise}; it must be from 0 to 1.")
        self.ascent(REFERENCE_SIDE, REFERENCE_SIDE)

    def ascent(self, height: int, width: int) -> AscentSettings:
        """The settings of the climb of a picture of `height` x `width` pixels."""
        scale = 1.0 if self.norm == "linf" else math.sqrt(height * width) / REFERENCE_SIDE
        return AscentSettings(
            steps=self.steps,
            step_size=self.step_size * scale,
            constraint=Constraint(self.norm, self.epsilon * scale),
            final_step=self.final_step,
            jitter=self.jitter,
            keep_best=self.keep_best,
        )


# arXiv 1906.09453, appendix A, and the authors' notebooks, at 224 px.
PAPER = MappingProxyType(
    {
        "generate": TranslateSettings(60, 1.0, 40.0, "l2", "cross-entropy"),
        "translate": TranslateSettings(200, 0.5, 80.0, "l2", "cross-entropy"),
        "sketch": TranslateSettings(60, 1.0, 40.0, "l2", "cross-entropy"),
    }
)

# The paper's tasks in fewer, larger steps. `generate` was chosen with benchmarks/presets.py and by eye, the others
# by eye: the look of the paper's numbers, without the grid that a view that never moves leaves behind.
PRESETS = MappingProxyType(
    {
        "generate": TranslateSettings(12, 7.0, 0.0, "free", "logit", final_step=0.2, jitter=2),
        "translate": TranslateSettings(60, 1.25, 80.0, "l2", "cross-entropy", jitter=2),
        "sketch": TranslateSettings(20, 4.0, 0.0, "free", "logit", final_step=0.2, jitter=2, noise=0.2),
        # BIGROC (arXiv 2108.03702): a slight push towards the class improves the output of any generator.
        "refine": TranslateSettings(8, 0.5, 3.0, "l2", "cross-entropy"),
    }
)


def translate(
    classifier: RobustClassifier,
    images: Tensor,
    mix: ClassMix | None,
    settings: TranslateSettings,
    random_seeds: Sequence[int],
    mask: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Climb from pictures towards a mix of classes (arXiv 1906.09453, sections 3.1, 3.3 and 3.5).

    Args:
        classifier: what to climb, on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mix: the classes; None for the class the classifier itself sees in each picture.
        settings: see `TranslateSettings` and `PRESETS`.
        random_seeds: one for each picture, for the noise of the start.
        mask: `[B, 1, H, W]` in [0, 1]: where the pictures may change. Elsewhere they stay bit for bit.
        callback: see `ascent.Callback`; it gets the pictures at the size the classifier works at.

    Returns:
        `[B, 3, H, W]` in [0, 1].
    """
    height, width = images.shape[2:]
    size = working_size(height, width, classifier.input_size)
    small = resized(images, size)
    small_mask = None if mask is None else resized(mask, size)
    weights = _own_guess(classifier, small) if mix is None else mix.vector(len(classifier.labels))
    start = small
    if settings.noise > 0:
        noise = natural_noise(*size, random_seeds).to(small)
        start = composite(small, torch.lerp(small, noise, settings.noise), small_mask)
    climbed = ascend(
        start,
        class_loss(classifier, weights.to(small), settings.objective),
        settings.ascent(*size),
        small_mask,
        callback,
    )
    changed = with_change(images, small, climbed)
    # The climb has blended by the mask already; left to do is what enlarging the change spilled beyond it.
    return changed if mask is None else torch.where(mask == 0, images, changed)


def classify(classifier: RobustClassifier, images: Tensor) -> Tensor:
    """Probabilities `[B, classes]` of pictures `[B, 3, H, W]` in [0, 1], any H and W, seen whole."""
    size = working_size(images.shape[2], images.shape[3], classifier.input_size)
    with torch.no_grad():
        logits: Tensor = classifier(resized(images, size))
    return logits.softmax(1)


def _own_guess(classifier: RobustClassifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        guesses = classifier(images).argmax(1)
    return torch.nn.functional.one_hot(guesses, len(classifier.labels)).to(images)
