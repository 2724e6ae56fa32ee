"""Fill a hole in pictures with what a class would show there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..coarse_to_fine import Plan, coarse_to_fine, plan_levels
from ..constraints import composite
from ..mix import Mix
from ..objectives import ObjectiveName, check_objective, class_loss
from ..seeds import detailed_class_seeds, natural_noise
from ..settings import DetailSettings, MaskSettings, OperationSettings
from ..surround import WHOLE, extended, fade_in, surround, visible_box, with_detail
from ..views import around, feathered
from .classify import target_covariance, target_weights

FillName = Literal["surround", "mean colour", "noise", "class seed"]
FILLS: tuple[FillName, ...] = get_args(FillName)
OUTPAINT_STRENGTH = 0.25
"""Of the steps' length beyond the edge of a picture. Its mirror image needs less change than a blur; more smears it."""


@dataclass(frozen=True, kw_only=True)
class InpaintSettings(OperationSettings):
    """Settings of `inpaint`."""

    operation: ClassVar[str] = "inpaint"
    objective: ObjectiveName
    fill: FillName = "surround"
    """What the hole shows before the ascent. `surround`: the colours around it, blurred into it, with noise like
    the detail around it; where a mask covers a whole side of the picture, the picture is continued there by its
    mirror image. `mean colour`: of what is visible, as in the paper. `noise`: natural-spectrum noise. `class seed`:
    drawn from the class's Gaussian."""

    detail: DetailSettings = field(default_factory=DetailSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)

    def __post_init__(self) -> None:
        check_objective(self.objective)
        if self.fill not in FILLS:
            raise ValueError(f"Unknown fill {self.fill!r}: choose one of {', '.join(FILLS)}.")


def inpaint_plan(input_size: int, mask: Tensor, settings: InpaintSettings) -> Plan:
    """The levels of `inpaint` for masks `[B, 1, H, W]` and a classifier of `input_size`."""
    return plan_levels(around(mask, input_size), settings.ascent, settings.detail, input_size)


def inpaint(
    classifier: RobustClassifier,
    images: Tensor,
    mask: Tensor,
    mix: Mix | None,
    settings: InpaintSettings,
    random_seeds: Sequence[int],
    callback: Callback | None = None,
) -> Tensor:
    """Fill holes by an ascent towards a mix of classes (arXiv 1906.09453, section 3.2).

    Nothing that the hole covers is looked at. Where the mask is grey the filling is blended with the picture. A mask
    that covers a whole side of the picture is outpainted by the fill `surround`: beyond the edge the change fades in,
    and the steps are shorter (`OUTPAINT_STRENGTH`); grey counts as visible.

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mask: `[B, 1, H, W]` in [0, 1]: 1 in the hole. Where it is 0 the pictures stay bit for bit.
        mix: the classes; None for the class the classifier sees with the hole filled from its surroundings.
        settings: see `InpaintSettings`, and `presets` for named ones.
        random_seeds: one for each picture, for the fillings `noise` and `class seed`.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H, W]` in [0, 1].

    Raises:
        ValueError: the fill `class seed` for a class that has no seeds.
    """
    base, covered, strength = _prepared(images, mask, settings.fill)
    plan = inpaint_plan(classifier.input_size, mask, settings)
    view = plan.levels[0].view
    small, hole = view.look(base), view.look(covered)
    weights = target_weights(classifier, mix, base)
    filling = _filling(classifier, settings.fill, small, hole, weights, random_seeds)
    filled = coarse_to_fine(
        base,
        plan,
        # A hole is flat and switches many features off. With the fake ReLU they have a gradient all the same.
        partial(classifier, fake_relu=True),
        lambda see: class_loss(see, weights, settings.objective),
        start=composite(small, filling, feathered(hole, settings.mask.feather)),
        mask=covered,
        mask_settings=settings.mask,
        covariance=target_covariance(classifier, weights, settings.ascent),
        strength=strength,
        callback=callback,
    )
    return composite(images, filled, mask)


def _prepared(images: Tensor, mask: Tensor, fill: FillName) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures without what the mask covers, where they change `[B, 1, H, W]`, and how much `[B, 1, 1, 1]`."""
    # All that is not wholly visible is filled, and blended with the image at the end.
    base, covered = surround(images, mask), (mask > 0).to(images)
    if fill == "surround":
        base = with_detail(base, mask)
    strength = images.new_ones(len(images), 1, 1, 1)
    height, width = images.shape[2:]
    for index, own in enumerate(mask) if fill == "surround" else ():
        box = visible_box(own)
        if box is None or box == (0, 0, height, width):
            continue
        one = slice(index, index + 1)
        hole, fade = (mask[one] >= WHOLE).to(images), fade_in(box, images)
        inner = (one, slice(None), slice(box[0], box[2]), slice(box[1], box[3]))
        base[one] = surround(images[one], hole)
        base[inner] = with_detail(base[inner], hole[:, :, inner[2], inner[3]])
        base[one] = extended(base[one], box)
        covered[one] = torch.where(fade > 0, fade, hole)
        strength[one] = OUTPAINT_STRENGTH
    return base, covered, strength


def _filling(
    classifier: RobustClassifier,
    fill: FillName,
    small: Tensor,
    hole: Tensor,
    weights: Tensor,
    random_seeds: Sequence[int],
) -> Tensor:
    """What a hole in views `[B, 3, H, W]` shows before the ascent; `small` has it filled from its surroundings."""
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
            pictures.append(detailed_class_seeds(classifier.seeds, mix, height, width, [seed]))
        return torch.cat(pictures).to(small)
    return small
