"""The few-step preset `generate` against the paper's settings, on the same seeds, in one run.

`python -m robust_synthesis.benchmarks.presets ../shared/data/canvas-96.zip` prints the judge's accuracy on the asked
class, the climbed classifier's own confidence, and the Frechet distance in the judge's features to training pictures.
The judge (benchmarks/judge.py) is trained first where that has not been done; the test split is not used.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from robust_synthesis.models import bundled_classifiers, load_classifier
from robust_synthesis.synthesis import TRANSLATE_PAPER, TRANSLATE_PRESETS, Mix, ascend, class_loss, class_seeds

from .judge import accuracy, frechet_distance, load_judge, read_pictures

REAL_PICTURES = 1600


def main(data: Path, pictures: int) -> None:
    """Print the table, with `pictures` pictures of each class."""
    judge, climbed = load_judge(data), load_classifier(bundled_classifiers()["canvas"])
    real, _, _ = read_pictures(data, "train")
    real = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:REAL_PICTURES]].float() / 255
    classes, size = len(climbed.labels), climbed.input_size
    if climbed.seeds is None:
        raise SystemExit("The classifier has no class seeds.")
    asked = torch.arange(classes).repeat_interleave(pictures)
    seeds = torch.cat(
        [class_seeds(climbed.seeds, Mix(((c, 1.0),)), size, size, range(pictures)) for c in range(classes)]
    )
    print(f"{classes} classes x {pictures} pictures at {size} px, {torch.get_num_threads()} threads")
    print(f"{'settings':<28}{'steps':>6}{'judge':>8}{'own':>8}{'Frechet':>9}{'ms a picture':>14}")
    settings = {
        "seeds": None,
        "paper's generate": TRANSLATE_PAPER["generate"],
        "generate": TRANSLATE_PRESETS["generate"],
    }
    for name, choice in settings.items():
        started, images, steps = time.perf_counter(), seeds, 0
        if choice is not None:
            steps = choice.steps
            climbs = [
                ascend(start, class_loss(climbed, weights, choice.objective), choice.ascent(size, size))
                for start, weights in zip(seeds.split(32), torch.eye(classes)[asked].split(32), strict=True)
            ]
            images = torch.cat(climbs)
        each = (time.perf_counter() - started) / len(images) * 1000
        with torch.no_grad():
            own = climbed(images).softmax(1)[torch.arange(len(images)), asked].mean()
        print(
            f"{name:<28}{steps:>6}{accuracy(judge, images, asked):>8.1%}{float(own):>8.3f}"
            f"{frechet_distance(judge, images, real):>9.2f}{each:>14.1f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="canvas-96.zip")
    parser.add_argument("--pictures", type=int, default=20, help="of each class")
    arguments = parser.parse_args()
    main(arguments.data, arguments.pictures)
