"""Climbing inside a mask: what inpainting and painting have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ..ascent import AscentSettings, Callback, ascend, through
from ..constraints import composite
from ..objectives import Loss, penalised
from ..settings import DetailedSettings
from ..views import See, View, feathered, in_tiles
from .detail import add_detail


@dataclass(frozen=True, kw_only=True)
class MaskedSettings(DetailedSettings):
    """How to climb inside a mask.

    The lengths of `ClimbSettings` are for a view that is all masked, and shrink with the square root of the share
    that is (but those of `linf`); with a penalty the whole view climbs, and they are what they say.
    """

    feather: int = 0
    """Pixels, as the classifier sees them, over which the change fades in from the rim of the mask, inside of it."""
    penalty: float = 0.0
    """The paper's lambda. Above 0 the surroundings take part in the climb, at this price for their mean squared
    change; the result shows them as they were all the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feather < 0:
            raise ValueError(f"Feather is {self.feather}; it must be 0 or more.")
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"The penalty is {self.penalty}; it must be a number from 0.")


def climb_inside(
    images: Tensor,
    start: Tensor,
    mask: Tensor,
    view: View,
    see: See,
    loss: Callable[[See], Loss],
    settings: MaskedSettings,
    tile: int,
    callback: Callback | None = None,
    strength: float = 1.0,
) -> Tensor:
    """Climb inside a mask: as the classifier sees the whole view, then in tiles of it at finer resolutions.

    Args:
        images: `[B, 3, H, W]`: the pictures.
        start: their view, changed or not, to start from.
        mask: `[B, 1, H, W]` in [0, 1].
        view: of the mask and its surroundings.
        see: what to climb, as the loss wants it.
        loss: from a way to see pictures to what to descend.
        settings: how.
        tile: the side of a tile, in pixels: the classifier's input size.
        callback: see `ascent.Callback`.
        strength: multiplies step size and epsilon.

    Returns:
        `[B, 3, H, W]` in [0, 1]; what enlarging a change spills beyond the mask is still there.
    """

    def climb(seen: View, shown: Tensor, ascent: AscentSettings, report: Callback | None) -> Tensor:
        # As many pixels at finer resolutions, so that less of the rim is without detail.
        soft = feathered(seen.look(mask), settings.feather)
        goal = loss(see if seen is view else in_tiles(see, tile))
        return _climb(shown, soft, goal, settings, ascent, report, strength)

    before = view.look(images)
    back = partial(view.put_back, images, before)
    climbed = climb(view, start, settings.ascent(*view.size), callback and through(callback, back))
    return add_detail(back(climbed), view, settings, tile, climb, callback)


def _climb(
    start: Tensor,
    soft: Tensor,
    loss: Loss,
    settings: MaskedSettings,
    ascent: AscentSettings,
    callback: Callback | None,
    strength: float,
) -> Tensor:
    if settings.penalty > 0:
        scale = soft.new_full((1, 1, 1, 1), strength)
        climbed = ascend(start, penalised(loss, start, soft, settings.penalty), ascent, None, callback, scale)
        return composite(start, climbed, soft)
    # The same change a pixel, however large the mask is; `linf` lengths are a pixel's already.
    share = soft.new_ones(1) if settings.norm == "linf" else soft.mean((1, 2, 3), keepdim=True)
    scale = strength * share.view(-1, 1, 1, 1).sqrt()
    return ascend(start, loss, ascent, soft, callback, scale)
