"""The sheet of small pictures that the editor's class picker shows: what a classifier paints of each class."""

from __future__ import annotations

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
        classifier: on any device. A class without seeds starts from noise with the statistics of photographs.
        callback: see `ascent.Callback`.
    """
    settings = preset(TranslateSettings, "generate").settings
    tiles = []
    for index in range(len(classifier.labels)):
        mix = Mix.single(index)
        start = _start(classifier, mix).to(classifier.mean.device)
        (made,) = translate(classifier, start, mix, settings, [RANDOM_SEED], callback=callback)
        tiles.append(ImageOps.fit(to_pil_image(made.cpu()), (SIDE, SIDE), Image.Resampling.LANCZOS))
    return image_grid([tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)], gap=0)


def _start(classifier: RobustClassifier, mix: Mix) -> Tensor:
    side, seeds = classifier.input_size, classifier.seeds
    if seeds is None or mix.weights[0][0] not in seeds.classes:
        return photo_noise(side, side, [RANDOM_SEED])
    return class_seeds(seeds, mix, side, side, [RANDOM_SEED])
