"""Seconds and memory of pictures of many sizes with the bundled `canvas`, each in a process of its own.

`python -m robust_synthesis.benchmarks.sizes`; memory is the whole process's peak, torch included, and needs Linux.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from robust_synthesis.models import bundled_classifiers, load_classifier, native_bfloat16, optimize_for_inference
from robust_synthesis.synthesis import (
    INPAINT_PRESET,
    PAINT_PRESET,
    TRANSLATE_PRESETS,
    UPSAMPLE_PRESET,
    Mix,
    class_seeds,
    inpaint,
    natural_noise,
    paint,
    translate,
    upsample,
)

from .memory import peak

SEA = Mix(((13, 1.0),))
WAVES = Mix(((282, 1.0),))
OPERATIONS = ("generate", "translate", "inpaint", "paint", "upsample")
SIZES = ((96, 96), (512, 512), (900, 1600), (1024, 1024), (2048, 2048))


def main() -> None:
    """Print a row for each operation and size."""
    print("| operation | width x height | seconds | peak memory |\n|---|---|---|---|")
    for operation in OPERATIONS:
        for height, width in SIZES:
            command = [sys.executable, "-m", "robust_synthesis.benchmarks.sizes", operation, str(height), str(width)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds, memory = json.loads(output.splitlines()[-1])
            print(f"| {operation} | {width} x {height} | {seconds:.1f} | {memory / 1e6:.0f} MB |", flush=True)


def _measure(operation: str, height: int, width: int) -> None:
    run = _ready(operation)
    # What the first run of a kind does once.
    run(96, 96)
    started = time.perf_counter()
    run(height, width)
    print(json.dumps([time.perf_counter() - started, peak()]))


def _ready(operation: str) -> Callable[[int, int], Tensor]:
    path = bundled_classifiers()["canvas"]
    canvas = optimize_for_inference(load_classifier(path), torch.bfloat16 if native_bfloat16() else torch.float32)
    assert canvas.seeds is not None
    seeds, features = canvas.seeds, WAVES.vector(canvas.feature_count)

    def quarter(height: int, width: int) -> Tensor:
        mask = torch.zeros(1, 1, height, width)
        mask[:, :, height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
        return mask

    ways: dict[str, Callable[[int, int], Tensor]] = {
        "generate": lambda h, w: translate(
            canvas, class_seeds(seeds, SEA, h, w, [1]), SEA, TRANSLATE_PRESETS["generate"], [1]
        ),
        "translate": lambda h, w: translate(canvas, natural_noise(h, w, [1]), SEA, TRANSLATE_PRESETS["translate"], [1]),
        "inpaint": lambda h, w: inpaint(canvas, natural_noise(h, w, [1]), quarter(h, w), SEA, INPAINT_PRESET, [1]),
        "paint": lambda h, w: paint(canvas, natural_noise(h, w, [1]), quarter(h, w), features, 1.0, PAINT_PRESET),
        "upsample": lambda h, w: upsample(canvas, natural_noise(h // 4, w // 4, [1]), 4, SEA, UPSAMPLE_PRESET),
    }
    return ways[operation]


if __name__ == "__main__":
    if sys.argv[1:]:
        _measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
