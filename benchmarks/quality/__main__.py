"""How good the pictures of the bundled classifiers are, on held-out test pictures, beside baselines and the paper.

Prints a table for each operation. The judge (see judge.py) is a public ImageNet network; no setting was chosen with
the test pictures. docs/numbers.md says where the data comes from.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from robust_synthesis.models import bundled_classifiers, load_classifier

from ..data import data_set, first_of_each, held_out
from .generation import generation, starts
from .inpainting import inpainting
from .judge import load_judge
from .translation import translation
from .upsampling import upsampling

OPERATIONS = ("generation", "starts", "inpainting", "upsampling", "translation")


def main() -> None:
    """Read the command line, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds canvas-96 and seasons-96, zips or folders")
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class (default: 20)")
    parser.add_argument("--slow", action="store_true", help="inpaint with the paper's 720 steps as well")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} CPU cores")

    def ready(name: str) -> tuple[Path, Path]:
        return data_set(arguments.data, f"{name}-96"), bundled_classifiers()[name]

    count = arguments.pictures
    if {*arguments.only} - {"translation"}:
        data, model = ready("canvas")
        canvas = load_classifier(model)
        judge = load_judge(data, canvas.input_size)
        # A Frechet distance needs all the test pictures, however few are generated.
        test = held_out(data, canvas)
        few = first_of_each(test, count)
        for operation in (generation, starts):
            if operation.__name__ in arguments.only:
                operation(judge, canvas, test, count)
        if "inpainting" in arguments.only:
            inpainting(judge, canvas, few, arguments.slow)
        if "upsampling" in arguments.only:
            upsampling(judge, canvas, few)
    if "translation" in arguments.only:
        data, model = ready("seasons")
        seasons = load_classifier(model)
        translation(load_judge(data, seasons.input_size), seasons, first_of_each(held_out(data, seasons), count))


if __name__ == "__main__":
    main()
