"""Random views of a picture. What is only in one of them does not add up in the mean of many gradients."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CROP = 128 / 224
"""The side of a crop, as a fraction of the picture's."""
CROP_WEIGHT = 5.0
"""How much the loss of a crop counts beside that of a whole view."""
SCALES, SHIFT = (0.8, 1.2), 0.125
"""Of whole views: how much of the picture they show, across, and by which fraction of its side they are shifted."""
# Steps of the R3 low-discrepancy sequence, which covers scales and places more evenly than chance.
R3 = (0.8191725134, 0.6710436067, 0.5497004779)


def random_view(images: Tensor, number: int) -> Tensor:
    """A view of images `[B, 3, H, W]`, of the same size, as in CLIPAG (Ganz and Elad, arXiv 2306.16805).

    For even numbers it is the whole picture, shifted and scaled, for odd ones a crop, enlarged. Beyond the edges the
    picture is reflected. CLIPAG's changes of colour, its noise and its cutouts are left out. The views are a fixed
    sequence: they depend on neither seed nor batch.
    """
    first, second, third = ((0.5 + number * rate) % 1 for rate in R3)
    scale = CROP if number % 2 else SCALES[0] + first * (SCALES[1] - SCALES[0])
    # In the coordinates of `affine_grid` a picture reaches from -1 to 1.
    reach = 1 - CROP if number % 2 else 2 * SHIFT
    theta = images.new_tensor([[scale, 0, reach * (2 * second - 1)], [0, scale, reach * (2 * third - 1)]])
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def view_weight(number: int) -> float:
    """How much a view's loss counts."""
    return CROP_WEIGHT if number % 2 else 1.0
