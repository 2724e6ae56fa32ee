"""Fill a hole in pictures with what a class would show there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..constraints import composite
from ..mix import Mix
from ..objectives import ObjectiveName, class_loss
from ..seeds import class_seeds, natural_noise
from ..surround import surround
from ..views import around, feathered
from .classify import target_weights
from .masked import MaskedSettings, climb_inside

FillName = Literal["surround", "mean colour", "noise", "class seed"]
FILLS: tuple[FillName, ...] = get_args(FillName)


@dataclass(frozen=True, kw_only=True)
class InpaintSettings(MaskedSettings):
    """How to fill a hole."""

    objective: ObjectiveName
    fill: FillName = "surround"
    """What the hole shows before the climb. `surround`: the colours around it, blurred into it. `mean colour`: of
    what is visible, as in the paper. `noise`: natural-spectrum noise. `class seed`: drawn from the class's Gaussian."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fill not in FILLS:
            raise ValueError(f"Unknown fill {self.fill!r}: choose one of {', '.join(FILLS)}.")


# arXiv 1906.09453, section 3.2 and appendix A, at 224 px.
INPAINT_PAPER = InpaintSettings(
    steps=720,
    step_size=0.1,
    norm="l2",
    epsilon=21.6,
    objective="cross-entropy",
    fill="mean colour",
    penalty=10.0,
)

INPAINT_PRESET = InpaintSettings(
    steps=16,
    step_size=4.0,
    norm="free",
    objective="cross-entropy",
    final_step=0.2,
    jitter=2,
    feather=2,
    detail_steps=8,
)


def inpaint(
    classifier: RobustClassifier,
    images: Tensor,
    mask: Tensor,
    mix: Mix | None,
    settings: InpaintSettings,
    random_seeds: Sequence[int],
    callback: Callback | None = None,
) -> Tensor:
    """Fill holes by climbing towards a mix of classes (arXiv 1906.09453, section 3.2).

    Nothing that the hole covers is looked at. Where the mask is grey the filling is blended with the picture.

    Args:
        classifier: what to climb, on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mask: `[B, 1, H, W]` in [0, 1]: 1 in the hole. Where it is 0 the pictures stay bit for bit.
        mix: the classes; None for the class the classifier sees with the hole filled from its surroundings.
        settings: see `InpaintSettings`, `INPAINT_PRESET` and `INPAINT_PAPER`.
        random_seeds: one for each picture, for the fillings `noise` and `class seed`.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H, W]` in [0, 1].

    Raises:
        ValueError: the fill `class seed` for a class that has no seeds.
    """
    base = surround(images, mask)
    view = around(mask, classifier.input_size)
    # All that is not wholly visible is filled, and blended with the picture at the end.
    covered = (mask > 0).to(images)
    small, hole = view.look(base), view.look(covered)
    weights = target_weights(classifier, mix, base)
    filling = _filling(classifier, settings.fill, small, hole, weights, random_seeds)
    start = composite(small, filling, feathered(hole, settings.feather))
    filled = climb_inside(
        base,
        start,
        covered,
        view,
        # A hole is flat, and switches many features off: their gradients pass the last activation all the same.
        partial(classifier, fake_relu=True),
        lambda see: class_loss(see, weights, settings.objective),
        settings,
        classifier.input_size,
        callback,
    )
    return composite(images, filled, mask)


def _filling(
    classifier: RobustClassifier,
    fill: FillName,
    small: Tensor,
    hole: Tensor,
    weights: Tensor,
    random_seeds: Sequence[int],
) -> Tensor:
    """What a hole in views `[B, 3, H, W]` shows before the climb; `small` has it filled from its surroundings."""
    height, width = small.shape[2:]
    if fill == "mean colour":
        visible = (1 - hole).clamp(min=1e-6)
        mean = (small * visible).sum((2, 3), keepdim=True) / visible.sum((2, 3), keepdim=True)
        return mean.expand_as(small)
    if fill == "noise":
        return natural_noise(height, width, random_seeds).to(small)
    if fill == "class seed":
        if classifier.seeds is None:
            raise ValueError(f"The classifier '{classifier.card.title}' has no class seeds. Choose another fill.")
        pictures = []
        for row, seed in zip(weights.expand(len(small), -1).tolist(), random_seeds, strict=True):
            mix = Mix(tuple((index, weight) for index, weight in enumerate(row) if weight))
            pictures.append(class_seeds(classifier.seeds, mix, height, width, [seed]))
        return torch.cat(pictures).to(small)
    return small
