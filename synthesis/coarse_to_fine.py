"""The coarse-to-fine driver: an ascent at the size the classifier sees, then at finer levels in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ..models.checkpointing import KEPT_BYTES
from .ascent import AscentSettings, Callback, ascend, on_full_images
from .constraints import Constraint, composite
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
        preconditioning = replace(ascent.preconditioning, side=input_size)
        settings = replace(ascent, steps=detail.steps, views=1, jitter=input_size // 2, preconditioning=preconditioning)
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
        start: what the first level starts from, `[B, 3, *plan.levels[0].view.size]`; by default its view. Of the images
            with it put back, the result is in the constraint's ball.
        mask: `[B, 1, H, W]` in [0, 1]: where images may change.
        mask_settings: feather and penalty. With them step size and epsilon are those of an image that is all masked,
            and shrink with the square root of the share that is. None: lengths as they are, no feather, no penalty.
        strength: multiplies step size and epsilon; `[B, 1, 1, 1]` for one of its own for each image.
        projection: see `ascent.ascend`. It has the last word, after the ball.
        covariance: see `ascent.ascend`.
        callback: see `ascent.Callback`; it sees images `[B, 3, H, W]`, and steps are counted over all levels.

    Returns:
        `[B, 3, H, W]` in [0, 1]. Enlarging a change can spill a little beyond the mask.
    """
    done = 0
    origin = images
    for number, level in enumerate(plan.levels):
        before = first = level.view.look(images)
        if number == 0 and start is not None:
            first, origin = start, level.view.put_back(images, before, start)
        level_mask = None if mask is None else level.view.look(mask)
        soft, penalty, scale = level_mask, 0.0, None
        if level_mask is not None and mask_settings is not None:
            soft, penalty = feathered(level_mask, mask_settings.feather), mask_settings.penalty
            scale = _length_scale(soft, level.ascent.constraint, penalty, strength)
        back = partial(_put_back, level, images, before, origin, scale, projection)
        report = None if callback is None else on_full_images(counted_from(done, callback), back)
        run = partial(ascend, first, callback=report, scale=scale, projection=projection, covariance=covariance)
        level_loss = loss(level.see(network))
        if soft is not None and penalty > 0:
            after = composite(first, run(penalised(level_loss, first, soft, penalty), level.ascent), soft)
        else:
            after = run(level_loss, level.ascent, soft)
        images = back(after)
        done += level.ascent.steps
    return images


def _length_scale(mask: Tensor, constraint: Constraint, penalty: float, strength: float | Tensor) -> Tensor:
    """What step size and epsilon are multiplied by, `[B, 1, 1, 1]`, inside a mask `[B, 1, h, w]`."""
    if penalty > 0:
        return strength * mask.new_ones(1, 1, 1, 1)
    # The same change per pixel, however large the mask is; `linf` lengths are per pixel already.
    share = mask.new_ones(1) if constraint.name == "linf" else mask.mean((1, 2, 3), keepdim=True)
    return strength * share.view(-1, 1, 1, 1).sqrt()


def _put_back(
    level: Level,
    images: Tensor,
    before: Tensor,
    origin: Tensor,
    scale: Tensor | None,
    projection: Callable[[Tensor], Tensor] | None,
    after: Tensor,
) -> Tensor:
    """The full images with what changed in the level's view, in the ball around the full images of the beginning."""
    images = level.view.put_back(images, before, after)
    constraint = level.ascent.constraint
    if constraint.name == "none":
        return images
    # Enlarging a change overshoots, and each level has a ball of its own.
    scale = images.new_ones(1, 1, 1, 1) if scale is None else scale
    if constraint.name == "l2":
        scale = scale * images.new_tensor(level.view.enlargements(len(images))).view(-1, 1, 1, 1).sqrt()
    images = constraint.project(images, origin, scale)
    return images if projection is None else projection(images)


def counted_from(done: int, callback: Callback) -> Callback:
    """A callback whose steps begin after so many others."""
    return lambda step, losses, picture: callback(step + done, losses, picture)
