"""What the nodes that climb inside a mask have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import MaskedSettings
from ..synthesis.ascent import Callback, through
from ..synthesis.views import around
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .comfy.status import show_status
from .film import Film
from .tensors import all_alike, images_from_comfy, images_to_comfy, mask_from_comfy, same_batch

MaskedWork = Callable[[Tensor, Tensor, slice, Callback], Tensor]
"""From images and masks on the classifier's device, their place in the batch, and a callback, to new images."""


def work_inside(
    classifier: LoadedClassifier,
    image: Tensor,
    mask: Tensor,
    settings: MaskedSettings,
    work: MaskedWork,
    animate: int,
) -> io.NodeOutput:
    """Run work on an IMAGE and a MASK; where nothing is masked, say so and give the pictures back as they are."""
    film = Film(animate)
    images = images_from_comfy(image)
    masks = mask_from_comfy(mask, *images.shape[2:])
    if masks is None or not bool(masks.any()):
        show_status("The mask is empty: nothing is painted over, so the picture is unchanged.")
        unchanged = to_intermediate(images_to_comfy(images))
        return io.NodeOutput(unchanged, unchanged)
    images, masks = same_batch(images, masks)

    def on_device(chunk: Tensor, part: slice, report: Callback) -> Tensor:
        own = masks[part].to(chunk)
        # What is enlarged from the classifier's view spills a little over the mask until the end.
        return work(chunk, own, part, through(report, lambda now: torch.where(own == 0, chunk, now)))

    steps = settings.all_steps(around(masks, classifier.model.input_size))
    made = run_batch(classifier, images, steps, on_device, together=all_alike(masks), film=film)
    return io.NodeOutput(images_to_comfy(made), film.to_comfy(made))
