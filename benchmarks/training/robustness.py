"""How robust classifiers of the same classes are, side by side, and what they generate from the same seeds.

Measures on the pictures of the `test` split that are not in the `train` split too, under our own PGD and, where the
Adversarial Robustness Toolbox is installed (`pip install adversarial-robustness-toolbox`), under its Auto-PGD (Croce
and Hein, arXiv 2003.01690), at half of epsilon, at epsilon and at twice of it. The last figures are the judge's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.utils import save_image

from robust_synthesis.models import RobustClassifier, load_classifier, optimize_for_inference
from robust_synthesis.synthesis import TranslateSettings, preset
from robust_synthesis.training import Attack
from robust_synthesis.training.data import Pictures, read_split
from robust_synthesis.training.duplicates import deduplicate
from robust_synthesis.training.evaluation import accuracy

from ..data import BUILD, as_float
from ..quality.batches import seeds_of_each_class, translated
from ..quality.judge import load_judge
from ..quality.metrics import agreement, frechet_distance, grid
from ..table import Table

PGD_STEPS, PGD_RESTARTS, AUTO_STEPS = 20, 3, 40
FIRST_SEED = 2000
"""The random seeds from here on were not used to choose any setting."""
SHOWN = 4
"""Pictures of each class on the sheet, by each classifier."""


def auto_pgd(classifier: RobustClassifier, pictures: Pictures, epsilon: float) -> float | None:
    """Robust accuracy under Auto-PGD; None where the toolbox is not installed."""
    try:
        from art.attacks.evasion import AutoProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier
    except ImportError:
        return None
    shape, classes = tuple(pictures.images.shape[1:]), len(classifier.labels)
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
    images = as_float(pictures)
    correct = classifier(images).argmax(1) == pictures.classes
    torch.manual_seed(0)
    adversarial = torch.from_numpy(attack.generate(images[correct].numpy(), pictures.classes[correct].numpy()))
    robust = classifier(adversarial).argmax(1) == pictures.classes[correct]
    return int(robust.sum()) / len(pictures)


def main() -> None:
    """Print the table, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a zip or folder of {train,test}/<class>/<picture>")
    parser.add_argument("classifiers", type=Path, nargs="+", help="of the same classes; the first one's seeds are used")
    parser.add_argument("--epsilon", type=float, help="the first one's by default")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each class, for the judge")
    parser.add_argument("--sheet", type=Path, default=BUILD / "robustness.png", metavar="FILE")
    arguments = parser.parse_args()
    classifiers = [optimize_for_inference(load_classifier(path)) for path in arguments.classifiers]
    if len({classifier.input_size for classifier in classifiers}) > 1:
        parser.error("the classifiers have different input sizes")
    if classifiers[0].seeds is None:
        parser.error("the first classifier has no class seeds")
    side, numbers = classifiers[0].input_size, range(FIRST_SEED, FIRST_SEED + arguments.pictures)
    starts, classes = seeds_of_each_class(classifiers[0].seeds, side, numbers)
    test, train = (read_split(arguments.data, split, side)[0] for split in ("test", "train"))
    test = test[deduplicate(test, train)]
    epsilon = arguments.epsilon or classifiers[0].card.training["epsilon"]
    radii = (epsilon / 2, epsilon, 2 * epsilon)
    columns = {"clean": ".1%"} | {f"{attack} {e:g}": ".1%" for e in radii for attack in ("PGD", "APGD")}
    judge, sheet = load_judge(arguments.data), list[Tensor]()
    table = Table(f"{len(test)} test pictures, L2", columns | {"judge": ".1%", "Frechet": ".2f", "grid": ".2f"})
    for path, classifier in zip(arguments.classifiers, classifiers, strict=True):
        values: list[float | None] = []
        for radius in radii:
            found = accuracy(classifier, test, Attack("l2", radius, PGD_STEPS, 0.125, PGD_RESTARTS))
            values = values or [found.clean]
            values += [found.robust, auto_pgd(classifier, test, radius)]
        images = translated(classifier, starts, classes, preset(TranslateSettings, "generate").settings)
        distance = frechet_distance(judge, images, as_float(test))
        table.row(path.stem, *values, agreement(judge, images, classes), distance, grid(images))
        sheet.append(images.unflatten(0, (-1, arguments.pictures))[:, :SHOWN])
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    # A row for each class: the pictures of the first classifier, then of the next.
    rows = torch.cat(sheet, 1)
    save_image(rows.flatten(0, 1), arguments.sheet, nrow=rows.shape[1], pad_value=1)
    print(f"\n{arguments.sheet}")


if __name__ == "__main__":
    main()
