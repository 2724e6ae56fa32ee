"""How good the pictures of the bundled classifiers are, on held-out test pictures, beside baselines and the paper.

Prints a table for each operation. The judge (see judge.py) is a public ImageNet network; no setting was chosen with
the test pictures. docs/numbers.md says where the data comes from.
"""

from __future__ import annotations

from pathlib import Path

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.training.data import Pictures

from ..command_line import new_parser, read
from ..data import data_set, first_of_each, held_out
from .generation import generation, starts
from .inpainting import inpainting
from .judge import Judge, load_judge
from .large import large
from .translation import EPSILONS, STYLES, horse_to_zebra, photo_to_styles, translation
from .upsampling import FACTORS, upsampling

OPERATIONS = ("generation", "large", "starts", "inpainting", "upsampling", "horses", "styles", "seasons")
DATA = {"canvas": "canvas-128", "painters": "painters-128", "seasons": "seasons-96"}
"""The data sets of the bundled classifiers."""
QUICK = {
    "only": ("generation", "inpainting", "upsampling", "horses", "styles"),
    "pictures": 1,
    "every": 3,
    "real": 2,
    "photos": 4,
    "factors": (4,),
    "epsilons": (30.0,),
    "styles": ("style", "style, photographs of twice the size"),
}
"""What the README names, of every third class, beside few test pictures: distances compare within a table only."""


def main() -> None:
    """Read the command line, and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help=f"the folder that holds {', '.join(DATA.values())}, zips or folders")
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class (default: 20)")
    parser.add_argument("--photos", type=int, metavar="N", help="of each class, to translate (default: as --pictures)")
    parser.add_argument("--slow", action="store_true", help="inpaint with the paper's 720 steps as well")
    parser.set_defaults(every=1, real=None, factors=FACTORS, epsilons=EPSILONS, styles=STYLES)
    arguments = read(parser, QUICK)
    count, photos = arguments.pictures, arguments.photos or arguments.pictures

    def ready(name: str) -> tuple[Judge, RobustClassifier, Pictures]:
        classifier, data = load_classifier(bundled_classifiers()[name]), data_set(arguments.data, DATA[name])
        return load_judge(data, classifier.input_size), classifier, held_out(data, classifier)

    if {*arguments.only} - {"styles", "seasons"}:
        # A Frechet distance needs all the test pictures, however few are generated.
        judge, canvas, test = ready("canvas")
        ensemble = load_classifier(bundled_classifiers()["canvas-ensemble"])
        few = first_of_each(test, count)[:: arguments.every]
        if "generation" in arguments.only:
            beside = first_of_each(test, arguments.real) if arguments.real else test
            generation(judge, canvas, ensemble, beside, count, arguments.every)
        if "starts" in arguments.only:
            starts(judge, canvas, test, count)
        if "large" in arguments.only:
            large(judge, canvas, ensemble, test)
        if "inpainting" in arguments.only:
            inpainting(judge, canvas, few, arguments.slow)
        if "upsampling" in arguments.only:
            upsampling(judge, canvas, few, arguments.factors)
        if "horses" in arguments.only:
            horse_to_zebra(judge, canvas, first_of_each(test, photos), arguments.epsilons)
    if "styles" in arguments.only:
        judge, painters, test = ready("painters")
        twice = held_out(data_set(arguments.data, DATA["painters"]), painters, 2)
        sizes = {1: first_of_each(test, photos), 2: first_of_each(twice, photos)}
        photo_to_styles(judge, painters, sizes, arguments.styles)
    if "seasons" in arguments.only:
        judge, seasons, test = ready("seasons")
        translation(judge, seasons, first_of_each(test, photos))


if __name__ == "__main__":
    main()
