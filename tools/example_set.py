"""Makes the pictures of the example train-your-own: `python -m tools.example_set`.

Three kinds of drawing, none like the other: flowers, stained glass and waves. They are made by this script alone, so
that they can ship with the pack on its own licence.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .paths import ROOT

PLACE = ROOT / "workflows" / "assets" / "patterns.zip"
SIDE, EACH, FINER = 96, 110, 3

Picture = NDArray[np.float64]
"""`[S, S, 3]` in [0, 1]."""


def main() -> None:
    """Write the zip, the same each time."""
    with zipfile.ZipFile(PLACE, "w") as archive:
        for index, (name, draw) in enumerate({"flowers": flowers, "stained_glass": glass, "waves": waves}.items()):
            for number in range(EACH):
                pixels = draw(np.random.default_rng([index, number]), SIDE * FINER)
                image = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).resize(
                    (SIDE, SIDE), Image.Resampling.BOX
                )
                content = io.BytesIO()
                image.save(content, "WEBP", quality=80, method=6)
                archive.writestr(zipfile.ZipInfo(f"{name}/{number:03}.webp"), content.getvalue())
    print(f"{PLACE}: {3 * EACH} pictures, {PLACE.stat().st_size / 1e6:.1f} MB")


def flowers(random: np.random.Generator, side: int) -> Picture:
    """Blossoms with petals around a yellow middle, over leaves."""
    y, x = np.mgrid[:side, :side] / side
    picture = _meadow(random, side)
    for _ in range(random.integers(4, 9)):
        radius = random.uniform(0.13, 0.3)
        down, right = y - random.uniform(0, 1), x - random.uniform(0, 1)
        distance, angle = np.hypot(down, right) / radius, np.arctan2(down, right)
        petals, turn = random.integers(5, 10), random.uniform(0, 2 * np.pi)
        edge = 0.62 + 0.38 * np.abs(np.cos((angle + turn) * petals / 2))
        colour = _hsv(
            random.choice([0.93, 0.98, 0.78, 0.12, 0.6, 0.0]) + random.normal(0, 0.015), random.uniform(0.35, 0.9), 0.98
        )
        # Petals are darker towards the middle and along their seams.
        shade = 0.5 + 0.5 * np.clip(distance / edge, 0, 1) ** 0.7
        shade = shade * (0.75 + 0.25 * np.abs(np.cos((angle + turn) * petals / 2)))
        inside = distance < edge
        picture[(distance < edge + 0.08) & ~inside] *= 0.72
        picture[inside] = (colour * shade[..., None])[inside]
        heart = distance < 0.24
        picture[heart] = (np.array([0.98, 0.8, 0.2]) * (1.05 - 1.6 * distance[..., None] ** 2))[heart]
    return picture


def glass(random: np.random.Generator, side: int) -> Picture:
    """Bright panes in dark lead, lit from behind."""
    y, x = np.mgrid[:side, :side] / side
    count = random.integers(14, 34)
    places = random.uniform(-0.1, 1.1, (count, 2))
    distances = np.stack([np.hypot(y - py, x - px) for py, px in places])
    nearest = np.sort(distances, 0)
    hues = random.choice([0.0, 0.07, 0.13, 0.33, 0.5, 0.6, 0.66, 0.8], count) + random.normal(0, 0.02, count)
    panes = np.stack([_hsv(h, random.uniform(0.75, 1), random.uniform(0.7, 1)) for h in hues])
    picture = panes[distances.argmin(0)]
    light = 0.75 + 0.35 * _smooth(random, side, 5)
    picture = picture * (light + 0.25 * (1 - nearest[0] / nearest[1]))[..., None]
    lead = nearest[1] - nearest[0] < random.uniform(0.018, 0.03)
    picture[lead] = np.array([0.06, 0.06, 0.08]) + 0.05 * _smooth(random, side, 9)[lead][:, None]
    return picture


def waves(random: np.random.Generator, side: int) -> Picture:
    """Rows of crests with white foam, the nearer the darker, under a pale sky."""
    y, x = np.mgrid[:side, :side] / side
    sky = _hsv(random.uniform(0.08, 0.14), random.uniform(0.1, 0.35), 0.97)
    picture = np.ones((side, side, 3)) * sky * (1 - 0.1 * y[..., None])
    rows = random.integers(5, 9)
    top, hue = random.uniform(-0.05, 0.3), random.uniform(0.54, 0.62)
    for row in range(rows):
        near = row / (rows - 1)
        level = top + (1 - top) * (row + 0.2) / rows
        height, length = random.uniform(0.04, 0.075), random.uniform(2.5, 5)
        phase = x * length + random.uniform(0, 1) + 0.15 * _smooth(random, side, 3)
        # A crest leans over: its front is steeper than its back.
        crest = level - height * (2 * np.abs((phase + 0.18 * np.sin(2 * np.pi * phase)) % 1 - 0.5)) ** 1.5
        depth = y - crest
        body = _hsv(hue + random.normal(0, 0.01), 0.55 + 0.4 * near, 0.85 - 0.45 * near)
        lines = 0.88 + 0.12 * np.sin(depth * random.uniform(110, 150))
        under = depth > 0
        picture[under] = (body * lines[..., None])[under]
        foam = (depth > 0) & (depth < 0.02 + 0.014 * _smooth(random, side, 24))
        picture[foam] = [0.97, 0.98, 0.98]
    return picture


def _meadow(random: np.random.Generator, side: int) -> Picture:
    dark, light = _hsv(random.uniform(0.27, 0.36), 0.8, 0.22), _hsv(random.uniform(0.24, 0.34), 0.7, 0.6)
    share = 0.5 + 0.5 * _smooth(random, side, 14)
    return dark + (light - dark) * share[..., None]


def _smooth(random: np.random.Generator, side: int, grain: int) -> NDArray[np.float64]:
    """Clouds from -1 to 1, so many of them across."""
    noise = Image.fromarray((random.uniform(0, 255, (grain, grain))).astype(np.uint8))
    cloud = noise.resize((side, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(side / grain / 8))
    return np.asarray(cloud, dtype=np.float64) / 127.5 - 1


def _hsv(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    pixel = Image.new("HSV", (1, 1), (int(hue % 1 * 255), int(saturation * 255), int(value * 255)))
    return np.asarray(pixel.convert("RGB"), dtype=np.float64)[0, 0] / 255


if __name__ == "__main__":
    main()
