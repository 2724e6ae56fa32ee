"""The coarse-to-fine driver: an ascent at the size the classifier sees, then at finer levels in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ..models.checkpointing import KEPT_BYTES
from .ascent import AscentSettings, Callback, ascend, on_full_images
from .constraints import composite
from .objectives import Loss, penalised
from .settings import DetailSettings, MaskSettings
from .views import TILES_AT_ONCE, See, View, feathered, in_tiles


@dataclass(frozen=True)
class Level:
    """One resolution of the ascent."""

    view: View
    ascent: AscentSettings
    """For images of the size of the view."""
    network_size: tuple[int, int]
    """Height and width of what the network sees at once."""
    tiled: bool
    see: Callable[[See], See]
    """From a network to the function that the loss reads: the network itself, or in tiles of the level."""


@dataclass(frozen=True)
class Plan:
    """The levels of one operation on images of one size, from coarse to fine."""

    levels: tuple[Level, ...]

    @property
    def steps(self) -> int:
        """Of all levels together."""
        return sum(level.ascent.steps for level in self.levels)

    def network_input(self, batch: int) -> tuple[int, int, int]:
        """The largest input of the network for a batch of images: count, height and width."""
        inputs = [(TILES_AT_ONCE if level.tiled else batch, *level.network_size) for level in self.levels]
        return max(inputs, key=lambda shape: shape[0] * shape[1] * shape[2])

    @property
    def kept_bytes(self) -> int:
        """How much is kept, at most, of the activations of other tiles than those of one such input."""
        return KEPT_BYTES if any(level.tiled for level in self.levels) else 0


def plan_levels(view: View, ascent: AscentSettings, detail: DetailSettings, input_size: int) -> Plan:
    """The plan of an ascent: the view itself, then finer versions of it, seen in tiles of about `input_size`.

    Tiles are shifted by up to half their side from step to step, so that they leave no seams.
    """
    levels = [Level(view, ascent.at_size(*view.size), view.size, False, lambda network: network)]
    for finer in view.finer() if detail.steps else []:
        jitter = min(input_size // 2, min(finer.size) - 1)
        preconditioning = replace(ascent.preconditioning, side=input_size)
        settings = replace(ascent, steps=detail.steps, views=1, jitter=jitter, preconditioning=preconditioning)
        settings = settings.at_size(*finer.size)
        tiles = partial(in_tiles, side=input_size)
        levels.append(Level(finer, settings, (input_size, input_size), True, tiles))
    return Plan(tuple(levels))


def coarse_to_fine(
    images: Tensor,
    plan: Plan,
    network: See,
    loss: Callable[[See], Loss],
    *,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    mask_settings: MaskSettings | None = None,
    strength: float | Tensor = 1.0,
    projection: Callable[[Tensor], Tensor] | None = None,
    covariance: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Run the ascent of each level of a plan, and put what it changes back into the images at full resolution.

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        plan: the levels.
        network: what the loss reads, for images of about its input size.
        loss: from what sees the images of a level to the loss to descend.
        start: what the first level starts from, `[B, 3, *plan.levels[0].view.size]`; by default its view.
        mask: `[B, 1, H, W]` in [0, 1]: where images may change.
        mask_settings: feather and penalty. With them step size and epsilon are those of an image that is all masked,
            and shrink with the square root of the share that is. None: lengths as they are, no feather, no penalty.
        strength: multiplies step size and epsilon; `[B, 1, 1, 1]` for one of its own for each image.
        projection: see `ascent.ascend`.
        covariance: see `ascent.ascend`.
        callback: see `ascent.Callback`; it sees images `[B, 3, H, W]`, and steps are counted over all levels.

    Returns:
        `[B, 3, H, W]` in [0, 1]. Enlarging a change can spill a little beyond the mask.
    """
    done = 0
    for level in plan.levels:
        before = level.view.look(images)
        first = before if start is None else start
        start = None
        back = partial(level.view.put_back, images, before)
        report = None if callback is None else on_full_images(counted_from(done, callback), back)
        level_mask = None if mask is None else level.view.look(mask)
        level_loss = loss(level.see(network))
        if level_mask is None or mask_settings is None:
            after = ascend(
                first,
                level_loss,
                level.ascent,
                level_mask,
                report,
                projection=projection,
                covariance=covariance,
            )
        else:
            soft = feathered(level_mask, mask_settings.feather)
            ascent = partial(ascend, first, callback=report, covariance=covariance)
            after = _ascend_inside(ascent, first, level_loss, level.ascent, soft, mask_settings.penalty, strength)
        images = back(after)
        done += level.ascent.steps
    return images


def _ascend_inside(
    run: Callable[..., Tensor],
    start: Tensor,
    loss: Loss,
    ascent: AscentSettings,
    mask: Tensor,
    penalty: float,
    strength: float | Tensor,
) -> Tensor:
    if penalty > 0:
        optimised = run(penalised(loss, start, mask, penalty), ascent, scale=strength * mask.new_ones(1, 1, 1, 1))
        return composite(start, optimised, mask)
    # The same change per pixel, however large the mask is; `linf` lengths are per pixel already.
    share = mask.new_ones(1) if ascent.constraint.name == "linf" else mask.mean((1, 2, 3), keepdim=True)
    return run(loss, ascent, mask, scale=strength * share.view(-1, 1, 1, 1).sqrt())


def counted_from(done: int, callback: Callback) -> Callback:
    """A callback whose steps begin after so many others."""
    return lambda step, losses, picture: callback(step + done, losses, picture)
