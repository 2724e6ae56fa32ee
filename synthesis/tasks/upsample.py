"""Enlarge images with the detail that a class has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import AscentSettings, Callback
from ..coarse_to_fine import Level, Plan, coarse_to_fine, plan_levels
from ..constraints import Consistency
from ..mix import Mix
from ..objectives import ObjectiveName, check_objective, class_loss
from ..settings import DetailSettings, OperationSettings
from ..views import NATIVE_AREA, See, View, in_tiles, resized, whole, working_size
from .classify import target_covariance, target_weights

FACTORS = range(2, 9)


@dataclass(frozen=True, kw_only=True)
class UpsampleSettings(OperationSettings):
    """Settings of `upsample`."""

    operation: ClassVar[str] = "upsample"
    objective: ObjectiveName
    consistent: bool = True
    """Averaged back down, the result equals the input. Else it is the paper's method: every pixel is repeated, and
    the ball alone limits the ascent."""

    def __post_init__(self) -> None:
        check_objective(self.objective)


def upsample_plan(input_size: int, height: int, width: int, factor: int, settings: UpsampleSettings) -> Plan:
    """The levels of `upsample` for images of `height` x `width` pixels and a classifier of `input_size`.

    Of a consistent ascent every level is at the size of the result. The network sees it averaged down, by less from
    level to level, as far as there is detail to add; what is larger than its own size it sees in tiles.

    Raises:
        ValueError: the factor is not one of `FACTORS`.
    """
    if factor not in FACTORS:
        raise ValueError(f"The factor is {factor}; it must be from {FACTORS[0]} to {FACTORS[-1]}.")
    height, width = height * factor, width * factor
    if not settings.consistent:
        return plan_levels(whole(height, width, input_size), settings.ascent, DetailSettings(), input_size)
    levels, done = [], 0
    reductions = _reductions(factor, height, width, input_size)
    for index, reduction in enumerate(reductions):
        steps = (settings.ascent.steps * (index + 1)) // len(reductions) - done
        if steps:
            levels.append(_level(height, width, reduction, replace(settings.ascent, steps=steps), input_size))
        done += steps
    return Plan(tuple(levels))


def upsample(
    classifier: RobustClassifier,
    images: Tensor,
    factor: int,
    mix: Mix | None,
    settings: UpsampleSettings,
    callback: Callback | None = None,
) -> Tensor:
    """Enlarge images and move them towards a mix of classes (arXiv 1906.09453, section 3.4).

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        factor: how many times as wide and high the result is; one of `FACTORS`.
        mix: the classes; None for the class the classifier itself sees in each image.
        settings: see `UpsampleSettings`, and `presets` for named ones.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H * factor, W * factor]` in [0, 1]. If consistent, the mean of each block of `factor` x `factor`
        pixels is the pixel it came from, within 1e-5.

    Raises:
        ValueError: the factor is not one of `FACTORS`.
    """
    height, width = images.shape[2:]
    plan = upsample_plan(classifier.input_size, height, width, factor, settings)
    weights = target_weights(classifier, mix, images)
    size = (height * factor, width * factor)
    projection: Callable[[Tensor], Tensor] | None = None
    if settings.consistent:
        projection = Consistency(images, factor).project
        enlarged = projection(resized(images, size))
    else:
        enlarged = F.interpolate(images, size, mode="nearest")
    return coarse_to_fine(
        enlarged,
        plan,
        classifier,
        lambda see: class_loss(see, weights, settings.objective),
        projection=projection,
        covariance=target_covariance(classifier, weights, settings.ascent),
        callback=callback,
    )


def _level(height: int, width: int, reduction: int, ascent: AscentSettings, input_size: int) -> Level:
    reduced = (height // reduction, width // reduction)
    tiled = _is_tiled(reduced, input_size)
    # Tiles that are shifted from step to step leave no seams.
    jitter = input_size * reduction // 2 if tiled else ascent.jitter
    preconditioning = replace(ascent.preconditioning, side=input_size * reduction if tiled else 0)
    settings = replace(ascent, jitter=jitter, preconditioning=preconditioning)
    settings = settings.at_size(height, width)

    def see(network: See) -> See:
        if tiled:
            seen = in_tiles(network, input_size, faded=False)
        else:
            view = whole(*reduced, input_size)
            seen = lambda images: network(view.look(images))  # noqa: E731
        return seen if reduction == 1 else lambda images: seen(F.avg_pool2d(images, reduction))

    network_size = (input_size, input_size) if tiled else working_size(*reduced, input_size)
    return Level(View(((0, 0, height, width),), (height, width)), settings, network_size, tiled, see)


def _reductions(factor: int, height: int, width: int, input_size: int) -> list[int]:
    """How many pixels of the result are averaged to one at each level, from coarse to fine.

    An image that is reduced by the factor or more holds no detail that could be added.
    """
    reductions: list[int] = []
    reduction = 1
    while reduction < factor:
        reductions.insert(0, reduction)
        if not _is_tiled((height // reduction, width // reduction), input_size):
            break
        reduction *= 2
    return reductions


def _is_tiled(size: tuple[int, int], input_size: int) -> bool:
    return size[0] * size[1] > NATIVE_AREA[1] * input_size**2
