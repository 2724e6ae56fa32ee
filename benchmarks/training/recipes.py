"""What single changes of a training do to accuracy and to pictures: short trainings that differ in one thing each.

Prints a row for each variation and writes a sheet of pictures from the same seeds. Everything is measured on
validation pictures, and on other random seeds than the quality benchmark's. The pictures are small and few, because
only differences matter. Trained networks are kept in `build/`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from robust_synthesis.models import RobustClassifier, load_classifier, save_classifier
from robust_synthesis.synthesis import TranslateSettings, preset
from robust_synthesis.training.adversarial import AdversarialTrainer
from robust_synthesis.training.data import TrainingData, read_data
from robust_synthesis.training.evaluation import accuracy
from robust_synthesis.training.recipes import RECIPES, Attack, Recipe
from robust_synthesis.training.seeds import fit_all_seeds

from ..command_line import new_parser, read
from ..data import BUILD, as_float
from ..quality.batches import seeds_of_each_class, translated
from ..quality.judge import load_judge
from ..quality.metrics import grid, kernel_distance
from ..table import Table

SIZE, PICTURES, COUNT = 64, 80_000, 20
ATTACK = Attack("l2", 1.0, 10, 0.25)
USUAL = RECIPES["quick"]
BASE = replace(
    USUAL,
    architecture={**USUAL.architecture, "downsampling": "strided"},
    input_size=SIZE,
    attack=replace(USUAL.attack, epsilon=1.0),
    cutmix_prob=0.0,
    pretrained="",
    crop_padding=6,
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
    "crops from half the area": {"min_crop_scale": 0.5, "crop_padding": 0},
    "ReLU": _network(activation="relu"),
    "four stages, wider": _network(widths=[48, 96, 192, 384], blocks=[1, 1, 1, 1]),
    "two blocks a stage": _network(blocks=[1, 2, 2, 2, 1]),
    "no EMA": {"ema_decay": 0.0},
    "1 attack step": _attack(steps=1, rel_step_size=1.25),
    "5 attack steps": _attack(steps=5, rel_step_size=0.4),
    "CutMix in half of the batches": {"cutmix_prob": 0.5},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "colours changed by 0.3": {"color_jitter": 0.3},
}
QUICK = {"pictures": 1000, "only": ("base", "epsilon 2"), "count": 1}
"""Shows that everything runs, and no more: networks learn nothing from so few pictures."""


def trained(name: str, recipe: Recipe, data: TrainingData) -> tuple[RobustClassifier, float]:
    """A classifier of a recipe and the minutes its training took; it is trained first where that has not been done."""
    recipe = replace(recipe, contrastive=None)
    digest = hashlib.sha256(f"{recipe} {data.digest}".encode()).hexdigest()[:12]
    path = BUILD / "recipes" / f"{name} {digest}.safetensors"
    if not path.exists():
        trainer = AdversarialTrainer(data.train, data.labels, recipe.plan(len(data.train)), torch.device("cpu"))
        started = time.perf_counter()
        while trainer.step < trainer.plan.steps:
            trainer.advance()
        trainer.card = replace(trainer.card, training={"minutes": (time.perf_counter() - started) / 60})
        save_classifier(trainer.classifier(), path)
    classifier = load_classifier(path)
    return classifier, classifier.card.training["minutes"]


def main() -> None:
    """Train, measure, generate."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help="canvas-128, zip or folder")
    parser.add_argument("--pictures", type=int, default=PICTURES, metavar="N", help="to train with, repeats counted")
    parser.add_argument("--only", choices=VARIATIONS, nargs="+", default=VARIATIONS, metavar="NAME")
    parser.add_argument("--sheet", type=Path, default=BUILD / "recipes.png", metavar="FILE")
    parser.set_defaults(count=COUNT)
    arguments = read(parser, QUICK)
    judge, data = load_judge(arguments.data, SIZE), read_data(arguments.data, SIZE)
    real = judge.features(as_float(data.validation))
    starts, classes = seeds_of_each_class(
        fit_all_seeds(data.train, len(data.labels), SIZE), SIZE, range(arguments.count)
    )
    sheet: list[Tensor] = []
    columns = {"minutes": ".1f", "clean": ".1%", "robust": ".1%", "judge": ".1%", "KID": ".1f", "grid": ".2f"}
    table = Table(f"{arguments.pictures} pictures of {SIZE} x {SIZE}, one change at a time", columns)
    for name in arguments.only:
        recipe = replace(BASE, samples_seen=arguments.pictures, **VARIATIONS[name])
        classifier, minutes = trained(name, recipe, data)
        found = accuracy(classifier, data.validation, ATTACK)
        images = translated(classifier, starts, classes, preset(TranslateSettings, "generate").settings)
        features = judge.features(images)
        agreed, distance = judge.agreement(features, classes), kernel_distance(features, real)
        table.row(name, minutes, found.clean, found.robust, agreed, distance, grid(images))
        # One of each class, a row for each variation.
        sheet.append(images[:: arguments.count])
        save_image(torch.cat(sheet), arguments.sheet, nrow=len(sheet[0]), pad_value=1)


if __name__ == "__main__":
    main()
