"""Makes the pictures of the README and of the help pages: `python -m tools.pictures`. All are real results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image, to_tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.models.thumbnails import sheet_of
from robust_synthesis.synthesis import (
    TranslateSettings,
    class_sheet,
    classify,
    detailed_class_seeds,
    generate,
    parse_class_expression,
    region_features,
    translate,
    visualise_features,
)
from robust_synthesis.synthesis.figures import feature_sheet, image_grid, score_chart
from robust_synthesis.synthesis.presets import preset

from .paths import ROOT

ASSETS = ROOT / "workflows" / "assets"
HELP = ROOT / "web" / "docs" / "images"
TILE, GAP = 224, 8

SHOWN = {
    "church": 101, "mountain": 104, "tulip": 104, "panda": 105, "butterfly": 101, "rose": 105,
    "glacier": 101, "starfish": 105, "tiger": 104, "coral": 104, "daisy": 106, "street": 105,
}  # fmt: skip
"""The generated pictures that are shown, with their random seeds."""
SIDE = 192
"""Their height and width, in pixels."""
COMBINED = {"tiger": 14, "rose": 13, "starfish": 12, "lion": 11}
"""What two classifiers paint apart and together, with the random seeds."""
ENSEMBLE = "canvas-ensemble"
ICON = "church"
HORSE = (60, 0, 444, 384)
"""The middle of the photo of a horse."""
Tile = tuple[str, Image.Image]
"""A caption and its picture."""


@cache
def classifier(name: str) -> RobustClassifier:
    """A bundled classifier."""
    return load_classifier(bundled_classifiers()[name])


def asset(name: str) -> Tensor:
    """An example picture as `[1, 3, H, W]` in [0, 1]."""
    with Image.open(ASSETS / f"{name}.png") as picture:
        pixels: Tensor = to_tensor(picture.convert("RGB"))
    return pixels[None]


def channel(name: str, index: int) -> Tensor:
    """A channel of an example picture as `[1, 1, H, W]` in [0, 1]."""
    with Image.open(ASSETS / f"{name}.png") as picture:
        pixels: Tensor = to_tensor(picture)
    return pixels[None, index : index + 1]


def image(images: Tensor, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """The first of `[B, 3, H, W]` as a picture, or a part of it."""
    made: Image.Image = to_pil_image(images[0])
    return made.crop(box) if box else made


def seed(name: str, classes: str, seeds: Sequence[int], height: int = 0, width: int = 0) -> Tensor:
    """Class seeds of a bundled classifier `[B, 3, H, W]`, at its own size by default."""
    owner = classifier(name)
    assert owner.seeds is not None, "the bundled classifiers have class seeds"
    mix = parse_class_expression(classes, owner.labels)
    return detailed_class_seeds(owner.seeds, mix, height or owner.input_size, width or owner.input_size, seeds)


def generated(name: str, classes: str, random_seed: int) -> Tensor:
    """A picture that the preset generate makes."""
    mix = parse_class_expression(classes, classifier(name).labels)
    return generate(classifier(name), mix, [random_seed], size=(SIDE, SIDE))


def translated(name: str, images: Tensor, classes: str, settings: TranslateSettings, random_seed: int = 0) -> Tensor:
    """Pictures, each changed towards a class, or a mix of them."""
    mix = parse_class_expression(classes, classifier(name).labels)
    return translate(classifier(name), images, mix, settings, [random_seed] * len(images))


def square(picture: Image.Image, side: int = TILE) -> Image.Image:
    """The middle of a picture."""
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)


def save(rows: Sequence[Sequence[Tile]], path: Path, quality: int = 90) -> None:
    """Rows of captioned square tiles as a JPEG."""
    pictures = [[square(picture) for _, picture in row] for row in rows]
    captions = [[(caption,) for caption, _ in row] for row in rows]
    image_grid(pictures, captions, gap=GAP).save(path, quality=quality)
    print(path, flush=True)


def side_by_side(first: Image.Image, second: Image.Image, path: Path) -> None:
    """Two pictures of the same height as a JPEG, the first of them square."""
    both = Image.new("RGB", (second.height + GAP + second.width, second.height), "white")
    both.paste(square(first, second.height))
    both.paste(second, (second.height + GAP, 0))
    both.save(path, quality=90)
    print(path, flush=True)


def classify_picture() -> None:
    """A drawing beside its scores."""
    canvas, drawing = classifier("canvas"), asset("church-sketch")
    scores = classify(canvas, drawing)[0].topk(6)
    ranking = [(canvas.labels[i], float(p)) for p, i in zip(scores.values, scores.indices.tolist(), strict=True)]
    side_by_side(image(drawing), image(score_chart(ranking)[None]), HELP / "classify.jpg")


def features_picture() -> None:
    """A photo, dimmed outside of a region, beside the sheet of Find Features."""
    canvas, photo, region = classifier("canvas"), asset("mountain"), 1 - channel("mountain-hole", 3)
    found = region_features(canvas, photo, region)[0].topk(8)
    indices = found.indices.tolist()
    labels = [canvas.labels[row] for row in canvas.feature_effects[:, indices].argmax(0).tolist()]
    captions = [(f"{i}  ({value:.2f})", label) for i, value, label in zip(indices, found.values, labels, strict=True)]
    sheet = feature_sheet(visualise_features(canvas, indices), captions)
    dimmed = image(photo * (0.35 + 0.65 * region), (192, 32, 512, 352))
    side_by_side(dimmed, image(sheet[None]), HELP / "features.jpg")


def pair(before: str, after: str, owner: str, name: str, classes: str, settings: str) -> list[Tile]:
    """An example picture, and what it becomes."""
    start = asset(name)
    end = translated(owner, start, classes, preset(TranslateSettings, settings).settings)
    return [(before, image(start)), (after, image(end))]


def zebra() -> list[Tile]:
    """The photo of a horse, and the zebra."""
    horse, mask, canvas = asset("pony"), 1 - channel("pony", 3), classifier("canvas")
    mix = parse_class_expression("zebra", canvas.labels)
    made = translate(canvas, horse, mix, preset(TranslateSettings, "repaint").settings, [0], mask)
    return [("a photo", image(horse, HORSE)), ("to a zebra", image(made, HORSE))]


def styles_picture(photo: str) -> None:
    """A photo in each style."""
    names = [label for label in classifier("painters").labels if label != "photo"]
    usual = preset(TranslateSettings, "style").settings
    made = [(label.replace("_", " "), image(translated("painters", asset(photo), label, usual))) for label in names]
    tiles = [("a photo", image(asset(photo))), *made]
    save([tiles[:4], tiles[4:]], HELP / "styles.jpg")


def combined_picture() -> None:
    """The same seeds by two classifiers, and by both of them together."""
    usual = preset(TranslateSettings, "generate").settings
    rows: list[list[Tile]] = []
    for name, caption in {"canvas": "canvas", ENSEMBLE: "both", "canvas-bold": "canvas-bold"}.items():
        rows.append([])
        for classes, number in COMBINED.items():
            made = translated(name, seed("canvas", classes, [number]), classes, usual, number)
            rows[-1].append((caption, image(made)))
    save(rows, HELP / "combine-classifiers.jpg")


def main() -> None:
    """Make them all."""
    combined_picture()
    for name, path in bundled_classifiers().items():
        class_sheet(classifier(name)).save(sheet_of(path), quality=85)
    made = {name: image(generated(ENSEMBLE, name, number)) for name, number in SHOWN.items()}
    winter = pair("a photo", "to winter", "seasons", "summer", "winter", "translate")
    art = pair("a photo", "to fauvism", "painters", "photo", "fauvism", "style")
    church = pair("a drawing", "to a church", ENSEMBLE, "church-sketch", "church", "sketch")
    ball = pair("a drawing", "to a golf ball", ENSEMBLE, "golf-ball-sketch", "golf ball", "sketch")
    stripes = zebra()
    tiles = list(made.items())
    save([tiles[:6], tiles[6:12], stripes + art + church], ROOT / "web" / "results.jpg")
    # Four tiles a row at most: the editor's help panel is narrow.
    seeds: list[Tile] = []
    for name in ("mountain", "church"):
        seeds += [("class seed", image(seed(ENSEMBLE, name, [SHOWN[name]], SIDE, SIDE))), (name, made[name])]
    save([seeds], HELP / "class-seed.jpg")
    save([stripes + art, winter + church, seeds], HELP / "translate.jpg")
    styles_picture("photo")
    scenes = [(f"{ENSEMBLE}: {name}", picture) for name, picture in tiles[:4]]
    others = [("seasons: before", "seasons: winter", "painters: before", "painters: fauvism"), winter + art]
    save([scenes, [(name, picture) for name, (_, picture) in zip(*others, strict=True)]], HELP / "load-classifier.jpg")
    classify_picture()
    features_picture()
    square(made[ICON], 384).save(ROOT / "web" / "icon.png")
    banner = [*made.values(), *(picture for _, picture in stripes + art + church + winter), ball[1][1]]
    rows = [[square(picture, 180) for picture in banner[start : start + 7]] for start in (0, 7, 14)]
    image_grid(rows, gap=0).save(ROOT / "web" / "banner.png")


if __name__ == "__main__":
    main()
