"""Strokes of the live canvas with the bundled `canvas`: milliseconds by the size of the picture and of the brush.

A stroke goes through the middle of the picture in `TICKS` ticks of `STEPS` steps, with a preview after each, as the
server asks for. The floor is the network's forward and backward pass alone at the size of the view, measured in turns
with the steps; medians count. Run with as many threads as the machine has cores (`OMP_NUM_THREADS`).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from robust_synthesis.models import (
    RobustClassifier,
    bundled_classifiers,
    fast_precision,
    load_classifier,
    optimize_for_inference,
)
from robust_synthesis.synthesis import natural_noise
from robust_synthesis.synthesis.live import Brush, LiveStroke, Painting

from ..command_line import new_parser, read
from ..table import Table
from .processes import seconds

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = fast_precision(torch.device(DEVICE))
SIDES = (512, 1024, 2048, 4096)
BRUSHES = {"class": "church", "feature": "282", "colour": "", "grow": "", "restore": ""}
SIZES = (32, 128, 512)
TICKS, STEPS, LONGEST = 20, 4, 512
POINTS = 8
"""Points in each tick."""
ROUNDS = 3


def parse(description: str | None) -> argparse.Namespace:
    """Read the command line: which pictures, brushes and sizes."""
    parser = new_parser(description)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, metavar="PIXELS")
    parser.add_argument("--brushes", choices=BRUSHES, nargs="+", default=["class"], metavar="BRUSH")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="PIXELS")
    parser.set_defaults(rounds=ROUNDS)
    return read(parser, {"rounds": 1}, DEVICE, DTYPE)


def main() -> None:
    """Print a row for each picture, brush and size."""
    arguments = parse(__doc__)
    classifier = optimize_for_inference(load_classifier(bundled_classifiers()["canvas"]).to(DEVICE), DTYPE)
    table = Table(
        "Strokes; milliseconds",
        {
            "first picture": ".0f",
            "tick": ".0f",
            "slowest tick": ".0f",
            "pictures a second": ".1f",
            "step": ".1f",
            "floor": ".1f",
            "step - floor": ".2f",
            "preview": ".1f",
            "detail step": ".0f",
            "finish": ".0f",
        },
    )
    for side in arguments.sides:
        picture = (natural_noise(side, side, [1])[0] * 255).to(torch.uint8)
        for kind in arguments.brushes:
            for size in arguments.sizes:
                brush = Brush(kind=kind, what=BRUSHES[kind], size=size)
                table.row(f"{side} x {side}, {kind} of {size}", *_measure(classifier, picture, brush, arguments.rounds))


def _measure(classifier: RobustClassifier, picture: Tensor, brush: Brush, count: int) -> list[float | None]:
    ascends = brush.kind not in ("colour", "restore")
    # Leave out what a first run does once.
    _draw(classifier, Painting(picture), brush)
    rounds = [_round(classifier, picture, brush, ascends) for _ in range(count)]
    return [None if None in values else statistics.median(values) for values in zip(*rounds, strict=True)]


def _round(classifier: RobustClassifier, picture: Tensor, brush: Brush, ascends: bool) -> tuple[float | None, ...]:
    painting = Painting(picture)
    (first, *ticks), stroke = _draw(classifier, painting, brush)
    step = floor = detail = None
    preview = 1000 * statistics.median([seconds(partial(stroke.preview, LONGEST)) for _ in range(5)])
    if ascends:
        bare = _floor(classifier)
        steps, floors = [], []
        for _ in range(10):
            steps.append(1000 * seconds(partial(stroke.advance, [], STEPS)) / STEPS)
            floors.append(1000 * seconds(bare))
        step, floor = statistics.median(steps), statistics.median(floors)
        # The first of them are steps of the view.
        stroke.rest(10)
        detail = 1000 * seconds(partial(stroke.rest, 1)) if stroke.detail_left else None
    finish = 1000 * seconds(stroke.finish)
    tick = statistics.median(ticks)
    over = None if step is None or floor is None else step - floor
    return first, tick, max(ticks), 1000 / tick, step, floor, over, preview, detail, finish


def _draw(classifier: RobustClassifier, painting: Painting, brush: Brush) -> tuple[list[float], LiveStroke]:
    """Milliseconds of each tick with its picture, and the stroke."""
    side = painting.picture.shape[1]
    stroke = painting.begin(classifier, brush)
    times = []
    for tick in range(TICKS):
        places = [0.3 + 0.4 * (tick + point / POINTS) / TICKS for point in range(POINTS)]

        def work(places: list[float] = places) -> None:
            stroke.advance([(place * side, (0.4 + 0.3 * place) * side, 1.0) for place in places], STEPS)
            stroke.preview(LONGEST)

        times.append(1000 * seconds(work))
    return times, stroke


def _floor(classifier: RobustClassifier) -> Callable[[], object]:
    """The network's forward and backward pass for an image of its own size: that of a view of a square picture."""
    shape = (1, 3, classifier.input_size, classifier.input_size)
    image = torch.rand(shape, device=DEVICE, dtype=DTYPE).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        leaf = image.detach().requires_grad_()
        torch.autograd.grad(classifier.network(leaf)[:, 0].sum(), leaf)

    return run


if __name__ == "__main__":
    main()
