"""Makes the pictures of the README and the help pages, real results all: `.venv/bin/python -m tools.pictures`."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import TRANSLATE_PRESETS, class_seeds, classify, parse_class_expression, translate

from .paths import ROOT

ASSETS = ROOT / "workflows" / "assets"
HELP = ROOT / "web" / "docs" / "images"
TILE, GAP, CAPTION = 224, 8, 26
PAPER_COLOUR, INK = "#ffffff", "#333333"

Tile = tuple[str, Image.Image]


def read(path: Path) -> Tensor:
    """A picture as `[1, 3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255


def image(tensor: Tensor) -> Image.Image:
    """`[3, H, W]` in [0, 1] as a picture."""
    return Image.fromarray((tensor.permute(1, 2, 0) * 255).round().byte().numpy())


def square(picture: Image.Image, side: int = TILE) -> Image.Image:
    """The middle of a picture, at the size of a tile."""
    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    box = (left, top, left + short, top + short)
    return picture.resize((side, side), Image.Resampling.LANCZOS, box)


def sheet(rows: Sequence[Sequence[Tile]]) -> Image.Image:
    """Rows of captioned tiles on white."""
    width = max(len(row) for row in rows) * (TILE + GAP) + GAP
    made = Image.new("RGB", (width, len(rows) * (TILE + CAPTION + GAP) + GAP), PAPER_COLOUR)
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for r, row in enumerate(rows):
        for c, (caption, picture) in enumerate(row):
            left, top = GAP + c * (TILE + GAP), GAP + r * (TILE + CAPTION + GAP)
            made.paste(square(picture), (left, top))
            draw.text((left + TILE / 2, top + TILE + CAPTION / 2), caption, INK, font, anchor="mm")
    return made


def generated(classifier: RobustClassifier, name: str, seed: int) -> tuple[Image.Image, Image.Image]:
    """A class seed, and the picture that climbs from it."""
    if classifier.seeds is None:
        raise ValueError("The classifier has no class seeds.")
    mix, size = parse_class_expression(name, classifier.labels), classifier.input_size
    start = class_seeds(classifier.seeds, mix, size, size, [seed])
    return image(start[0]), image(translate(classifier, start, mix, TRANSLATE_PRESETS["generate"], [seed])[0])


def translated(classifier: RobustClassifier, asset: str, name: str, preset: str) -> tuple[Image.Image, Image.Image]:
    """An example picture, and what it becomes."""
    start = read(ASSETS / f"{asset}.png")
    mix = parse_class_expression(name, classifier.labels)
    return image(start[0]), image(translate(classifier, start, mix, TRANSLATE_PRESETS[preset], [0])[0])


def main() -> None:
    """Make them all."""
    canvas, seasons, styles = (load_classifier(bundled_classifiers()[n]) for n in ("canvas", "seasons", "styles"))
    HELP.mkdir(parents=True, exist_ok=True)
    best = {"church": 108, "mountain": 105, "sea": 108, "forest": 109, "english springer": 130, "glacier": 109}
    more = {"street": 106, "gas pump": 110, "golf ball": 106, "parachute": 111, "tench": 109, "garbage truck": 104}
    made = {name: generated(canvas, name, seed) for name, seed in (best | more).items()}
    winter = translated(seasons, "summer", "winter", "translate")
    art = translated(styles, "photo", "art painting", "translate")
    church = translated(canvas, "church-sketch", "church", "sketch")
    ball = translated(canvas, "golf-ball-sketch", "golf ball", "sketch")

    changes: list[Tile] = [
        ("a photo", winter[0]),
        ("to winter", winter[1]),
        ("a photo", art[0]),
        ("to an art painting", art[1]),
        ("a drawing", church[0]),
        ("to a church", church[1]),
    ]
    rows = [[(name, made[name][1]) for name in names] for names in (best, more)]
    save(sheet([*rows, changes]), ROOT / "web" / "results.jpg")

    pairs: list[list[Tile]] = [[("class seed", made[n][0]), (n, made[n][1])] for n in ("mountain", "church")]
    # Four tiles a row at most: the editor's help panel is narrow.
    save(sheet([pairs[0] + pairs[1]]), HELP / "class-seed.jpg")
    drawings: list[Tile] = [*changes[4:], ("a drawing", ball[0]), ("to a golf ball", ball[1])]
    save(sheet([changes[:4], drawings, pairs[0] + pairs[1]]), HELP / "translate.jpg")
    painted: list[Tile] = [("styles: before", art[0]), ("styles: painting", art[1])]
    wintry: list[Tile] = [("seasons: before", winter[0]), ("seasons: winter", winter[1])]
    scenes: list[Tile] = [(f"canvas: {name}", made[name][1]) for name in ("sea", "street", "church", "gas pump")]
    save(sheet([scenes, wintry + painted]), HELP / "load-classifier.jpg")
    # By its path, because the package around it needs ComfyUI.
    score_chart = runpy.run_path(str(ROOT / "nodes" / "score_chart.py"))["score_chart"]
    scores = classify(canvas, read(ASSETS / "church-sketch.png"))[0].topk(6)
    ranking = [(canvas.labels[i], float(p)) for p, i in zip(scores.values, scores.indices.tolist(), strict=True)]
    chart = image(score_chart(ranking))
    pair = Image.new("RGB", (chart.height + GAP + chart.width, chart.height), PAPER_COLOUR)
    pair.paste(square(church[0], chart.height), (0, 0))
    pair.paste(chart, (chart.height + GAP, 0))
    save(pair, HELP / "classify.jpg")
    icon = square(made["church"][1], 384)
    icon.save(ROOT / "web" / "icon.png")
    banner = Image.new("RGB", (1260, 540), PAPER_COLOUR)
    tiles = [picture for _, picture in made.values()]
    for index in range(14):
        picture = square([*tiles, church[1], winter[1]][index], 180)
        banner.paste(picture, (index % 7 * 180, index // 7 * 180))
    for index, picture in enumerate((winter[0], winter[1], art[0], art[1], church[0], church[1], ball[1])):
        banner.paste(square(picture, 180), (index * 180, 360))
    banner.save(ROOT / "web" / "banner.png")


def save(picture: Image.Image, path: Path) -> None:
    """As a JPEG that shows no artefacts of its own."""
    picture.save(path, quality=90)


if __name__ == "__main__":
    main()
