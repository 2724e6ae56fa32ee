"""Generation: pictures of each class from its seeds, by the paper's settings and by ours."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import (
    TRANSLATE_PAPER,
    TRANSLATE_PRESETS,
    Mix,
    TranslateSettings,
    class_seeds,
    translate,
)

from .judge import accuracy, frechet_distance
from .measures import Pictures, Table, climbed

COLUMNS = {"steps": "d", "judge": ".1%", "Frechet": ".2f", "s a picture": ".3f"}
# Other seeds than those that settings are chosen with.
FIRST_SEED = 1000


def generation(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, each: int) -> None:
    """Print how pictures look to the judge, so many of each class."""
    if classifier.seeds is None:
        raise SystemExit("The classifier has no class seeds.")
    count, size = len(classifier.labels), classifier.input_size
    numbers = range(FIRST_SEED, FIRST_SEED + each)
    seeds = torch.cat([class_seeds(classifier.seeds, Mix(((c, 1.0),)), size, size, numbers) for c in range(count)])
    asked = torch.arange(count).repeat_interleave(each)
    title = f"Generation, {len(seeds)} pictures; Frechet distance to the {len(test)} test pictures"
    table = Table(title, COLUMNS)
    table.row("the test pictures themselves", 0, accuracy(judge, test.images, test.classes), None, None)
    table.row("the seeds", 0, accuracy(judge, seeds, asked), frechet_distance(judge, seeds, test.images), None)
    for name, settings in {
        "the paper's settings": TRANSLATE_PAPER["generate"],
        "our `generate`": TRANSLATE_PRESETS["generate"],
    }.items():
        images, seconds = climbed(partial(climb, classifier, seeds, settings), asked)
        right, distance = accuracy(judge, images, asked), frechet_distance(judge, images, test.images)
        table.row(name, settings.steps, right, distance, seconds)


def climb(
    classifier: RobustClassifier, images: Tensor, settings: TranslateSettings, rows: Tensor, mix: Mix | None
) -> Tensor:
    """Some rows of pictures, translated."""
    return translate(classifier, images[rows], mix, settings, rows.tolist())
