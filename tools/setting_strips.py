"""Makes the strips of the help pages, which show what each setting does: `.venv/bin/python -m tools.setting_strips`."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from robust_synthesis.benchmarks.large import ways
from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import (
    INPAINT_PAPER,
    INPAINT_PRESET,
    PAINT_PAPER,
    PAINT_PRESET,
    TRANSLATE_PAPER,
    TRANSLATE_PRESETS,
    UPSAMPLE_PAPER,
    UPSAMPLE_PRESET,
    ClimbSettings,
    class_seeds,
    fit_seeds,
    inpaint,
    paint,
    parse_class_expression,
    parse_feature_expression,
    photo_noise,
    region_features,
    translate,
    upsample,
    visualise_features,
)

from .paths import ROOT
from .pictures import ASSETS, HELP, Tile, image, read, sheet

Box = tuple[int, int, int, int]
Row = list[Tile]
HOLE: Box = (276, 30, 476, 230)
LAKE: Box = (128, 128, 384, 384)
WAVES = "107:1, 366:0.5"


@cache
def classifier(name: str) -> RobustClassifier:
    return load_classifier(bundled_classifiers()[name])


def tile(caption: str, made: Tensor, box: Box | None = None) -> Tile:
    """A captioned part of the first of some pictures."""
    whole = image(made[0])
    return caption, whole.crop(box) if box else whole


def strip(
    name: str, values: Iterable[Any], settings: ClimbSettings, make: Callable[[Any], Tensor], box: Box | None = None
) -> Row:
    """A row of tiles over the values of one setting."""
    # The name of an objective may fill a line alone.
    return [
        tile(f"{name} {value}" if len(str(value)) < 16 else value, make(replace(settings, **{name: value})), box)
        for value in values
    ]


def alpha(name: str) -> Tensor:
    """The mask `[1, 1, H, W]` that Load Image takes from a picture's transparency."""
    transparency = Image.open(ASSETS / f"{name}.png").getchannel("A")
    return 1 - read_grey(transparency)


def brush(channel: int) -> Tensor:
    return read_grey(Image.open(ASSETS / "brushes.png").getchannel(channel))


def read_grey(picture: Image.Image) -> Tensor:
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 1, *picture.size[::-1]) / 255


def inpaint_rows() -> dict[str, list[Row]]:
    canvas, picture, hole = classifier("canvas"), read(ASSETS / "mountain-hole.png"), alpha("mountain-hole")

    def fill(settings: Any, target: str = "mountain") -> Tensor:
        mix = parse_class_expression(target, canvas.labels) if target else None
        return inpaint(canvas, picture, hole, mix, settings, [0])

    default = INPAINT_PRESET
    over = partial(strip, make=fill, box=HOLE)
    classes = [tile(target, fill(default, target), HOLE) for target in ("mountain", "glacier", "forest")]
    before = tile("a hole", picture, HOLE)
    return {
        "inpaint": [
            [
                before,
                tile("filled", fill(default), HOLE),
                before,
                tile("by the paper, 720 steps", fill(INPAINT_PAPER), HOLE),
            ]
        ],
        "inpaint-settings": [
            [*classes, tile("(its own guess)", fill(default, ""), HOLE)],
            over("fill", ("surround", "mean colour", "noise", "class seed"), default),
            over("objective", ("cross-entropy", "logit", "margin", "logit + cross-entropy"), default),
            over("steps", (4, 8, 16, 48), default),
            over("step_size", (1.0, 2.0, 4.0, 8.0), default),
            over("epsilon", (5.0, 10.0, 20.0, 60.0), replace(default, norm="l2", epsilon=20.0)),
            over("norm", ("free", "l2"), replace(default, epsilon=20.0))
            + strip("norm", ("linf",), replace(default, epsilon=0.15, step_size=0.02), fill, HOLE),
            over("final_step", (0.0, 0.2, 0.5, 1.0), default),
            over("jitter", (0, 1, 2, 8), replace(default, detail_steps=0)),
            over("feather", (0, 3, 8, 16), default),
            over("penalty", (0.0, 1.0, 10.0, 1000.0), replace(default, detail_steps=0)),
            over("detail_steps", (0, 4, 8, 24), default),
        ],
    }


def paint_rows() -> dict[str, list[Row]]:
    canvas, picture, lake = classifier("canvas"), read(ASSETS / "mountain.png"), brush(0)

    def draw(settings: Any, feature: str = WAVES, strength: float = 1.0) -> Tensor:
        weights = parse_feature_expression(feature, canvas.feature_count).vector(canvas.feature_count)
        return paint(canvas, picture, lake, weights, strength, settings)

    default, over = PAINT_PRESET, partial(strip, make=draw, box=LAKE)
    sketch = read(ASSETS / "church-sketch.png")
    found = region_features(canvas, sketch, torch.ones_like(sketch[:, :1]))[0].topk(3)
    reference = ", ".join(f"{i}:{v:.3f}" for v, i in zip(found.values.tolist(), found.indices.tolist(), strict=True))
    features = ("366", "107", WAVES, "273", "331", "213", "319", "343")
    painted = [tile(f"feature {feature}", draw(default, feature), LAKE) for feature in features]
    return {
        "paint": [
            [
                tile("before", picture, LAKE),
                painted[0],
                tile("a reference", sketch),
                tile("painted from it", draw(default, reference), LAKE),
            ]
        ],
        "paint-settings": [
            painted[:4],
            painted[4:],
            [tile(f"strength {s}", draw(default, strength=s), LAKE) for s in (0.25, 0.5, 1.0, 2.0)],
            over("steps", (4, 8, 16, 48), default),
            over("step_size", (1.5, 3.0, 6.0, 12.0), default),
            over("epsilon", (5.0, 10.0, 20.0, 60.0), replace(default, norm="l2", epsilon=20.0)),
            over("norm", ("free", "l2"), replace(default, epsilon=20.0))
            + strip("norm", ("linf",), replace(default, epsilon=0.15, step_size=0.02), draw, LAKE),
            over("final_step", (0.0, 0.2, 0.5, 1.0), default),
            over("jitter", (0, 1, 2, 8), replace(default, detail_steps=0)),
            over("feather", (0, 3, 8, 16), default),
            over("penalty", (0.0, 10.0, 90.0, 10000.0), PAINT_PAPER),
            over("detail_steps", (0, 4, 8, 24), default),
        ],
    }


def upsample_rows() -> dict[str, list[Row]]:
    canvas, picture = classifier("canvas"), read(ASSETS / "spaniel.png")
    head: Box = (60, 40, 260, 240)

    def enlarge(settings: Any, target: str = "english springer", factor: int = 4) -> Tensor:
        mix = parse_class_expression(target, canvas.labels) if target else None
        return upsample(canvas, picture, factor, mix, settings)

    def bicubic(factor: int) -> Tensor:
        large = torch.nn.functional.interpolate(picture, scale_factor=factor, mode="bicubic", align_corners=False)
        return large.clamp(0, 1)

    default, over = UPSAMPLE_PRESET, partial(strip, make=enlarge, box=head)
    same = replace(UPSAMPLE_PAPER, consistent=True)

    def part(factor: int) -> Box:
        return (15 * factor, 10 * factor, 65 * factor, 60 * factor)

    return {
        "upsample": [
            [
                tile("bicubic", bicubic(4), head),
                tile("Upsample", enlarge(default), head),
                tile("bicubic, 8x", bicubic(8), part(8)),
                tile("Upsample, 8x", enlarge(default, factor=8), part(8)),
            ]
        ],
        "upsample-settings": [
            [tile(f"factor {f}", enlarge(default, factor=f), part(f)) for f in (2, 3, 4, 8)],
            [
                tile(t or "(its own guess)", enlarge(default, t), head)
                for t in ("english springer", "", "sea", "church")
            ],
            [
                tile("preset upsample", enlarge(default), head),
                tile("preset paper", enlarge(UPSAMPLE_PAPER), head),
                tile("paper, consistent", enlarge(same), head),
            ],
            over("objective", ("logit", "cross-entropy", "margin", "logit + cross-entropy"), default),
            over("steps", (3, 10, 30), default),
            over("step_size", (2.0, 4.0, 8.0, 16.0), default),
            over("epsilon", (5.0, 10.0, 20.0, 60.0), replace(default, norm="l2", epsilon=20.0)),
            over("norm", ("free", "l2"), replace(default, epsilon=20.0))
            + strip("norm", ("linf",), replace(default, epsilon=0.15, step_size=0.02), enlarge, head),
            over("final_step", (0.0, 0.2, 0.5, 1.0), default),
        ],
    }


def translate_rows() -> dict[str, list[Row]]:
    canvas, seasons = classifier("canvas"), classifier("seasons")
    photo = read(ASSETS / "summer.png")
    mountain = parse_class_expression("mountain", canvas.labels)
    if canvas.seeds is None:
        raise ValueError("The classifier has no class seeds.")
    seed = class_seeds(canvas.seeds, mountain, 96, 96, [105])
    sketch = read(ASSETS / "church-sketch.png")
    church = parse_class_expression("church", canvas.labels)

    def winter(settings: Any) -> Tensor:
        return translate(seasons, photo, parse_class_expression("winter", seasons.labels), settings, [0])

    def generate(settings: Any) -> Tensor:
        return translate(canvas, seed, mountain, settings, [0])

    def draw(settings: Any) -> Tensor:
        return translate(canvas, sketch, church, settings, [1])

    bold, paper = TRANSLATE_PRESETS["generate"], TRANSLATE_PAPER["generate"]
    box: Box = (40, 0, 460, 420)
    mixes = ("sea", "sea:0.7, mountain:0.3", "sea:0.3, mountain:0.7", "mountain")
    mixed: Row = []
    for text in mixes:
        mix = parse_class_expression(text, canvas.labels)
        mixed.append(tile(text, translate(canvas, class_seeds(canvas.seeds, mix, 96, 96, [7]), mix, bold, [0])))
    hasty = generate(replace(bold, steps=3, step_size=8.0, final_step=1.0))
    refined = translate(canvas, hasty, mountain, TRANSLATE_PRESETS["refine"], [0])
    return {
        "translate-settings": [
            mixed,
            [
                tile("3 hasty steps", hasty),
                tile("refined", refined),
                tile("twice", translate(canvas, refined, mountain, TRANSLATE_PRESETS["refine"], [0])),
            ],
            strip("steps", (3, 15, 60, 200), TRANSLATE_PRESETS["translate"], winter, box),
            strip("epsilon", (10.0, 20.0, 40.0, 80.0), TRANSLATE_PRESETS["translate"], winter, box),
            strip("step_size", (0.5, 1.0, 2.0, 4.0), paper, generate),
            strip("objective", ("logit", "cross-entropy", "margin", "logit + cross-entropy"), bold, generate),
            strip("norm", ("l2", "free"), paper, generate)
            + strip("norm", ("linf",), replace(paper, epsilon=0.1, step_size=0.01), generate),
            strip("final_step", (0.0, 0.2, 0.5, 1.0), bold, generate),
            strip("jitter", (0, 1, 2, 8), bold, generate),
            strip("noise", (0.0, 0.2, 0.5, 0.9), TRANSLATE_PRESETS["sketch"], draw),
            strip("detail_steps", (0, 4, 8, 16), TRANSLATE_PRESETS["sketch"], draw),
        ]
    }


def large_rows() -> dict[str, list[Row]]:
    canvas = classifier("canvas")
    if canvas.seeds is None:
        raise ValueError("The classifier has no class seeds.")
    rows = []
    for target, seed in (("street", 100), ("mountain", 100), ("church", 3)):
        mix = parse_class_expression(target, canvas.labels)
        start = class_seeds(canvas.seeds, mix, 384, 384, [seed])
        rows.append([tile(caption, make(start, mix)) for caption, make in ways(canvas).items()])
    return {"large": rows}


def seed_rows() -> dict[str, list[Row]]:
    canvas = classifier("canvas")
    views = torch.cat(
        [
            torch.nn.functional.interpolate(read(ASSETS / f"autumn-{n}.png"), (128, 128), mode="area")
            for n in (1, 2, 3, 4)
        ]
    )
    mountain = parse_class_expression("mountain", canvas.labels)
    if canvas.seeds is None:
        raise ValueError("The classifier has no class seeds.")
    own = fit_seeds(views, mountain.weights[0][0], canvas.seeds, canvas.input_size)
    generate = TRANSLATE_PRESETS["generate"]

    def row(caption: str, starts: Tensor) -> Row:
        return [tile(f"{caption}{n + 1}", starts[n : n + 1]) for n in range(len(starts))]

    usual, mine = (class_seeds(seeds, mountain, 96, 96, [20, 21, 22, 23]) for seeds in (canvas.seeds, own))
    climbed = [translate(canvas, starts, mountain, generate, [0] * 4) for starts in (usual, mine)]
    wide = class_seeds(canvas.seeds, mountain, 96, 170, [105])
    noise = photo_noise(96, 96, [20, 21])
    return {
        "fit-seeds": [
            row("your picture ", views),
            row("your seed ", mine),
            row("mountain ", climbed[1]),
            row("with the bundled seeds ", climbed[0]),
        ],
        "class-seed-settings": [
            row("seed ", usual),
            row("mountain ", climbed[0]),
            [
                tile("natural noise", noise),
                tile("mountain", translate(canvas, noise, mountain, generate, [0, 0])),
                tile("width 170 (middle)", wide),
                tile("mountain", translate(canvas, wide, mountain, generate, [0])),
            ],
        ],
    }


def features_picture() -> Image.Image:
    """A photo with a region, beside the sheet of Find Features."""
    canvas, picture, region = classifier("canvas"), read(ASSETS / "mountain.png"), alpha("mountain-hole")
    found = region_features(canvas, picture, region)[0].topk(8)
    indices = found.indices.tolist()
    labels = [canvas.labels[row] for row in canvas.feature_effects[:, indices].argmax(0).tolist()]
    captions = [
        (f"{index}  ({value:.2f})", label)
        for index, value, label in zip(indices, found.values.tolist(), labels, strict=True)
    ]
    # By its path, because the package around it needs ComfyUI.
    feature_sheet = runpy.run_path(str(ROOT / "nodes" / "feature_sheet.py"))["feature_sheet"]
    shown = image(feature_sheet(visualise_features(canvas, indices), captions))
    # Outside the region the photo is dimmed.
    dimmed = image((picture * (0.35 + 0.65 * region))[0]).crop((192, 32, 512, 352)).resize((shown.height, shown.height))
    both = Image.new("RGB", (dimmed.width + shown.width, shown.height))
    both.paste(dimmed, (0, 0))
    both.paste(shown, (dimmed.width, 0))
    return both


ROWS = {
    "inpaint": inpaint_rows,
    "paint": paint_rows,
    "upsample": upsample_rows,
    "translate": translate_rows,
    "large": large_rows,
    "seeds": seed_rows,
}


def main(wanted: list[str]) -> None:
    """Make the strips of some operations, or of all."""
    features_picture().save(HELP / "features.jpg", quality=88)
    for name in wanted or ROWS:
        for stem, rows in ROWS[name]().items():
            sheet(rows).save(HELP / f"{stem}.jpg", quality=82)
            print(HELP / f"{stem}.jpg", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
