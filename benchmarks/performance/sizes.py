"""Seconds and peak memory of every operation at many sizes with the bundled `canvas`, each in a process of its own.

Memory is the peak of the whole process, torch included. Masks cover a quarter of the picture. Needs Linux.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robust_synthesis.models import bundled_classifiers, fast_precision, load_classifier, optimize_for_inference
from robust_synthesis.synthesis import (
    InpaintSettings,
    Mix,
    PaintSettings,
    TranslateSettings,
    UpsampleSettings,
    generate,
    inpaint,
    natural_noise,
    paint,
    parse_class_expression,
    preset,
    translate,
    upsample,
)

from ..command_line import new_parser, read
from ..table import Table
from .processes import in_new_process, peak_memory, seconds

FEATURE = Mix.single(282)
OPERATIONS = ("generate", "translate", "inpaint", "paint", "upsample")
SIZES = ((96, 96), (512, 512), (900, 1600), (1024, 1024), (2048, 2048))
"""Height and width."""
QUICK = {"sizes": SIZES[:2]}
DTYPE = fast_precision(torch.device("cpu"))


def measure(operation: str, height: int, width: int) -> tuple[float, float]:
    """Seconds, and megabytes."""
    run = _operation(operation)
    # Leave out what a first run does once.
    run(96, 96)
    return seconds(lambda: run(height, width)), peak_memory() / 1e6


def _operation(name: str) -> Callable[[int, int], Tensor]:
    path = bundled_classifiers()["canvas"]
    canvas = optimize_for_inference(load_classifier(path), DTYPE)
    sea = parse_class_expression("sea", canvas.card.labels)
    features = FEATURE.vector(canvas.feature_count)
    change = preset(TranslateSettings, "translate").settings
    fill, brush = preset(InpaintSettings, "inpaint").settings, preset(PaintSettings, "paint").settings
    enlarge = preset(UpsampleSettings, "upsample").settings

    def photo(height: int, width: int) -> Tensor:
        return natural_noise(height, width, [1])

    def quarter(height: int, width: int) -> Tensor:
        mask = torch.zeros(1, 1, height, width)
        mask[:, :, height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
        return mask

    operations: dict[str, Callable[[int, int], Tensor]] = {
        "generate": lambda h, w: generate(canvas, sea, [1], size=(h, w)),
        "translate": lambda h, w: translate(canvas, photo(h, w), sea, change, [1]),
        "inpaint": lambda h, w: inpaint(canvas, photo(h, w), quarter(h, w), sea, fill, [1]),
        "paint": lambda h, w: paint(canvas, photo(h, w), quarter(h, w), features, 1.0, brush),
        "upsample": lambda h, w: upsample(canvas, photo(h // 4, w // 4), 4, sea, enlarge),
    }
    return operations[name]


def main() -> None:
    """Print a row for each operation and size."""
    parser = new_parser(__doc__)
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS, metavar="OPERATION")
    parser.set_defaults(sizes=SIZES)
    arguments = read(parser, QUICK, dtype=DTYPE)
    table = Table("Operations by width x height", {"seconds": ".1f", "peak MB": ".0f"})
    for operation in arguments.only:
        for height, width in arguments.sizes:
            table.row(f"{operation}, {width} x {height}", *in_new_process(measure, operation, height, width))


if __name__ == "__main__":
    main()
