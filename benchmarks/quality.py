"""How good the pictures are, on the held-out test pictures, with both sides of each comparison in one run.

`python -m robust_synthesis.benchmarks.quality ../shared/data` prints a table for each operation. The judge
(benchmarks/judge.py) is not the classifier that climbs, and no setting was chosen with the test pictures.

`--metrics inception` prints the field's own figures instead: see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import datetime, timezone
from pathlib import Path

import torch

from robust_synthesis.models import bundled_classifiers, load_classifier, native_bfloat16, optimize_for_inference
from robust_synthesis.synthesis import TRANSLATE_PAPER, TRANSLATE_PRESETS

from .generation import generation
from .inception import DUAL, generate_into, inception_figures
from .inpainting import inpainting
from .judge import load_judge
from .large import large
from .measures import Table, held_out
from .starts import starts
from .translation import translation
from .upsampling import upsampling

OPERATIONS = ("generation", "starts", "large", "inpainting", "upsampling", "translation")
# Of each class. The paper's settings take 45 times our steps to inpaint, and four times to upsample.
GENERATED, ENLARGED, INPAINTED_AS_PAPER, UPSAMPLED_AS_PAPER, TRANSLATED = 40, 5, 4, 10, 75
SETTINGS = {"generate": TRANSLATE_PRESETS["generate"], "dual": DUAL, "paper": TRANSLATE_PAPER["generate"]}


def judged(data: Path, each: int, operations: list[str], plot: Path) -> None:
    """Print the tables of some operations, with at most so many pictures of each class."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} CPU cores,", end=" ")
    print(datetime.now(timezone.utc).date())
    started = time.perf_counter()
    models = bundled_classifiers()
    zips = {name: data / f"{name}-96.zip" for name in ("canvas", "seasons")}
    if operations != ["translation"]:
        judge, canvas = load_judge(zips["canvas"]), load_classifier(models["canvas"])
        test = held_out(zips["canvas"], canvas, each)
        if "generation" in operations:
            # All the test pictures, however few are generated: a Frechet distance wants many.
            generation(judge, canvas, held_out(zips["canvas"], canvas, 1 << 30), min(each, GENERATED))
        if "starts" in operations:
            starts(judge, canvas, held_out(zips["canvas"], canvas, 1 << 30), min(each, GENERATED))
        if "large" in operations:
            quick = optimize_for_inference(
                load_classifier(models["canvas"]), torch.bfloat16 if native_bfloat16() else torch.float32
            )
            large(judge, quick, held_out(zips["canvas"], canvas, 1 << 30), min(each, ENLARGED))
        if "inpainting" in operations:
            inpainting(judge, canvas, test, min(each, INPAINTED_AS_PAPER))
        if "upsampling" in operations:
            upsampling(judge, canvas, test, min(each, UPSAMPLED_AS_PAPER))
    if "translation" in operations:
        judge, seasons = load_judge(zips["seasons"]), load_classifier(models["seasons"])
        translation(judge, seasons, held_out(zips["seasons"], seasons, min(each, TRANSLATED)), plot)
    print(f"\n{(time.perf_counter() - started) / 60:.1f} minutes")


def field(arguments: argparse.Namespace) -> None:
    """Generate what is missing, and print Inception Score and FID."""
    models = bundled_classifiers()
    classifier = load_classifier(models.get(arguments.classifier, Path(arguments.classifier)))
    settings = SETTINGS[arguments.settings]
    generate_into(arguments.generated, classifier, settings, arguments.count, arguments.photos)
    score, distance = inception_figures(arguments.generated, arguments.real, classifier.input_size)
    table = Table(f"{classifier.card.title}", {"pictures": "d", "steps": "d", "IS": ".2f", "FID": ".2f"})
    table.row(f"`{arguments.settings}`", arguments.count, settings.steps, score, distance)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="the folder of canvas-96.zip and seasons-96.zip")
    parser.add_argument("--metrics", choices=("judge", "inception"), default="judge")
    judge = parser.add_argument_group("with the judge")
    judge.add_argument("--pictures", type=int, default=1 << 30, metavar="N", help="at most N of each class")
    judge.add_argument("--only", choices=OPERATIONS, action="append", help="may be given again")
    judge.add_argument("--plot", type=Path, default=Path(__file__).with_name("translation.png"), metavar="FILE")
    inception = parser.add_argument_group("with --metrics inception, which downloads its weights")
    inception.add_argument(
        "--generated", type=Path, metavar="DIR", help="of the generated pictures; missing ones are made"
    )
    inception.add_argument("--real", type=Path, metavar="DIR", help="of the photographs to compare with")
    inception.add_argument("--classifier", default="canvas", metavar="NAME", help="a bundled one, or a file")
    inception.add_argument("--settings", choices=SETTINGS, default="generate")
    inception.add_argument("--photos", type=Path, metavar="DIR", help="start from these, not from class seeds")
    inception.add_argument("--count", type=int, default=50_000, metavar="N", help="how many pictures")
    arguments = parser.parse_args()
    if arguments.metrics == "inception":
        if arguments.generated is None or arguments.real is None:
            parser.error("--metrics inception needs --generated and --real")
        field(arguments)
    elif arguments.data is None:
        parser.error("name the folder of canvas-96.zip and seasons-96.zip")
    else:
        judged(arguments.data, arguments.pictures, arguments.only or list(OPERATIONS), arguments.plot)


if __name__ == "__main__":
    main()
