"""How robust classifiers of the same classes are, side by side.

Measures on the pictures of the `test` split that are not in the `train` split too, under our own PGD and, where the
Adversarial Robustness Toolbox is installed (`pip install adversarial-robustness-toolbox`), under its Auto-PGD (Croce
and Hein, arXiv 2003.01690), at half of epsilon, at epsilon and at twice of it. `quality.compare`
measures what they generate.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from robust_synthesis.models import RobustClassifier, load_classifier, optimize_for_inference
from robust_synthesis.training import Attack
from robust_synthesis.training.data import Pictures, read_split
from robust_synthesis.training.duplicates import deduplicate
from robust_synthesis.training.evaluation import accuracy

from ..command_line import new_parser, read
from ..data import as_float
from ..table import Table

PGD_STEPS, PGD_RESTARTS, AUTO_STEPS = 20, 3, 40


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
    """Print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help="a zip or folder of {train,test}/<class>/<picture>")
    parser.add_argument("classifiers", type=Path, nargs="+", help="of the same classes")
    parser.add_argument("--epsilon", type=float, help="the first one's by default")
    parser.add_argument("--pictures", type=int, metavar="N", help="spread over the classes (default: all)")
    arguments = read(parser, {"pictures": 40})
    classifiers = [optimize_for_inference(load_classifier(path)) for path in arguments.classifiers]
    if len({classifier.input_size for classifier in classifiers}) > 1:
        parser.error("the classifiers have different input sizes")
    side = classifiers[0].input_size
    test, train = (read_split(arguments.data, split, side)[0] for split in ("test", "train"))
    test = test[deduplicate(test, train)]
    if arguments.pictures:
        # They are ordered by class.
        test = test[torch.linspace(0, len(test) - 1, arguments.pictures).long()]
    epsilon = arguments.epsilon or classifiers[0].card.training.get("epsilon")
    if epsilon is None:
        parser.error(f"the card of {arguments.classifiers[0].name} has no epsilon: give one with --epsilon")
    radii = (epsilon / 2, epsilon, 2 * epsilon)
    columns = {"clean": ".1%"} | {f"{attack} {e:g}": ".1%" for e in radii for attack in ("PGD", "APGD")}
    table = Table(f"{len(test)} test pictures, L2", columns)
    for path, classifier in zip(arguments.classifiers, classifiers, strict=True):
        values: list[float | None] = []
        for radius in radii:
            found = accuracy(classifier, test, Attack("l2", radius, PGD_STEPS, 0.125, PGD_RESTARTS))
            values = values or [found.clean]
            values += [found.robust, auto_pgd(classifier, test, radius)]
        table.row(path.stem, *values)


if __name__ == "__main__":
    main()
