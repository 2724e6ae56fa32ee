"""Generate images of a class: a seed from the class's Gaussian, or noise, then an ascent."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..mix import Mix
from ..presets import preset
from ..seeds import automatic_start
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
        classifier: on any device. Without class seeds (see `seeds.fit_seeds`) for the classes it starts from noise with
            the statistics of photographs.
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
    start = automatic_start(classifier.seeds, mix, height, width, random_seeds).to(classifier.mean.device)
    return translate(classifier, start, mix, settings, random_seeds, callback=callback)
