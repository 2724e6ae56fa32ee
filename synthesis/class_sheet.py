"""The sheet of small pictures that the editor's class picker shows: what a classifier paints of each class."""

from __future__ import annotations

from collections.abc import Sequence

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
        classifier: see `class_picture`.
        callback: see `ascent.Callback`.
    """
    return joined([class_picture(classifier, index, callback) for index in range(len(classifier.labels))])


def class_picture(classifier: RobustClassifier, index: int, callback: Callback | None = None) -> Image.Image:
    """A small generated picture of a class, `SIDE` pixels wide and high.

    Args:
        classifier: on any device.
        index: of the class.
        callback: see `ascent.Callback`.
    """
    (made,) = generate(classifier, Mix.single(index), [RANDOM_SEED], callback=callback)
    return ImageOps.fit(to_pil_image(made.cpu()), (SIDE, SIDE), Image.Resampling.LANCZOS)


def joined(pictures: Sequence[Image.Image]) -> Image.Image:
    """The sheet of the pictures of all classes."""
    return image_grid([pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)], gap=0)
