"""The sheet of small pictures that the editor's class picker shows: what a classifier paints of each class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from ..models import RobustClassifier
from ..models.thumbnails import COLUMNS, SIDE
from .ascent import Callback
from .figures import image_grid
from .mix import Mix
from .presets import preset
from .seeds import class_seeds, photo_noise
from .tasks.translate import TranslateSettings, translate

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
        classifier: on any device. A class without seeds starts from noise with the statistics of photographs.
        index: of the class.
        callback: see `ascent.Callback`.
    """
    mix = Mix.single(index)
    start = _start(classifier, mix).to(classifier.mean.device)
    settings = preset(TranslateSettings, "generate").settings
    (made,) = translate(classifier, start, mix, settings, [RANDOM_SEED], callback=callback)
    return ImageOps.fit(to_pil_image(made.cpu()), (SIDE, SIDE), Image.Resampling.LANCZOS)


def joined(pictures: Sequence[Image.Image]) -> Image.Image:
    """The sheet of the pictures of all classes."""
    return image_grid([pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)], gap=0)


def _start(classifier: RobustClassifier, mix: Mix) -> Tensor:
    side, seeds = classifier.input_size, classifier.seeds
    if seeds is None or mix.weights[0][0] not in seeds.classes:
        return photo_noise(side, side, [RANDOM_SEED])
    return class_seeds(seeds, mix, side, side, [RANDOM_SEED])
