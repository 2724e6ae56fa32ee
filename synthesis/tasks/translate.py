"""Move images towards a class: translate photos, fill in drawings, refine anything; `generate` starts from seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..coarse_to_fine import Plan, coarse_to_fine, plan_levels
from ..constraints import composite
from ..mix import Mix
from ..objectives import ObjectiveName, check_objective, class_loss
from ..seeds import natural_noise
from ..settings import DetailSettings, OperationSettings
from ..views import whole
from .classify import target_covariance, target_weights


@dataclass(frozen=True, kw_only=True)
class TranslateSettings(OperationSettings):
    """Settings of `translate`."""

    operation: ClassVar[str] = "translate"
    objective: ObjectiveName
    noise: float = 0.0
    """How much natural-spectrum noise (0 to 1) is blended into the start, different noise for each image."""
    detail: DetailSettings = field(default_factory=DetailSettings)

    def __post_init__(self) -> None:
        check_objective(self.objective)
        if not 0 <= self.noise <= 1:
            raise ValueError(f"Noise is {self.noise}; it must be from 0 to 1.")


def translate_plan(input_size: int, height: int, width: int, settings: TranslateSettings) -> Plan:
    """The levels of `translate` for images of `height` x `width` pixels and a classifier of `input_size`."""
    return plan_levels(whole(height, width, input_size), settings.ascent, settings.detail, input_size)


def translate(
    classifier: RobustClassifier,
    images: Tensor,
    mix: Mix | None,
    settings: TranslateSettings,
    random_seeds: Sequence[int],
    mask: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Move images towards a mix of classes (arXiv 1906.09453, sections 3.1, 3.3 and 3.5).

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mix: the classes; None for the class the classifier itself sees in each image.
        settings: see `TranslateSettings`, and `presets` for named ones.
        random_seeds: one for each image, for the noise of the start.
        mask: `[B, 1, H, W]` in [0, 1]: where the images may change. Elsewhere they stay bit for bit.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H, W]` in [0, 1].
    """
    height, width = images.shape[2:]
    plan = translate_plan(classifier.input_size, height, width, settings)
    view = plan.levels[0].view
    small = view.look(images)
    start = small
    if settings.noise > 0:
        noise = natural_noise(*view.size, random_seeds).to(small)
        small_mask = None if mask is None else view.look(mask)
        start = composite(small, torch.lerp(small, noise, settings.noise), small_mask)
    weights = target_weights(classifier, mix, small)
    changed = coarse_to_fine(
        images,
        plan,
        classifier,
        lambda see: class_loss(see, weights, settings.objective),
        start=start,
        mask=mask,
        covariance=target_covariance(classifier, weights, settings.ascent),
        callback=callback,
    )
    # The ascent has blended by the mask already; this removes what enlarging the change spilled beyond it.
    return changed if mask is None else torch.where(mask == 0, images, changed)
