"""Class seeds for every class of the training pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..models import ClassSeeds
from ..synthesis import fit_seeds, seed_size
from .data import Pictures

CHUNK = 1024


def fit_all_seeds(pictures: Pictures, classes: int, input_size: int) -> ClassSeeds:
    """Fit the Gaussian (arXiv 1906.09453, section 3.1) of each class to its own pictures.

    Args:
        pictures: of all classes.
        classes: how many there are, 1 or more.
        input_size: the classifier's, in pixels.
    """
    seeds, size = None, seed_size(None, input_size)
    for index in range(classes):
        own = pictures.images[pictures.classes == index]
        # In chunks: float32 takes four times the memory of uint8.
        small = [F.interpolate(chunk.float() / 255, size, mode="area") for chunk in own.split(CHUNK)]
        seeds = fit_seeds(torch.cat(small), index, seeds, input_size)
    assert seeds is not None, "there is a class"
    return seeds
