"""The strongest features of a region, as Find Features lists them and Activation Paint takes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..synthesis import region_features
from ..synthesis.ascent import Callback
from ..synthesis.mix import LARGEST_WEIGHT, SMALLEST_WEIGHT
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch
from .masked import read_mask
from .tensors import all_alike, images_from_comfy, same_batch


def strongest_features(
    classifier: LoadedClassifier, image: Tensor, mask: Tensor | None, count: int
) -> list[tuple[int, float]]:
    """Features and their activations, the strongest first, the mean over a batch.

    Args:
        classifier: whose features.
        image: IMAGE.
        mask: MASK; None, or the placeholder of Load Image, for all of the picture.
        count: how many; more than there are: all.

    Raises:
        ValueError: a mask that marks nothing.
    """
    model = classifier.model
    images = images_from_comfy(image)
    masks = None if mask is None else read_mask(mask, *images.shape[2:])
    if masks is None:
        masks = torch.ones_like(images[:1, :1])
    images, masks = same_batch(images, masks)
    if not bool(masks.flatten(1).any(1).all()):
        raise ValueError("The mask of the region is empty: paint over what to take the features from.")

    def work(chunk: Tensor, part: slice, _report: Callback) -> Tensor:
        return region_features(model, chunk, masks[part].to(chunk))

    activations = run_batch(classifier, images, work, together=all_alike(masks)).float().mean(0)
    top = activations.topk(min(count, len(activations)))
    # As a weight, an activation must be one that an expression may have.
    strengths = top.values.clamp(SMALLEST_WEIGHT, LARGEST_WEIGHT)
    return list(zip(top.indices.tolist(), strengths.tolist(), strict=True))


def feature_text(features: Sequence[tuple[int, float]]) -> str:
    """As an expression that `feature` understands: `32:1.52, 169:0.9`."""
    return ", ".join(f"{index}:{activation:.3f}" for index, activation in features)
