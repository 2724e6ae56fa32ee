"""How robust classifiers of the same classes are, side by side, and what they paint from the same seeds.

`python -m robust_synthesis.benchmarks.robustness DATA.zip ONE.safetensors OTHER.safetensors` measures on the pictures
of the `test` split that are not in the `train` split too, under PGD of our own and, where the Adversarial Robustness
Toolbox is installed, under its Auto-PGD (Croce and Hein, arXiv 2003.01690), at half of epsilon, at epsilon and at twice
of it. For that: `pip install adversarial-robustness-toolbox`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from robust_synthesis.models import ClassSeeds, RobustClassifier, load_classifier, optimize_for_inference
from robust_synthesis.synthesis import TRANSLATE_PRESETS, Mix, class_seeds, translate
from robust_synthesis.training import Attack
from robust_synthesis.training.data import Pictures, deduplicate, read_split
from robust_synthesis.training.evaluation import accuracy

from .judge import BUILD, frechet_distance, load_judge
from .judge import accuracy as share_right
from .measures import Table, grid

PGD_STEPS, PGD_STARTS, AUTO_STEPS = 20, 3, 40
# Other seeds than those that anything was chosen with.
FIRST_SEED, COLUMNS = 2000, 4


def auto_pgd(classifier: RobustClassifier, pictures: Pictures, epsilon: float) -> float | None:
    """The share of pictures that Auto-PGD leaves as they were named, rightly; None where it is not installed."""
    try:
        from art.attacks.evasion import AutoProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier
    except ImportError:
        return None
    shape = tuple(pictures.images.shape[1:])
    classes = len(classifier.labels)
    model = PyTorchClassifier(
        classifier, nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    # The ratio of logits' differences needs a third class.
    loss = "difference_logits_ratio" if classes > 2 else "cross_entropy"
    attack = AutoProjectedGradientDescent(
        model,
        norm=2,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=AUTO_STEPS,
        nb_random_init=1,
        batch_size=128,
        loss_type=loss,
        verbose=False,
    )
    images = pictures.images.float() / 255
    right = classifier(images).argmax(1) == pictures.classes
    torch.manual_seed(0)
    changed = torch.from_numpy(attack.generate(images[right].numpy(), pictures.classes[right].numpy()))
    withstood = classifier(changed).argmax(1) == pictures.classes[right]
    return int(withstood.sum()) / len(pictures)


def painted(classifier: RobustClassifier, seeds: ClassSeeds, count: int) -> Tensor:
    """So many pictures of each class in turn, from the seeds of some classifier."""
    side, numbers = classifier.input_size, range(FIRST_SEED, FIRST_SEED + count)
    made = []
    for index in range(len(classifier.labels)):
        mix = Mix(((index, 1.0),))
        starts = class_seeds(seeds, mix, side, side, numbers)
        made.append(translate(classifier, starts, mix, TRANSLATE_PRESETS["generate"], numbers))
    return torch.cat(made)


def sheet(pictures: Sequence[Tensor], count: int) -> Tensor:
    """For each class a row: some pictures of the first classifier, then of the next, from the same seeds."""
    rows = [part[:COLUMNS] for parts in zip(*(each.split(count) for each in pictures), strict=True) for part in parts]
    laid_out: Tensor = make_grid(torch.cat(rows), len(rows[0]) * len(pictures), 2, pad_value=1)
    return laid_out


def main() -> None:
    """Print the table, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a zip with a test split")
    parser.add_argument("classifiers", type=Path, nargs="+", help="of the same classes; the first one's seeds are used")
    parser.add_argument("--epsilon", type=float, help="the first one's by default")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class, for the judge")
    parser.add_argument("--sheet", type=Path, default=BUILD / "robustness.png", metavar="FILE")
    arguments = parser.parse_args()
    classifiers = [optimize_for_inference(load_classifier(path)) for path in arguments.classifiers]
    if len({classifier.input_size for classifier in classifiers}) > 1:
        parser.error("the classifiers are of different input sizes")
    test, train = (read_split(arguments.data, split, classifiers[0].input_size)[0] for split in ("test", "train"))
    test = test[deduplicate(test, train)]
    epsilon = arguments.epsilon or classifiers[0].card.training["epsilon"]
    radii = (epsilon / 2, epsilon, 2 * epsilon)
    accuracies = {"clean": ".1%"} | {f"{how} {e:g}": ".1%" for e in radii for how in ("PGD", "APGD")}
    judge, seeds, pictures = load_judge(arguments.data), classifiers[0].seeds, list[Tensor]()
    assert seeds is not None, "the first classifier has class seeds"
    asked = torch.arange(len(seeds.classes)).repeat_interleave(arguments.pictures)
    table = Table(f"{len(test)} test pictures, L2", accuracies | {"judge": ".1%", "Frechet": ".2f", "grid": ".2f"})
    for path, classifier in zip(arguments.classifiers, classifiers, strict=True):
        values: list[float | None] = []
        for radius in radii:
            found = accuracy(classifier, test, Attack("l2", radius, PGD_STEPS, 0.125, PGD_STARTS))
            values = values or [found.clean]
            values += [found.robust, auto_pgd(classifier, test, radius)]
        pictures.append(painted(classifier, seeds, arguments.pictures))
        values.append(share_right(judge, pictures[-1], asked))
        values.append(frechet_distance(judge, pictures[-1], test.images.float() / 255))
        values.append(grid(pictures[-1]))
        table.row(str(path), *values)
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image(sheet(pictures, arguments.pictures)).save(arguments.sheet)
    print(f"\n{arguments.sheet}")


if __name__ == "__main__":
    main()
