"""What classifiers generate from the same random seeds, measured side by side by the judge, with a sheet to look at.

Prints one table for the classes that all classifiers and the data have, and one for each classifier that has more. The
real pictures' figures are the first row: no generated picture needs better ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import resize
from torchvision.utils import save_image

from robust_synthesis.models import (
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    optimize_for_inference,
)
from robust_synthesis.models.names import comparable
from robust_synthesis.synthesis import Mix, TranslateSettings, class_seeds, detailed_class_seeds, preset, translate
from robust_synthesis.training.data import read_split

from ..command_line import new_parser, read
from ..data import BUILD, as_float
from ..table import Table
from .batches import Draw
from .generation import COLUMNS, figures
from .judge import load_judge
from .metrics import grid, spectrum_slope

FIRST_SEED = 3000
"""Others than `generation.FIRST_SEED`: what is chosen here is measured there with seeds that had no part in it."""
STARTS: dict[str, Draw] = {"": detailed_class_seeds, "blurry": class_seeds}
"""What `generate` may start from: as it does, and as in the paper."""
SHOWN = 4
"""Pictures of each class on the sheet, by each classifier."""


@dataclass(frozen=True)
class Painter:
    """A classifier, with the settings that it generates with."""

    name: str
    classifier: RobustClassifier
    settings: TranslateSettings
    draw: Draw
    """What it starts from."""
    side: int = 0
    """Height and width of its pictures, in pixels; 0: as the classifier sees them."""

    @property
    def names(self) -> list[str]:
        """Of the classes, as names are compared."""
        return [comparable(name) for name in self.classifier.labels]

    def paint(self, label: str, random_seeds: Sequence[int], reduced_to: int) -> Tensor:
        """Pictures `[N, 3, S, S]` of a class, one for each random seed, with S reduced to a number of pixels."""
        classifier, mix = self.classifier, Mix.single(self.names.index(comparable(label)))
        if classifier.seeds is None:
            raise SystemExit(f"{self.name} has no class seeds.")
        side = self.side or classifier.input_size
        seeds = self.draw(classifier.seeds, mix, side, side, random_seeds)
        made = translate(classifier, seeds, mix, self.settings, random_seeds)
        reduced: Tensor = resize(made, [reduced_to, reduced_to], antialias=True)
        return reduced.clamp(0, 1)


def painters(
    networks: Sequence[str], values: Sequence[str], starts: Sequence[str] = ("",), side: int = 0
) -> list[Painter]:
    """Every network with every choice of settings and of what it starts from.

    Args:
        networks: bundled names, or files.
        values: changes to the preset `generate`, as JSON objects; an empty text for none.
        starts: of `STARTS`.
        side: height and width of the pictures, in pixels; 0: as each network sees them.
    """
    bundled, usual = bundled_classifiers(), preset(TranslateSettings, "generate").settings
    classifiers = {name: load_classifier(bundled.get(name, Path(name))) for name in networks}
    stems = {name: Path(name).stem for name in networks}
    # Files of one name in several folders are told apart by their folders.
    names = stems if len(set(stems.values())) == len(stems) else {name: name for name in networks}
    return [
        Painter(" ".join(filter(None, (names[name], changes, start))), fast, settings, STARTS[start], side)
        for name, classifier in classifiers.items()
        for fast in [optimize_for_inference(classifier)]
        for changes in values
        for start in starts
        for settings in [usual.with_values(**json.loads(changes or "{}"))]
    ]


class Comparison:
    """The pictures of some painters, in the smallest size that one sees, beside the test pictures of a data set."""

    def __init__(self, data: Path, chosen: Sequence[Painter], count: int) -> None:
        side = min(painter.classifier.input_size for painter in chosen)
        self.test, self.labels = read_split(data, "test", side)
        self.classes = {
            painter.name: tuple(label for label in self.labels if comparable(label) in painter.names)
            for painter in chosen
        }
        self.shared = tuple(
            label for label in self.labels if all(label in classes for classes in self.classes.values())
        )
        if not self.shared:
            raise SystemExit(f"No class of {data.name} is one of every classifier.")
        self.judge, self.count = load_judge(data, side), count
        self.real = self.judge.features(as_float(self.test))
        numbers = range(FIRST_SEED, FIRST_SEED + count)
        self.images = {
            painter.name: {label: painter.paint(label, numbers, side) for label in self.classes[painter.name]}
            for painter in chosen
        }
        self.features = {
            name: {label: self.judge.features(images) for label, images in painted.items()}
            for name, painted in self.images.items()
        }

    def measure(self, classes: Sequence[str]) -> None:
        """Print the table of some classes, with the painters that have them all."""
        judge, numbers = self.judge, torch.tensor([self.labels.index(label) for label in classes])
        rows = torch.isin(self.test.classes, numbers)
        test, real, images = self.test.classes[rows], self.real[rows], as_float(self.test[rows])
        table = Table(f"{len(classes)} classes, {self.count} pictures of each", COLUMNS)
        agreed = judge.agreement(real, test)
        table.row(f"{len(test)} test pictures", agreed, None, None, grid(images), spectrum_slope(images))
        targets = numbers.repeat_interleave(self.count)
        for name, painted in self.images.items():
            if set(classes) <= set(painted):
                images, features = (torch.cat([part[c] for c in classes]) for part in (painted, self.features[name]))
                table.row(name, *figures(judge, images, targets, real, features))

    def measure_each_class(self) -> None:
        """Print what the judge agrees with, class by class."""
        table = Table("What the judge agrees with", {"test": ".0%"} | dict.fromkeys(self.images, ".0%"))
        for c, label in enumerate(self.labels):
            own = [self.features[name].get(label) for name in self.images]
            sets = [self.real[self.test.classes == c], *own]
            table.row(label, *(None if x is None else self.judge.agreement(x, torch.tensor(c)) for x in sets))

    def save_sheet(self, path: Path) -> None:
        """Write a row for each shared class: the pictures of the first painter, then of the next."""
        rows = [torch.cat([painted[label][:SHOWN] for painted in self.images.values()]) for label in self.shared]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_image(torch.cat(rows), path, nrow=len(rows[0]), pad_value=1)
        print(f"\n{path}")


def main() -> None:
    """Print the tables, and write the sheet."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help="a zip or folder of {train,test}/<class>/<picture>")
    parser.add_argument("classifiers", nargs="+", help="bundled names, or files")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class (default: 20)")
    parser.add_argument("--values", nargs="+", default=[""], metavar="JSON", help="changes to `generate`, each tried")
    parser.add_argument("--size", type=int, default=0, metavar="N", help="make them N pixels wide, and reduce them")
    parser.add_argument("--blurry", action="store_true", help="also from class seeds without detail, as in the paper")
    parser.add_argument("--each-class", action="store_true", help="also what the judge agrees with, class by class")
    parser.add_argument("--sheet", type=Path, default=BUILD / "compare.png", metavar="FILE")
    arguments = read(parser, {"pictures": 1})
    starts = [*STARTS] if arguments.blurry else [""]
    chosen = painters(arguments.classifiers, arguments.values, starts, arguments.size)
    if len({painter.classifier.input_size for painter in chosen}) > 1:
        parser.error("the classifiers have different input sizes")
    comparison = Comparison(arguments.data, chosen, arguments.pictures)
    comparison.measure(comparison.shared)
    for classes in sorted({*comparison.classes.values()} - {comparison.shared}):
        comparison.measure(classes)
    if arguments.each_class:
        comparison.measure_each_class()
    comparison.save_sheet(arguments.sheet)


if __name__ == "__main__":
    main()
