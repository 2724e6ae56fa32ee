"""A session at the Live Canvas, painted without a browser: `python -m tools.live_session` makes its filmstrip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image
from torchvision.transforms.functional import to_pil_image

from robust_synthesis.synthesis.live import Brush, Painting

from .pictures import HELP, Tile, classifier, save, seed

HEIGHT, WIDTH = 384, 512
START, RANDOM_SEED = "mountain", 104
TICKS, STEPS = 10, 4
"""As many as a hand takes in a second or two."""
Point = tuple[float, float]


@cache
def filmstrip() -> list[Tile]:
    """The picture after each stroke."""
    network = classifier("canvas")
    painting = Painting((seed("canvas", START, [RANDOM_SEED], HEIGHT, WIDTH)[0] * 255).round().byte())
    tiles = [("a seed", _picture(painting))]

    def paint(caption: str, brush: Brush, points: Sequence[Point], *, filled: bool = False) -> None:
        stroke = painting.begin(network, brush, "area" if filled else "path")
        for tick in range(TICKS):
            first, last = (len(points) * number // TICKS for number in (tick, tick + 1))
            now = (points if tick == 0 else []) if filled else points[first:last]
            stroke.advance([(x, y, 1.0) for x, y in now], STEPS)
        while stroke.rest(1):
            pass
        stroke.finish()
        tiles.append((caption, _picture(painting)))

    everything = [(0.0, 0.0), (WIDTH, 0.0), (WIDTH, HEIGHT), (0.0, HEIGHT)]
    paint("filled with mountain", Brush(kind="class", what="mountain"), everything, filled=True)
    snow = Brush(kind="feature", what="366", size=120, softness=0.6)
    paint("feature 366: snow", snow, [*_line((60, 150), (230, 110)), *_line((230, 110), (330, 160))])
    tulips = Brush(kind="class", what="tulip", size=110)
    paint("a stroke of tulip", tulips, _line((30, 340), (480, 340)))
    return tiles


def _line(start: Point, end: Point, count: int = 40) -> list[Point]:
    shares = [index / (count - 1) for index in range(count)]
    return [(start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s) for s in shares]


def _picture(painting: Painting) -> Image.Image:
    picture: Image.Image = to_pil_image(painting.picture)
    return picture


def main() -> None:
    tiles = filmstrip()
    save([tiles[:2], tiles[2:]], HELP / "live.jpg")


if __name__ == "__main__":
    main()
