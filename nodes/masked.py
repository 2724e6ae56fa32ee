"""Run an operation inside a mask."""

from __future__ import annotations

from collections.abc import Callable

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis.ascent import Callback, on_full_images
from ..synthesis.coarse_to_fine import Plan
from .alpha import with_alpha
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .comfy.status import show_status
from .film import Film
from .tensors import all_alike, faint_note, images_from_comfy, images_to_comfy, mask_from_comfy, same_batch

MaskedWork = Callable[[Tensor, Tensor, slice, Callback], Tensor]
"""From images and masks on the classifier's device, their place in the batch, and a callback, to new images."""


def work_inside(
    classifier: LoadedClassifier,
    image: Tensor,
    mask: Tensor,
    plan: Callable[[Tensor], Plan],
    work: MaskedWork,
    animate: int,
) -> io.NodeOutput:
    """Run work on an IMAGE and a MASK; with an empty mask, return the pictures as they are and say so.

    Args:
        classifier: the classifier that work uses.
        image: IMAGE.
        mask: MASK.
        plan: gives the plan of work's ascent for masks `[B, 1, H, W]`.
        work: see `MaskedWork`.
        animate: how many steps lie between two frames; 0 for no film.
    """
    film = Film(animate)
    images = images_from_comfy(image)
    masks = read_mask(mask, *images.shape[2:])
    if masks is not None:
        images, masks = same_batch(images, masks)
    if masks is None or not bool(masks.any()):
        show_status("The mask is empty, or too faint to show: nothing is painted over, so the picture is unchanged.")
        unchanged = with_alpha(to_intermediate(images_to_comfy(images)), image)
        return io.NodeOutput(unchanged, unchanged)

    def on_device(chunk: Tensor, part: slice, report: Callback) -> Tensor:
        own = masks[part].to(chunk)
        return work(chunk, own, part, kept_outside(report, chunk, own))

    made = run_batch(classifier, images, on_device, plan=plan(masks), together=all_alike(masks), film=film)
    return io.NodeOutput(with_alpha(images_to_comfy(made), image), film.to_comfy(made, image, with_alpha))


def read_mask(mask: Tensor, height: int, width: int) -> Tensor | None:
    """`mask_from_comfy`; if most of the mask is faint the node says so."""
    masks = mask_from_comfy(mask, height, width)
    note = faint_note(mask)
    if note is not None:
        show_status(note)
    return masks


def kept_outside(report: Callback, images: Tensor, masks: Tensor) -> Callback:
    """A callback that sees the original images outside the masks: on the way, a change spills a little over them."""
    return on_full_images(report, lambda now: torch.where(masks == 0, images, now))
