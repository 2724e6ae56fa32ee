"""How good the pictures of the bundled classifiers are, on held-out test pictures, beside baselines and the paper.

Prints a table for each operation. The judge (see judge.py) is a public ImageNet network; no setting was chosen with
the test pictures. docs/numbers.md says where the data comes from.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.training.data import Pictures

from ..data import data_set, first_of_each, held_out
from .generation import generation, starts
from .inpainting import inpainting
from .judge import Judge, load_judge
from .large import large
from .translation import horse_to_zebra, photo_to_styles, translation
from .upsampling import upsampling

OPERATIONS = ("generation", "large", "starts", "inpainting", "upsampling", "horses", "styles", "seasons")
DATA = {"canvas": "canvas-128", "painters": "painters-128", "seasons": "seasons-96"}
"""The data sets of the bundled classifiers."""


def main() -> None:
    """Read the command line, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help=f"the folder that holds {', '.join(DATA.values())}, zips or folders")
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class (default: 20)")
    parser.add_argument("--slow", action="store_true", help="inpaint with the paper's 720 steps as well")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} CPU cores")

    count = arguments.pictures

    def ready(name: str) -> tuple[Judge, RobustClassifier, Pictures]:
        classifier, data = load_classifier(bundled_classifiers()[name]), data_set(arguments.data, DATA[name])
        return load_judge(data, classifier.input_size), classifier, held_out(data, classifier)

    if {*arguments.only} - {"styles", "seasons"}:
        # A Frechet distance needs all the test pictures, however few are generated.
        judge, canvas, test = ready("canvas")
        few = first_of_each(test, count)
        for operation in (generation, starts):
            if operation.__name__ in arguments.only:
                operation(judge, canvas, test, count)
        if "large" in arguments.only:
            large(judge, canvas, test)
        if "inpainting" in arguments.only:
            inpainting(judge, canvas, few, arguments.slow)
        if "upsampling" in arguments.only:
            upsampling(judge, canvas, few)
        if "horses" in arguments.only:
            horse_to_zebra(judge, canvas, few)
    for option, name, translate in (("styles", "painters", photo_to_styles), ("seasons", "seasons", translation)):
        if option in arguments.only:
            judge, classifier, test = ready(name)
            translate(judge, classifier, first_of_each(test, count))


if __name__ == "__main__":
    main()
