"""What the nodes that climb inside a mask have in common."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..synthesis import MaskedSettings
from ..synthesis.ascent import Callback
from . import runtime
from .tensors import all_alike, images_from_comfy, images_to_comfy, mask_from_comfy, same_batch

MaskedWork = Callable[[Tensor, Tensor, slice, Callback], Tensor]
"""From images and masks on the classifier's device, their place in the batch, and a callback, to new images."""


def work_inside(
    classifier: runtime.LoadedClassifier, image: Tensor, mask: Tensor, settings: MaskedSettings, work: MaskedWork
) -> Tensor:
    """Run work on an IMAGE and a MASK; where nothing is masked, say so and give the pictures back as they are."""
    images = images_from_comfy(image)
    masks = mask_from_comfy(mask, *images.shape[2:])
    if masks is None or not bool(masks.any()):
        runtime.say("The mask is empty: nothing is painted over, so the picture is unchanged.")
        return runtime.to_intermediate(images_to_comfy(images))
    images, masks = same_batch(images, masks)

    def on_device(chunk: Tensor, part: slice, report: Callback) -> Tensor:
        return work(chunk, masks[part].to(chunk), part, report)

    steps = settings.all_steps(masks, classifier.robust.input_size)
    return images_to_comfy(runtime.synthesize(classifier, images, steps, on_device, together=all_alike(masks)))
