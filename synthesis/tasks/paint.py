"""Paint features into images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..coarse_to_fine import Plan, coarse_to_fine, plan_levels
from ..objectives import feature_loss
from ..settings import DetailSettings, MaskSettings, OperationSettings
from ..views import around

FEATURE_WEIGHT = 0.1
"""The paper's factor for features; it matters only beside the penalty."""


@dataclass(frozen=True, kw_only=True)
class PaintSettings(OperationSettings):
    """Settings of `paint`."""

    operation: ClassVar[str] = "paint"
    detail: DetailSettings = field(default_factory=DetailSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)


def paint_plan(input_size: int, mask: Tensor, settings: PaintSettings) -> Plan:
    """The levels of `paint` for masks `[B, 1, H, W]` and a classifier of `input_size`."""
    return plan_levels(around(mask, input_size), settings.ascent, settings.detail, input_size)


def paint(
    classifier: RobustClassifier,
    images: Tensor,
    mask: Tensor,
    features: Tensor,
    strength: float,
    settings: PaintSettings,
    callback: Callback | None = None,
) -> Tensor:
    """Paint features inside a mask by an ascent on them (arXiv 1906.09453, section 4.2).

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mask: `[B, 1, H, W]` in [0, 1]: where to paint. Where it is 0 the images stay bit for bit.
        features: the weight of each feature, `[F]`, or `[B, F]` for a mix of its own for each image.
        strength: multiplies step size and epsilon.
        settings: see `PaintSettings`, and `presets` for named ones.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H, W]` in [0, 1].

    Raises:
        ValueError: the strength is not a number above 0.
    """
    if not 0 < strength < float("inf"):
        raise ValueError(f"The strength is {strength}; it must be a number above 0.")
    changed = coarse_to_fine(
        images,
        paint_plan(classifier.input_size, mask, settings),
        # A feature that an image does not show is switched off. With the fake ReLU it has a gradient all the same.
        partial(classifier.features, fake_relu=True),
        lambda see: feature_loss(see, FEATURE_WEIGHT * features),
        mask=mask,
        mask_settings=settings.mask,
        strength=strength,
        callback=callback,
    )
    # The ascent has blended by the mask already.
    return torch.where(mask == 0, images, changed)
