"""Class seeds for every class of the training pictures."""

from __future__ import annotations

from ..models import ClassSeeds
from ..synthesis import fit_seeds
from .data import Pictures


def all_seeds(pictures: Pictures, classes: int, input_size: int) -> ClassSeeds:
    """The Gaussians (arXiv 1906.09453, section 3.1) of all classes, each fitted to its own pictures."""
    seeds = None
    for index in range(classes):
        own = pictures.images[pictures.classes == index]
        seeds = fit_seeds(own.float() / 255, index, seeds, input_size)
    assert seeds is not None, "there are two classes or more"
    return seeds
