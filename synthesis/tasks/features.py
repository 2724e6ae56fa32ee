"""Which features a picture shows, and what a feature looks like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import AscentSettings, Callback, ascend
from ..objectives import feature_loss
from ..seeds import natural_noise
from ..views import around

VISUALISE = AscentSettings(steps=16, step_size=4.0, final_step=0.2, jitter=4, keep_best=False)


def region_features(classifier: RobustClassifier, images: Tensor, mask: Tensor) -> Tensor:
    """How strongly each feature shows in a region of pictures: its activation, averaged over the region.

    Args:
        classifier: on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], any H and W.
        mask: `[B, 1, H, W]` in [0, 1], above 0 somewhere: the region.

    Returns:
        `[B, F]`.
    """
    view = around(mask, classifier.input_size)
    with torch.no_grad():
        maps = classifier.feature_maps(view.look(images))
    # At its coarse grid a small region is a share of a cell, and still has its weight.
    region = torch.nn.functional.interpolate(view.look(mask), maps.shape[2:], mode="area")
    return (maps * region).sum((2, 3)) / region.sum((2, 3)).clamp(min=torch.finfo(region.dtype).tiny)


def visualise_features(
    classifier: RobustClassifier,
    features: Sequence[int],
    random_seed: int = 0,
    callback: Callback | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """What features look like: images that start from natural-spectrum noise (arXiv 1906.09453, 4.2).

    Returns:
        `[len(features), 3, input_size, input_size]` in [0, 1].
    """
    side = classifier.input_size
    noise = natural_noise(side, side, [random_seed]).expand(len(features), -1, -1, -1).to(device)
    see = partial(classifier.features, fake_relu=True)
    weights = torch.nn.functional.one_hot(torch.tensor(features), classifier.feature_count)
    return ascend(noise, feature_loss(see, weights.to(noise)), VISUALISE.at_size(side, side), callback=callback)
