"""Large pictures from close by: crops as large as the classifier's own pictures, judged as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import seeds_of_each_class, translated
from .generation import COLUMNS, FIRST_SEED, PRESET, figures, own_seeds
from .judge import Judge
from .metrics import grid, spectrum_slope

SIDE = 1024
"""The width and height of the large pictures."""
CROPS = 5
"""Of each large picture."""


def large(judge: Judge, classifier: RobustClassifier, ensemble: RobustClassifier, test: Pictures) -> None:
    """Compare crops of large pictures, with detail of the classifier's own and merely enlarged, one picture a class.

    `ensemble` has the classes and the seeds of `classifier`, and begins with the same pictures.
    """
    side = classifier.input_size
    real, pictures = judge.features(as_float(test)), as_float(test)
    table = Table(f"{side}-pixel crops of {len(classifier.labels)} pictures of {SIDE} pixels, {CROPS} of each", COLUMNS)
    agreed = judge.agreement(real, test.classes)
    table.row("the test pictures themselves", agreed, None, None, grid(pictures), spectrum_slope(pictures))
    seeds, classes = seeds_of_each_class(own_seeds(classifier), SIDE, [FIRST_SEED])
    targets = classes.repeat_interleave(CROPS)
    for name, painter, settings in (
        ("enlarged", classifier, PRESET.with_values(detail_steps=0)),
        ("`generate`", classifier, PRESET),
        ("... by `canvas-ensemble`", ensemble, PRESET),
    ):
        images = translated(painter, seeds, classes, settings)
        table.row(name, *figures(judge, _crops(images, side), targets, real))


def _crops(images: Tensor, side: int) -> Tensor:
    """`CROPS` crops of each of `[N, 3, H, W]`, at the same random places in all; `[N * CROPS, 3, side, side]`."""
    generator = torch.Generator().manual_seed(0)
    places = [
        [int(torch.randint(length - side + 1, (), generator=generator)) for length in images.shape[-2:]]
        for _ in range(CROPS)
    ]
    crops = [images[..., top : top + side, left : left + side] for top, left in places]
    return torch.stack(crops, 1).flatten(0, 1)
