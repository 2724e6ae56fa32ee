"""Pictures larger than the classifier: what each way of looking at them makes of the same seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import (
    TRANSLATE_PRESETS,
    AscentSettings,
    Mix,
    TranslateSettings,
    ascend,
    class_loss,
    class_seeds,
    translate,
)
from robust_synthesis.synthesis.ascent import Callback
from robust_synthesis.synthesis.objectives import Loss
from robust_synthesis.synthesis.tasks.detail import add_detail
from robust_synthesis.synthesis.views import See, View, in_tiles, resized, whole

from .generation import FIRST_SEED
from .judge import accuracy, frechet_distance
from .measures import Pictures, Table, climbed

TIMES = 4
"""How many times as wide and high as the classifier's own size."""
COLUMNS = {
    "judge, whole": ".1%",
    "Frechet, whole": ".2f",
    "judge, crops": ".1%",
    "Frechet, crops": ".2f",
    "s a picture": ".2f",
}
PRESET = TRANSLATE_PRESETS["generate"]
COARSE = replace(PRESET, detail_steps=0)

Make = Callable[[Tensor, Mix], Tensor]
"""From seeds and a class to pictures."""


def large(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, each: int) -> None:
    """Print how large pictures look to the judge: whole, and in crops of half their side, both reduced to its size."""
    asked = torch.arange(len(classifier.labels)).repeat_interleave(each)
    side = classifier.input_size * TIMES
    table = Table(f"Generating {side} x {side}, {len(asked)} pictures", COLUMNS)
    for name, make in ways(classifier).items():
        images, seconds = climbed(partial(_made, classifier, make, each), asked)
        parts = _crops(images)
        reduced, crops = (resized(x, (classifier.input_size,) * 2) for x in (images, parts))
        repeated = asked.repeat(len(parts) // len(images))
        table.row(
            name,
            accuracy(judge, reduced, asked),
            frechet_distance(judge, reduced, test.images),
            accuracy(judge, crops, repeated),
            frechet_distance(judge, crops, test.images),
            seconds,
        )


def ways(classifier: RobustClassifier) -> dict[str, Make]:
    """How a picture larger than the classifier can be climbed."""

    def goal(see: See, mix: Mix) -> Loss:
        return class_loss(see, mix.vector(len(classifier.labels)), PRESET.objective)

    def convolutional(seeds: Tensor, mix: Mix) -> Tensor:
        return ascend(seeds, goal(classifier, mix), COARSE.ascent(*seeds.shape[2:]))

    def plainly(settings: TranslateSettings, seeds: Tensor, mix: Mix) -> Tensor:
        return translate(classifier, seeds, mix, settings, range(len(seeds)))

    def in_all_scales(seeds: Tensor, mix: Mix) -> Tensor:
        def climb(_view: View, shown: Tensor, ascent: AscentSettings, _report: Callback | None) -> Tensor:
            return ascend(shown, goal(_in_scales(classifier), mix), ascent)

        view = whole(seeds, classifier.input_size)
        return add_detail(plainly(COARSE, seeds, mix), view, PRESET, classifier.input_size, climb, None)

    return {
        "small, then enlarged": partial(plainly, COARSE),
        "fully convolutional": convolutional,
        "stages, all scales at once": in_all_scales,
        "ours: stages, in tiles": partial(plainly, PRESET),
    }


def _in_scales(classifier: RobustClassifier) -> See:
    side = classifier.input_size

    def seen(images: Tensor) -> Tensor:
        view = whole(images, side)
        sizes = [view.size, *(finer.size for finer in view.finer())]
        looks = [F.interpolate(images, size, mode="bicubic", antialias=True) for size in sizes]
        return torch.stack([in_tiles(classifier, side)(look) for look in looks]).mean(0)

    return seen


def _made(classifier: RobustClassifier, make: Make, each: int, part: Tensor, mix: Mix | None) -> Tensor:
    assert classifier.seeds is not None
    assert mix is not None
    side = classifier.input_size * TIMES
    seeds = class_seeds(classifier.seeds, mix, side, side, [FIRST_SEED + int(index) % each for index in part])
    return make(seeds, mix)


def _crops(images: Tensor) -> Tensor:
    half, quarter = images.shape[2] // 2, images.shape[2] // 4
    places = [(top, left) for top in (0, quarter, half) for left in (0, quarter, half)]
    return torch.cat([images[:, :, top : top + half, left : left + half] for top, left in places])
