"""Draws the pictures of the example train-your-own: `python -m tools.patterns` writes `patterns.zip`.

Flowers, stained glass and waves, all in the same colours, so that a classifier has to learn their shapes. They come
from this file alone, so that they can ship with the pack on its own licence.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .paths import ROOT

ARCHIVE = ROOT / "workflows" / "assets" / "patterns.zip"
SIDE, EACH, FINER = 96, 110, 3

Picture = NDArray[np.float64]
"""`[S, S, 3]` in [0, 1]."""


def main() -> None:
    """Write the zip, the same each time."""
    with zipfile.ZipFile(ARCHIVE, "w") as archive:
        for index, (name, draw) in enumerate({"flowers": flowers, "stained_glass": glass, "waves": waves}.items()):
            for number in range(EACH):
                pixels = draw(np.random.default_rng([index, number]), SIDE * FINER)
                large = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))
                image = large.resize((SIDE, SIDE), Image.Resampling.BOX)
                content = io.BytesIO()
                image.save(content, "WEBP", quality=80, method=6)
                archive.writestr(zipfile.ZipInfo(f"{name}/{number:03}.webp"), content.getvalue())


def flowers(random: np.random.Generator, side: int) -> Picture:
    """Blossoms with petals around a bright middle, over dark leaves."""
    y, x = np.mgrid[:side, :side] / side
    dark, light = _dark(random), _dark(random) * 1.6
    picture = dark + (light - dark) * (0.5 + 0.5 * _smooth(random, side, 12))[..., None]
    for _ in range(random.integers(7, 12)):
        radius = random.uniform(0.15, 0.27)
        down, right = y - random.uniform(0, 1), x - random.uniform(0, 1)
        distance, angle = np.hypot(down, right) / radius, np.arctan2(down, right)
        petals, turn = random.integers(5, 9), random.uniform(0, 2 * np.pi)
        petal = np.abs(np.cos((angle + turn) * petals / 2))
        edge = 0.5 + 0.5 * petal**0.7
        # Petals are darker towards the middle and along their seams.
        shade = (0.55 + 0.45 * np.clip(distance / edge, 0, 1)) * (0.7 + 0.3 * petal)
        inside = distance < edge
        picture[(distance < edge + 0.09) & ~inside] *= 0.6
        picture[inside] = (_bright(random) * shade[..., None])[inside]
        heart = distance < 0.25
        picture[heart] = (_bright(random) * 0.4 + 0.6 - 0.5 * (distance[..., None] * 4) ** 2 * 0.6)[heart]
    return picture


def glass(random: np.random.Generator, side: int) -> Picture:
    """Bright panes in dark lead, lit from behind."""
    y, x = np.mgrid[:side, :side] / side
    count = random.integers(14, 30)
    places = random.uniform(-0.1, 1.1, (count, 2))
    distances = np.stack([np.hypot(y - py, x - px) for py, px in places])
    nearest = np.sort(distances, 0)
    picture = np.stack([_bright(random) for _ in range(count)])[distances.argmin(0)]
    light = 0.75 + 0.3 * _smooth(random, side, 5)
    picture = picture * (light + 0.25 * (1 - nearest[0] / nearest[1]))[..., None]
    lead = nearest[1] - nearest[0] < random.uniform(0.022, 0.034)
    made: Picture = np.where(lead[..., None], _dark(random) * 0.4, picture)
    return made


def waves(random: np.random.Generator, side: int) -> Picture:
    """Rows of arcs in arcs that overlap like scales: the waves of Japanese fabrics (seigaiha)."""
    y, x = np.mgrid[:side, :side] / side
    picture = np.ones((side, side, 3)) * _dark(random)
    radius, rings = random.uniform(0.13, 0.24), random.integers(3, 5)
    first, second, line = _bright(random), _bright(random), _dark(random) * 0.7
    start = random.uniform(0, 2 * radius)
    for row in range(int(2.5 / radius) + 4):
        middle = (row - 2) * radius / 2
        offset = start + (row % 2) * radius
        along = (x - offset + radius) % (2 * radius) - radius
        distance = np.hypot(along, y - middle - radius / 2) / radius
        ring = np.floor(distance * rings)
        colour = np.where((ring % 2 == 0)[..., None], first, second) * (1.05 - 0.25 * distance[..., None])
        edge = np.abs(distance * rings - np.round(distance * rings)) < 0.1
        inside = distance < 1
        picture[inside] = np.where(edge[..., None], line, colour)[inside]
    return picture * (0.9 + 0.1 * _smooth(random, side, 4))[..., None]


def _bright(random: np.random.Generator) -> Picture:
    return _hsv(random.uniform(0, 1), random.uniform(0.45, 0.95), random.uniform(0.8, 1))


def _dark(random: np.random.Generator) -> Picture:
    return _hsv(random.uniform(0, 1), random.uniform(0.4, 0.8), random.uniform(0.15, 0.32))


def _smooth(random: np.random.Generator, side: int, grain: int) -> NDArray[np.float64]:
    """Clouds from -1 to 1, so many of them across."""
    noise = Image.fromarray((random.uniform(0, 255, (grain, grain))).astype(np.uint8))
    cloud = noise.resize((side, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(side / grain / 8))
    return np.asarray(cloud, np.float64) / 127.5 - 1


def _hsv(hue: float, saturation: float, value: float) -> Picture:
    pixel = Image.new("HSV", (1, 1), (int(hue % 1 * 255), int(saturation * 255), int(value * 255)))
    values: Picture = np.asarray(pixel.convert("RGB"), np.float64)[0, 0] / 255
    return values


if __name__ == "__main__":
    main()
