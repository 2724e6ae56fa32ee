"""Makes the strips of the help pages, which show what each setting does: `python -m tools.setting_strips`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torchvision.transforms.functional import resize

from robust_synthesis.synthesis import (
    InpaintSettings,
    PaintSettings,
    TranslateSettings,
    UpsampleSettings,
    detailed_class_seeds,
    fit_seeds,
    inpaint,
    paint,
    parse_class_expression,
    parse_feature_expression,
    photo_noise,
    region_features,
    upsample,
)
from robust_synthesis.synthesis.objectives import OBJECTIVES
from robust_synthesis.synthesis.presets import preset
from robust_synthesis.synthesis.settings import OperationSettings

from .pictures import HELP, Tile, asset, channel, classifier, image, save, seed, translated

Box = tuple[int, int, int, int]
Row = list[Tile]
Sheets = dict[str, list[Row]]
"""Rows of tiles, by the name of the picture that they become."""
S = TypeVar("S", bound=OperationSettings)


def tile(caption: str, images: Tensor, box: Box | None = None) -> Tile:
    """The first of some pictures, or a part of it."""
    return caption, image(images, box)


@dataclass(frozen=True)
class Strips(Generic[S]):
    """Makes rows over the values of one setting."""

    make: Callable[[S], Tensor]
    settings: S
    box: Box | None = None

    def __call__(self, key: str, *values: Any, **others: Any) -> Row:
        """One tile a value, with other settings changed as well; keys as in a file of presets."""
        row = []
        for value in values:
            settings = self.settings.with_values(**others, **{key: value})
            # The name of an objective may fill a line alone.
            caption = f"{key} {value}" if len(str(value)) < 16 else str(value)
            row.append(tile(caption, self.make(settings), self.box))
        return row

    def ascent(self, step_sizes: tuple[float, ...]) -> list[Row]:
        """The settings that unconstrained ascents of few steps have in common."""
        return [
            self("step_size", *step_sizes),
            self("epsilon", 5.0, 10.0, 20.0, 60.0, norm="l2"),
            self("norm", "none", "l2", epsilon=20.0) + self("norm", "linf", epsilon=0.15, step_size=0.02),
            self("final_step", 0.0, 0.2, 0.5, 1.0),
        ]

    def masked(self) -> list[Row]:
        """The settings of an ascent inside a mask."""
        return [
            self("jitter", 0, 1, 2, 8, detail_steps=0),
            self("feather", 0, 3, 8, 16),
            self("detail_steps", 0, 4, 8, 24),
        ]


def inpaint_sheets() -> Sheets:
    canvas, photo, hole = classifier("canvas"), asset("mountain-hole"), 1 - channel("mountain-hole", 3)
    box = (276, 30, 476, 230)
    default, paper = (preset(InpaintSettings, name).settings for name in ("inpaint", "paper"))

    def fill(settings: InpaintSettings, target: str = "mountain") -> Tensor:
        mix = parse_class_expression(target, canvas.labels) if target else None
        return inpaint(canvas, photo, hole, mix, settings, [0])

    strips = Strips(fill, default, box)
    before = tile("a hole", photo, box)
    by_paper = tile("by the paper, 720 steps", fill(paper), box)
    return {
        "inpaint": [[before, tile("filled", fill(default), box), before, by_paper]],
        "inpaint-settings": [
            [tile(t or "(its own guess)", fill(default, t), box) for t in ("mountain", "glacier", "forest", "")],
            strips("fill", "surround", "mean colour", "noise", "class seed"),
            strips("objective", *OBJECTIVES),
            strips("steps", 4, 8, 16, 48),
            *strips.ascent((1.0, 2.0, 4.0, 8.0)),
            *strips.masked(),
            strips("penalty", 0.0, 1.0, 10.0, 1000.0, detail_steps=0),
        ],
    }


def paint_sheets() -> Sheets:
    canvas, photo, meadow = classifier("canvas"), asset("mountain"), channel("masks", 0)
    box = (128, 128, 384, 384)
    heath = "220"
    default, paper = (preset(PaintSettings, name).settings for name in ("paint", "paper"))

    def draw(settings: PaintSettings, feature: str = heath, strength: float = 1.0) -> Tensor:
        weights = parse_feature_expression(feature, canvas.feature_count).vector(canvas.feature_count)
        return paint(canvas, photo, meadow, weights, strength, settings)

    strips = Strips(draw, default, box)
    sketch = asset("church-sketch")
    found = region_features(canvas, sketch, torch.ones_like(sketch[:, :1]))[0].topk(3)
    reference = ", ".join(f"{i}:{v:.3f}" for v, i in zip(found.values.tolist(), found.indices.tolist(), strict=True))
    features = (heath, "234", "51", "329", "273:1, 268:1", "366", "107", "343")
    painted = [tile(f"feature {feature}", draw(default, feature), box) for feature in features]
    by_reference = tile("painted from it", draw(default, reference), box)
    return {
        "paint": [[tile("before", photo, box), painted[0], tile("a reference", sketch), by_reference]],
        "paint-settings": [
            painted[:4],
            painted[4:],
            [tile(f"strength {s}", draw(default, strength=s), box) for s in (0.25, 0.5, 1.0, 2.0)],
            strips("steps", 4, 8, 16, 48),
            *strips.ascent((1.5, 3.0, 6.0, 12.0)),
            *strips.masked(),
            Strips(draw, paper, box)("penalty", 0.0, 10.0, 90.0, 10000.0),
        ],
    }


def upsample_sheets() -> Sheets:
    canvas, photo = classifier("canvas"), asset("spaniel")
    default, paper = (preset(UpsampleSettings, name).settings for name in ("upsample", "paper"))

    def enlarge(settings: UpsampleSettings, target: str = "english springer", factor: int = 4) -> Tensor:
        mix = parse_class_expression(target, canvas.labels) if target else None
        return upsample(canvas, photo, factor, mix, settings)

    def bicubic(factor: int) -> Tensor:
        large = torch.nn.functional.interpolate(photo, scale_factor=factor, mode="bicubic", align_corners=False)
        return large.clamp(0, 1)

    def head(factor: int) -> Box:
        return (15 * factor, 10 * factor, 65 * factor, 60 * factor)

    box = head(4)
    strips = Strips(enlarge, default, box)
    compared = [tile("bicubic", bicubic(4), box), tile("Upsample", enlarge(default), box)]
    compared += [tile("bicubic, 8x", bicubic(8), head(8)), tile("Upsample, 8x", enlarge(default, factor=8), head(8))]
    named = [tile("preset upsample", enlarge(default), box), tile("preset paper", enlarge(paper), box)]
    [(_, consistent)] = Strips(enlarge, paper, box)("consistent", True)
    return {
        "upsample": [compared],
        "upsample-settings": [
            [tile(f"factor {f}", enlarge(default, factor=f), head(f)) for f in (2, 3, 4, 8)],
            [tile(t or "(its own guess)", enlarge(default, t), box) for t in ("english springer", "", "sea", "church")],
            [*named, ("paper, consistent", consistent)],
            strips("objective", *OBJECTIVES),
            strips("steps", 3, 10, 30),
            *strips.ascent((2.0, 4.0, 8.0, 16.0)),
        ],
    }


def translate_sheets() -> Sheets:
    names = ("generate", "translate", "sketch", "refine", "paper generate")
    default, photo, sketch, refine, paper = (preset(TranslateSettings, name).settings for name in names)
    start = seed("canvas", "mountain", [104])

    def mountain(settings: TranslateSettings, images: Tensor = start) -> Tensor:
        return translated("canvas", images, "mountain", settings)

    winter = Strips(lambda s: translated("seasons", asset("summer"), "winter", s), photo, (40, 0, 460, 420))
    drawn = Strips(lambda s: translated("canvas", asset("church-sketch"), "church", s, 1), sketch)
    bold, by_paper = Strips(mountain, default), Strips(mountain, paper)
    mixes = ("sea", "sea:0.7, mountain:0.3", "sea:0.3, mountain:0.7", "mountain")
    hasty = mountain(default.with_values(steps=3, step_size=8.0, final_step=1))
    refined = mountain(refine, hasty)
    return {
        "translate-settings": [
            [tile(mix, translated("canvas", seed("canvas", mix, [7]), mix, default)) for mix in mixes],
            [tile("3 hasty steps", hasty), tile("refined", refined), tile("twice", mountain(refine, refined))],
            winter("steps", 3, 15, 60, 200),
            winter("epsilon", 10.0, 20.0, 40.0, 80.0),
            by_paper("step_size", 0.5, 1.0, 2.0, 4.0),
            bold("objective", *OBJECTIVES),
            by_paper("norm", "l2", "none") + by_paper("norm", "linf", epsilon=0.1, step_size=0.01),
            bold("final_step", 0.0, 0.2, 0.5, 1.0),
            bold("jitter", 0, 1, 2, 8),
            drawn("noise", 0.0, 0.2, 0.5, 0.9),
            drawn("detail_steps", 0, 4, 8, 16),
        ]
    }


def large_sheets() -> Sheets:
    """Pictures four times as wide and high as the classifier's own size: merely enlarged, and with detail."""
    rows = []
    for name, number in (("tulip", 104), ("sea", 109), ("church", 101)):
        start = seed("canvas", name, [number], 384, 384)
        strips = Strips(partial(translated, "canvas", start, name), preset(TranslateSettings, "generate").settings)
        rows.append(strips("detail_steps", 0, 8))
    return {"large": rows}


def seed_sheets() -> Sheets:
    canvas = classifier("canvas")
    settings = preset(TranslateSettings, "generate").settings
    views = torch.cat([resize(asset(f"autumn-{n}"), [128, 128]) for n in (1, 2, 3, 4)])
    mountain = parse_class_expression("mountain", canvas.labels)
    own = fit_seeds(views, mountain.weights[0][0], canvas.seeds, canvas.input_size)

    def row(caption: str, images: Tensor) -> Row:
        return [tile(f"{caption} {n + 1}", images[n : n + 1]) for n in range(len(images))]

    usual = seed("canvas", "mountain", [20, 21, 22, 23])
    mine = detailed_class_seeds(own, mountain, 96, 96, [20, 21, 22, 23])
    made, made_of_mine = (translated("canvas", images, "mountain", settings) for images in (usual, mine))
    wide, noise = seed("canvas", "mountain", [104], 96, 170), photo_noise(96, 96, [20, 21])
    others = [tile("natural noise", noise), tile("mountain", translated("canvas", noise, "mountain", settings))]
    others += [tile("width 170 (middle)", wide), tile("mountain", translated("canvas", wide, "mountain", settings))]
    fitted = [row("your picture", views), row("your seed", mine), row("mountain", made_of_mine)]
    return {
        "fit-seeds": [*fitted, row("with the bundled seeds", made)],
        "class-seed-settings": [row("seed", usual), row("mountain", made), others],
    }


SHEETS = {
    "inpaint": inpaint_sheets,
    "paint": paint_sheets,
    "upsample": upsample_sheets,
    "translate": translate_sheets,
    "large": large_sheets,
    "seeds": seed_sheets,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the help pages that show each setting.")
    parser.add_argument("names", nargs="*", choices=[*SHEETS, []], metavar="NAME", help=", ".join(SHEETS))
    for name in parser.parse_args().names or SHEETS:
        for stem, rows in SHEETS[name]().items():
            save(rows, HELP / f"{stem}.jpg", quality=82)


if __name__ == "__main__":
    main()
