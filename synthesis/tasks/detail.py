"""Detail finer than a classifier sees at once: further climbs in more and more pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ..ascent import AscentSettings, Callback, later, through
from ..settings import DetailedSettings
from ..views import View

Climb = Callable[[View, Tensor, AscentSettings, Callback | None], Tensor]
"""From a view, what it shows (`[B, 3, *view.size]`), how to climb and a callback to what it shows afterwards."""


def add_detail(
    images: Tensor, view: View, settings: DetailedSettings, input_size: int, climb: Climb, callback: Callback | None
) -> Tensor:
    """Climb in finer and finer versions of a view, and put what each changes back into the pictures.

    Args:
        images: `[B, 3, H, W]`, in which the climb of `view` itself has been put back.
        view: what the classifier has seen of them at its own size.
        settings: how; without detail steps nothing is done.
        input_size: the classifier's.
        climb: see `Climb`.
        callback: see `ascent.Callback`; its steps go on after those of `view` itself.

    Returns:
        `[B, 3, H, W]` in [0, 1].
    """
    if settings.detail_steps == 0:
        return images
    for index, finer in enumerate(view.finer()):
        before, steps = finer.look(images), settings.steps + index * settings.detail_steps
        back = partial(finer.put_back, images, before)
        report = callback and through(later(callback, steps), back)
        images = back(climb(finer, before, settings.detail(finer, input_size), report))
    return images
