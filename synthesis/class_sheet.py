"""The sheet of small pictures that the editor's class picker shows: what a classifier paints of each class."""

from __future__ import annotations

from PIL import Image, ImageOps
from torchvision.transforms.functional import to_pil_image

from ..models import RobustClassifier
from ..models.thumbnails import COLUMNS, SIDE
from .ascent import Callback
from .figures import image_grid
from .mix import Mix
from .tasks.generate import generate

RANDOM_SEED = 100


def class_sheet(classifier: RobustClassifier, callback: Callback | None = None) -> Image.Image:
    """One generated picture of each class, as `models.thumbnails` lays them out.

    Args:
        classifier: with seeds of all its classes, on any device.
        callback: see `ascent.Callback`.
    """
    tiles = []
    for index in range(len(classifier.labels)):
        (made,) = generate(classifier, Mix.single(index), [RANDOM_SEED], callback=callback)
        tiles.append(ImageOps.fit(to_pil_image(made.cpu()), (SIDE, SIDE), Image.Resampling.LANCZOS))
    return image_grid([tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)], gap=0)
