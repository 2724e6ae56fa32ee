"""What makes pictures better: short trainings that differ in one thing each, and what they paint from the same seeds.

`python -m robust_synthesis.benchmarks.recipes DATA.zip` prints a row for each variation and writes a sheet of their
pictures. Everything is measured on validation pictures and other seeds than the quality benchmark's. Small pictures
and few of them, because what counts is the difference.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from robust_synthesis.models import RobustClassifier, load_classifier, save_classifier
from robust_synthesis.synthesis import TRANSLATE_PRESETS, Mix, class_seeds, translate
from robust_synthesis.training.data import TrainingData, read_data
from robust_synthesis.training.evaluation import accuracy
from robust_synthesis.training.recipes import RECIPES, Attack, Recipe
from robust_synthesis.training.seeds import all_seeds
from robust_synthesis.training.trainer import Trainer

from .judge import BUILD, frechet_distance, load_judge
from .judge import accuracy as share_right
from .measures import Table, grid

SIZE, PICTURES, EACH, SHOWN = 64, 80_000, 20, 1
MEASURED_WITH = Attack("l2", 1.0, 10, 0.25)
QUICK = RECIPES["quick"]
BASE = replace(
    QUICK,
    architecture={**QUICK.architecture, "downsampling": "strided"},
    input_size=SIZE,
    attack=replace(QUICK.attack, epsilon=1.0),
    ema_decay=0.995,
    cut_mix=0.0,
    start="",
    crop_padding=6,
    smallest_crop=1.0,
)


def _network(**changes: Any) -> dict[str, Any]:
    return {"architecture": {**BASE.architecture, **changes}}


def _attack(**changes: Any) -> dict[str, Any]:
    return {"attack": replace(BASE.attack, **changes)}


VARIATIONS: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "strided, 4 x 4": _network(downsampling="even"),
    "4 x 4, overlapping averages": _network(downsampling="overlapping"),
    "epsilon 2": _attack(epsilon=2.0),
    "epsilon 0.5": _attack(epsilon=0.5),
    "cut-outs from half the area": {"smallest_crop": 0.5, "crop_padding": 0},
    "ReLU": _network(activation="relu"),
    "four stages, wider": _network(widths=[48, 96, 192, 384], blocks=[1, 1, 1, 1]),
    "two blocks a stage": _network(blocks=[1, 2, 2, 2, 1]),
    "no averaging": {"averaging": 0.0},
    "1 attack step": _attack(steps=1, rel_step_size=1.25),
    "5 attack steps": _attack(steps=5, rel_step_size=0.4),
    "CutMix in half of the batches": {"cut_mix": 0.5},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "colours changed by 0.3": {"colour": 0.3},
}


def trained(name: str, recipe: Recipe, data: TrainingData) -> tuple[RobustClassifier, float]:
    """A classifier of a recipe, trained now where that has not been done, and the minutes it took."""
    # Of another recipe, or of other pictures, it would be another classifier.
    digest = hashlib.sha256(f"{recipe} {data.digest}".encode()).hexdigest()[:12]
    place = BUILD / "recipes" / f"{name} {digest}.safetensors"
    if not place.exists():
        epochs = recipe.epochs(len(data.train))
        trainer = Trainer(data.train, data.labels, recipe, epochs, torch.device("cpu"))
        started = time.perf_counter()
        while trainer.step < trainer.steps:
            trainer.advance()
        trainer.card = replace(trainer.card, training={"minutes": (time.perf_counter() - started) / 60})
        save_classifier(trainer.classifier(), place)
    classifier = load_classifier(place)
    return classifier, classifier.card.training["minutes"]


def painted(classifier: RobustClassifier, starts: Tensor) -> Tensor:
    """Pictures of all classes, so many of each, from the same starts."""
    settings, classes = TRANSLATE_PRESETS["generate"], len(classifier.labels)
    return torch.cat(
        [
            translate(classifier, start, Mix(((index, 1.0),)), settings, range(len(start)))
            for index, start in enumerate(starts.chunk(classes))
        ]
    )


def main() -> None:
    """Train, measure, paint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="canvas-96.zip")
    parser.add_argument("--pictures", type=int, default=PICTURES, metavar="N", help="to train with, repeats counted")
    parser.add_argument("--only", choices=VARIATIONS, nargs="+", default=VARIATIONS, metavar="NAME")
    parser.add_argument("--sheet", type=Path, default=BUILD / "recipes.jpg", metavar="FILE")
    arguments = parser.parse_args()
    judge, data = load_judge(arguments.data), read_data(arguments.data, SIZE)
    large = read_data(arguments.data, judge.input_size).validation.images.float() / 255
    seeds, classes = all_seeds(data.train, len(data.labels), SIZE), len(data.labels)
    starts = torch.cat([class_seeds(seeds, Mix(((c, 1.0),)), SIZE, SIZE, range(EACH)) for c in range(classes)])
    asked = torch.arange(classes).repeat_interleave(EACH)
    shown: list[Tensor] = []
    columns = {"minutes": ".1f", "clean": ".1%", "robust": ".1%", "judge": ".1%", "Frechet": ".2f", "grid": ".2f"}
    table = Table(f"{arguments.pictures} pictures of {SIZE} x {SIZE}, one change at a time", columns)
    for name in arguments.only:
        recipe = replace(BASE, pictures=arguments.pictures, **VARIATIONS[name])
        classifier, minutes = trained(name, recipe, data)
        found = accuracy(classifier, data.validation, MEASURED_WITH)
        pictures = painted(classifier, starts)
        side = judge.input_size
        seen = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        right, distance = share_right(judge, seen, asked), frechet_distance(judge, seen, large)
        table.row(name, minutes, found.clean, found.robust, right, distance, grid(pictures))
        shown.extend(part[:SHOWN] for part in pictures.chunk(classes))
        to_pil_image(make_grid(torch.cat(shown), classes * SHOWN, 2, pad_value=1)).save(arguments.sheet, quality=85)


if __name__ == "__main__":
    main()
