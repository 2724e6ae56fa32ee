"""Enlarge pictures with the detail that a class has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback, ascend, later, through
from ..constraints import Consistency
from ..mix import Mix
from ..objectives import ObjectiveName, class_loss
from ..settings import ClimbSettings
from ..views import NATIVE_AREA, See, in_tiles, resized, whole
from .classify import target_weights

FACTORS = range(2, 9)


@dataclass(frozen=True, kw_only=True)
class UpsampleSettings(ClimbSettings):
    """How to add detail to an enlarged picture."""

    objective: ObjectiveName
    consistent: bool = True
    """Averaged back down, the result equals the picture it came from. Else it is the paper's method: every pixel is
    repeated, and the climb is held by the ball alone."""


# arXiv 1906.09453, section 3.4 and appendix A, at 224 px.
UPSAMPLE_PAPER = UpsampleSettings(
    steps=40, step_size=1.0, norm="l2", epsilon=8.0, objective="cross-entropy", consistent=False
)
UPSAMPLE_PRESET = UpsampleSettings(
    steps=10, step_size=8.0, norm="free", objective="logit", final_step=0.2, jitter=2, keep_best=False
)


def upsample(
    classifier: RobustClassifier,
    images: Tensor,
    factor: int,
    mix: Mix | None,
    settings: UpsampleSettings,
    callback: Callback | None = None,
) -> Tensor:
    """Enlarge pictures and climb towards a mix of classes (arXiv 1906.09453, section 3.4).

    A consistent climb goes from coarse detail to fine: the classifier looks at the canvas in half the resolution and
    half of that, as far as there is detail to add, and then at all of it; what is larger than its own size it sees in
    tiles, which lie elsewhere at each step.

    Args:
        classifier: what to climb, on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        factor: how many times as wide and high the result is; one of `FACTORS`.
        mix: the classes; None for the class the classifier itself sees in each picture.
        settings: see `UpsampleSettings`, `UPSAMPLE_PRESET` and `UPSAMPLE_PAPER`.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H * factor, W * factor]` in [0, 1]. If consistent, the mean of each block of `factor` x `factor`
        pixels is the pixel it came from, within 1e-5.

    Raises:
        ValueError: the factor is not one of `FACTORS`.
    """
    if factor not in FACTORS:
        raise ValueError(f"The factor is {factor}; it must be from {FACTORS[0]} to {FACTORS[-1]}.")
    height, width = images.shape[2] * factor, images.shape[3] * factor
    weights = target_weights(classifier, mix, images)
    if not settings.consistent:
        enlarged = F.interpolate(images, (height, width), mode="nearest")
        view = whole(enlarged, classifier.input_size)
        small = view.look(enlarged)
        loss = class_loss(classifier, weights, settings.objective)
        back = partial(view.put_back, enlarged, small)
        return back(ascend(small, loss, settings.ascent(*view.size), callback=callback and through(callback, back)))
    consistency = Consistency(images, factor)
    canvas = consistency.project(resized(images, (height, width)))
    stages = _stages(factor, height, width, classifier.input_size)
    done = 0
    for index, stage in enumerate(stages):
        steps = (settings.steps * (index + 1)) // len(stages) - done
        if steps == 0:
            continue
        # Tiles that lie elsewhere at each step leave no seams.
        jitter = classifier.input_size * stage.reduction // 2 if stage.tiled else settings.jitter
        ascent = replace(settings, steps=steps, jitter=min(jitter, min(height, width) - 1)).ascent(height, width)
        loss = class_loss(_stage_logits(classifier, stage), weights, settings.objective)
        canvas = ascend(
            canvas, loss, ascent, callback=callback and later(callback, done), projection=consistency.project
        )
        done += steps
    return canvas


@dataclass(frozen=True)
class _Stage:
    """How the classifier sees the canvas during some of the steps."""

    reduction: int
    """Canvas pixels that are averaged to one, across and down."""
    tiled: bool


def _stages(factor: int, height: int, width: int, input_size: int) -> list[_Stage]:
    """From coarse to fine. A view reduced by the factor or more holds no detail that could be added."""
    stages: list[_Stage] = []
    reduction = 1
    while reduction < factor:
        tiled = (height // reduction) * (width // reduction) > NATIVE_AREA[1] * input_size**2
        stages.insert(0, _Stage(reduction, tiled))
        if not tiled:
            break
        reduction *= 2
    return stages


def _stage_logits(classifier: RobustClassifier, stage: _Stage) -> See:
    size = classifier.input_size
    see = (
        in_tiles(classifier, size, faded=False)
        if stage.tiled
        else lambda images: classifier(whole(images, size).look(images))
    )
    return see if stage.reduction == 1 else lambda images: see(F.avg_pool2d(images, stage.reduction))
