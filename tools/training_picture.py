"""Makes the picture of training, a real result: `python -m tools.training_picture` (a few minutes)."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from robust_synthesis.models import RobustClassifier, optimize_for_inference
from robust_synthesis.synthesis import TranslateSettings, generate, parse_class_expression, translate
from robust_synthesis.synthesis.presets import preset
from robust_synthesis.training import RECIPES, CardInfo, Progress, RunPaths, read_data, train

from .paths import ROOT
from .patterns import ARCHIVE
from .pictures import HELP, asset, channel, image, save

BUILD = ROOT / "build"
# As in the example train-your-own.
EPOCHS, EPSILON = 30, 8.0
SHOWN_SAMPLES = (0.0, 0.15, 0.5, 1.0)
"""Shares of the training."""


def trained() -> tuple[RobustClassifier, Path]:
    """The classifier of the example, trained now if that has not been done, and its samples' folder."""
    recipe = RECIPES["quick"]
    recipe = replace(recipe, attack=replace(recipe.attack, epsilon=EPSILON))
    paths = RunPaths(BUILD / "patterns-8.safetensors", BUILD / "patterns-8-training")
    data, card = read_data(ARCHIVE, recipe.input_size), CardInfo("Patterns", "drawn for this pack")
    classifier = train(data, recipe, paths, card, torch.device("cpu"), EPOCHS, _show)
    return optimize_for_inference(classifier), paths.folder / "samples"


def _show(progress: Progress) -> None:
    if progress.samples is not None:
        print(progress, flush=True)


def _when(name: str) -> str:
    """A caption for a sheet of samples."""
    return f"after {int(name[-3:])} epochs" if name.startswith("epoch") else "after stage two"


def main() -> None:
    """Rows: the folder, samples during training, generated pictures, and a photo painted with each class."""
    classifier, samples = trained()
    folder = []
    with zipfile.ZipFile(ARCHIVE) as archive:
        for name in ("flowers/005", "flowers/011", "stained_glass/006", "waves/007"):
            with archive.open(f"{name}.webp") as file:
                folder.append((f"{name.split('/')[0].replace('_', ' ')}/", Image.open(file).convert("RGB")))
    sheets, side = sorted(samples.iterdir()), classifier.input_size
    shown = [sheets[round(share * (len(sheets) - 1))] for share in SHOWN_SAMPLES]
    # The first picture of a sheet, inside of its frame.
    box = (2, 2, 2 + side, 2 + side)
    progress = [(_when(path.stem), Image.open(path).crop(box)) for path in shown]
    photo, mask = asset("mountain"), channel("masks", 0)
    made, painted = [], [("a photo", image(photo))]
    for name in (*classifier.labels, "flowers, stained_glass"):
        mix, caption = parse_class_expression(name, classifier.labels), name.replace("_", " ")
        made.append((caption, image(generate(classifier, mix, [0]))))
        if name in classifier.labels:
            settings = preset(TranslateSettings, "generate").settings
            painted.append((caption, image(translate(classifier, photo, mix, settings, [0], mask))))
    save([folder, progress, made, painted], HELP / "train.jpg")


if __name__ == "__main__":
    main()
