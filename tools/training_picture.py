"""Makes the picture of training, a real result: `.venv/bin/python -m tools.training_picture` (a few minutes)."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from robust_synthesis.models import RobustClassifier, optimize_for_inference
from robust_synthesis.synthesis import (
    TRANSLATE_PRESETS,
    Mix,
    class_seeds,
    parse_class_expression,
    translate,
)
from robust_synthesis.training import RECIPES, CardInfo, Progress, RunPaths, read_data, train

from .example_set import PLACE as PATTERNS
from .paths import ROOT
from .pictures import ASSETS, HELP, Tile, image, read, save, sheet

BUILD = ROOT / "build"
EPOCHS, EPSILON = 30, 8.0
"""As in the example train-your-own."""
ON_THE_WAY = (0.0, 0.15, 0.5)
"""Shares of the training."""
SEEDS = (0, 0, 0, 0)


def trained() -> tuple[RobustClassifier, Path]:
    """The classifier of the example, trained now where that has not been done, and its samples' folder."""
    recipe = RECIPES["quick"]
    recipe = replace(recipe, attack=replace(recipe.attack, epsilon=EPSILON))
    place = RunPaths(BUILD / "patterns-8.safetensors", BUILD / "patterns-8-training")
    about = CardInfo("Patterns", "drawn for this pack")
    classifier = train(read_data(PATTERNS, recipe.input_size), recipe, place, about, torch.device("cpu"), EPOCHS, _say)
    return optimize_for_inference(classifier), place.folder / "samples"


def _say(progress: Progress) -> None:
    if progress.samples is not None:
        print(progress, flush=True)


def generated(classifier: RobustClassifier, mix: Mix, seed: int) -> Image.Image:
    """A picture of a mix of classes."""
    assert classifier.seeds is not None, "what is trained here has class seeds"
    side = classifier.input_size
    start = class_seeds(classifier.seeds, mix, side, side, [seed])
    return image(translate(classifier, start, mix, TRANSLATE_PRESETS["generate"], [seed])[0])


def painted(classifier: RobustClassifier, name: str, channel: int) -> Image.Image:
    """The example photo, with a class painted under one of the example masks."""
    photo, mask = read(ASSETS / "mountain.png"), read(ASSETS / "brushes.png")[:, channel : channel + 1]
    mix = parse_class_expression(name, classifier.labels)
    return image(translate(classifier, photo, mix, TRANSLATE_PRESETS["generate"], [0], mask)[0])


def main() -> None:
    """The folder, what is painted on the way, what is painted in the end, and a photo painted with it."""
    classifier, samples = trained()
    folder: list[Tile] = []
    with zipfile.ZipFile(PATTERNS) as archive:
        for name in ("flowers/005", "flowers/011", "stained_glass/006", "waves/007"):
            with archive.open(f"{name}.webp") as file:
                folder.append((f"{name.split('/')[0].replace('_', ' ')}/", Image.open(file).convert("RGB")))
    sheets = sorted(samples.iterdir())
    side = classifier.input_size
    # The first picture of a sheet, inside of its frame.
    way = [
        (f"after {int(path.stem[-3:])} epochs", Image.open(path).crop((2, 2, 2 + side, 2 + side)))
        for path in (*(sheets[round(place * (len(sheets) - 1))] for place in ON_THE_WAY), sheets[-1])
    ]
    mixes = [*classifier.labels, "flowers, stained_glass"]
    made = [
        (name.replace("_", " "), generated(classifier, parse_class_expression(name, classifier.labels), seed))
        for name, seed in zip(mixes, SEEDS, strict=True)
    ]
    photo = image(read(ASSETS / "mountain.png")[0])
    brushes: list[Tile] = [("a photo", photo)]
    brushes += [(name.replace("_", " "), painted(classifier, name, 0)) for name in classifier.labels]
    save(sheet([folder, way, made, brushes]), HELP / "train.jpg")


if __name__ == "__main__":
    main()
