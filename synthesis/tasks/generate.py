"""Generate images of a class: a blurry picture of it, or of something like it, then an ascent."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..mix import Mix
from ..presets import preset
from ..seeds import CANDIDATES, best_of, detailed_class_seeds, has_seeds, natural_pictures
from .classify import class_cross_entropy
from .translate import TranslateSettings, translate


def generate(
    classifier: RobustClassifier,
    mix: Mix,
    random_seeds: Sequence[int],
    settings: TranslateSettings | None = None,
    size: tuple[int, int] | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Generate one image for each random seed (arXiv 1906.09453, section 3.1).

    Args:
        classifier: on any device.
        mix: the classes; the seeds blend those with a positive weight.
        random_seeds: one for each image. The same seed gives the same image, alone or in a batch.
        settings: of the ascent; the preset `generate` by default.
        size: height and width in pixels; the classifier's input size by default.
        callback: see `ascent.Callback`.

    Returns:
        `[len(random_seeds), 3, H, W]` in [0, 1], float32, on the classifier's device.
    """
    settings = settings or preset(TranslateSettings, "generate").settings
    height, width = size or (classifier.input_size, classifier.input_size)
    start = automatic_start(classifier, mix, height, width, random_seeds)
    return translate(classifier, start, mix, settings, random_seeds, callback=callback)


def automatic_start(
    classifier: RobustClassifier, mix: Mix, height: int, width: int, random_seeds: Sequence[int]
) -> Tensor:
    """What `generate` starts from: `detailed_class_seeds`, or without seeds the best of some `natural_pictures`.

    Returns:
        `[len(random_seeds), 3, height, width]` in [0, 1], float32, on the classifier's device.
    """
    device, seeds = classifier.mean.device, classifier.seeds
    if seeds is not None and has_seeds(seeds, mix):
        return detailed_class_seeds(seeds, mix, height, width, random_seeds).to(device)

    def draw(numbers: Sequence[int]) -> Tensor:
        return natural_pictures(height, width, numbers).to(device)

    return best_of(CANDIDATES, draw, class_cross_entropy(classifier, mix), random_seeds)
