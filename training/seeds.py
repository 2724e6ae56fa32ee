"""Class seeds for every class of the training pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..models import ClassSeeds
from ..synthesis import fit_seeds, seed_size
from .data import Pictures


def all_seeds(pictures: Pictures, classes: int, input_size: int) -> ClassSeeds:
    """The Gaussians (arXiv 1906.09453, section 3.1) of all classes, each fitted to its own pictures."""
    seeds = None
    for index in range(classes):
        own = pictures.images[pictures.classes == index]
        # In parts, because as floats all at once would take four times their memory.
        size = seed_size(None, input_size)
        small = [F.interpolate(part.float() / 255, size, mode="area") for part in own.split(1024)]
        seeds = fit_seeds(torch.cat(small), index, seeds, input_size)
    assert seeds is not None, "there are two classes or more"
    return seeds
