"""Which network paints best after the same time of training: ours, a wider one, a public one, ours with a teacher, and
ours for larger pictures.

Each goes through both stages of `quick`, in the same minutes: how many steps that are is measured first. Then they
generate from the same random seeds, and the judge sees them beside the test pictures. The public network,
EfficientNet-Lite0, is of the judge's family and was trained on the same pictures, so the judge may be kind to it and to
what it taught. They are trained in the precision that the heading names, and judged in float32. Trained networks are
kept in `build/`. Let nothing else run beside it.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from robust_synthesis.models import ClassifierCard, ClassSeeds, RobustClassifier, fast_precision, optimize_for_inference
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.network import ClassifierNetwork
from robust_synthesis.synthesis import TranslateSettings, detailed_class_seeds, preset
from robust_synthesis.training.adversarial import IMAGENET_MEAN, IMAGENET_STD, AdversarialTrainer
from robust_synthesis.training.contrastive import ContrastiveTrainer
from robust_synthesis.training.data import Pictures, TrainingData, read_data
from robust_synthesis.training.evaluation import validation_accuracy
from robust_synthesis.training.recipes import RECIPES, Recipe, TrainingPlan
from robust_synthesis.training.samples import SAMPLER
from robust_synthesis.training.seeds import fit_all_seeds
from robust_synthesis.training.trainer import Trainer

from ..command_line import new_parser, read
from ..data import BUILD
from ..quality.compare import Comparison, Painter
from ..quality.judge import MEAN, STD
from ..table import Table
from .public_network import SMOOTH, Teacher, load_public_weights

USUAL = RECIPES["quick"]
REL_CONTRASTIVE = 0.2
"""Of the minutes, for stage two."""
SETTLING_STEPS, TIMED_STEPS = 3, 8
MANY = 10_000
"""Steps of a plan that is only timed."""
DEVICE = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class TimedPlan(TrainingPlan):
    """A plan whose stage one ends after a number of steps, not of epochs."""

    total: int

    @property
    def steps(self) -> int:
        """Of stage one."""
        return self.total


class TaughtTrainer(AdversarialTrainer):
    """Half of each label is the teacher's."""

    def __init__(self, pictures: Pictures, labels: tuple[str, ...], plan: TrainingPlan, device: torch.device) -> None:
        super().__init__(pictures, labels, plan, device)
        self.teacher = Teacher(pictures, labels)

    def _batch(self) -> tuple[Tensor, Tensor]:
        images, targets = super()._batch()
        return images, (targets + self.teacher.probabilities(images)) / 2


@dataclass(frozen=True)
class Contender:
    """A way to train a network."""

    recipe: Recipe = USUAL
    architecture: Mapping[str, Any] = field(default_factory=lambda: USUAL.architecture)
    prepare: Callable[[ClassifierNetwork], None] = lambda _: None
    """Changes the network of random weights in place."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    trainer: Callable[[Pictures, tuple[str, ...], TrainingPlan, torch.device], AdversarialTrainer] = AdversarialTrainer

    def adversarial(self, data: TrainingData, steps: int) -> Trainer:
        """Stage one, of so many steps."""
        usual = replace(self.recipe.plan(len(data.train)), architecture=self.architecture, pretrained="")
        plan = TimedPlan(**vars(usual), total=steps)
        trainer = self.trainer(data.train, data.labels, plan, DEVICE)
        for network in (trainer.network, trainer.averaged_network):
            self.prepare(network)
        trainer.card = replace(trainer.card, mean=self.mean, std=self.std)
        return trainer

    def contrastive(self, data: TrainingData, classifier: RobustClassifier, steps: int) -> Trainer:
        """Stage two, of so many steps."""
        plan = self.recipe.plan(len(data.train))
        assert plan.contrastive is not None, "the recipe has a stage two"
        plan = replace(plan, contrastive=replace(plan.contrastive, steps=steps))
        # A trainer changes the network that it is given.
        return ContrastiveTrainer(data.train, copy.deepcopy(classifier), plan, DEVICE)

    def classifier(self, weights: Mapping[str, Tensor], seeds: ClassSeeds, labels: tuple[str, ...]) -> RobustClassifier:
        """The trained network, as it was saved."""
        network = build_network(self.architecture, len(labels))
        self.prepare(network)
        network.load_state_dict(weights)
        card = ClassifierCard("", self.architecture, labels, self.recipe.input_size, self.mean, self.std)
        return RobustClassifier(network, card, seeds)


CONTENDERS = {
    "residual": Contender(),
    "wider, deeper": Contender(architecture=RECIPES["good"].architecture),
    "public": Contender(
        replace(USUAL, learning_rate=0.1),
        SMOOTH,
        load_public_weights,
        mean=(MEAN, MEAN, MEAN),
        std=(STD, STD, STD),
    ),
    "taught": Contender(trainer=TaughtTrainer),
    # An epsilon of as much for each pixel; its pictures are reduced to the size of the others.
    "larger": Contender(replace(USUAL, input_size=128, attack=replace(USUAL.attack, epsilon=2.0))),
}
QUICK = {"minutes": 0.1, "only": ("residual",), "pictures": 1}
"""Shows that everything runs, and no more."""


def steps_in(seconds: float, trainer: Trainer) -> int:
    """How many steps like the next few of a trainer fit into so many seconds; at least 1."""
    for _ in range(SETTLING_STEPS):
        trainer.advance()
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        trainer.advance()
    return max(1, round(seconds * TIMED_STEPS / (time.perf_counter() - started)))


Trained = dict[str, tuple[RobustClassifier, int]]
"""By stage, with the stage's steps."""


def trained(name: str, data: TrainingData, seeds: ClassSeeds, minutes: float) -> Trained:
    """A contender after each stage; it is trained first where that has not been done."""
    contender, found = CONTENDERS[name], Trained()
    sampler = preset(TranslateSettings, SAMPLER).settings
    what = f"{contender.recipe} {contender.architecture} {sampler} {minutes} {data.digest}"
    for stage, share in (("stage one", 1 - REL_CONTRASTIVE), ("stage two", REL_CONTRASTIVE)):
        digest = hashlib.sha256(what.encode()).hexdigest()[:12]
        path = BUILD / "networks" / f"{name}, {stage} {digest}.safetensors"
        if not path.exists():
            start = partial(contender.adversarial, data)
            if found:
                start = partial(contender.contrastive, data, found["stage one"][0])
            steps = steps_in(60 * share * minutes, start(MANY))
            trainer = start(steps)
            while trainer.step < steps:
                trainer.advance()
            path.parent.mkdir(parents=True, exist_ok=True)
            weights = trainer.averaged_network.state_dict()
            save_file({key: tensor.contiguous() for key, tensor in weights.items()}, path, {"steps": str(steps)})
        with safe_open(path, "pt") as file:
            steps = int(file.metadata()["steps"])
        found[stage] = (contender.classifier(load_file(path), seeds, data.labels), steps)
        # Another stage one has another stage two.
        what += hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@cache
def _data(path: Path, side: int) -> tuple[TrainingData, ClassSeeds]:
    """Pictures of this height and width, and their class seeds."""
    data = read_data(path, side)
    return data, fit_all_seeds(data.train, len(data.labels), side)


def main() -> None:
    """Train, measure, generate."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help="a zip or folder of {train,test}/<class>/<picture>")
    parser.add_argument("--minutes", type=float, default=120, help="of training, for each network (default: 120)")
    parser.add_argument("--only", choices=CONTENDERS, nargs="+", default=CONTENDERS, metavar="NAME")
    parser.add_argument("--pictures", type=int, default=6, metavar="N", help="of each class (default: 6)")
    parser.add_argument("--sheet", type=Path, default=BUILD / "networks.png", metavar="FILE")
    arguments = read(parser, QUICK, dtype=fast_precision(DEVICE))
    settings = preset(TranslateSettings, SAMPLER).settings
    columns = {"million parameters": ".1f", "steps": "d", "clean": ".1%", "robust": ".1%"}
    table = Table(f"{arguments.minutes:g} minutes of training each, on validation pictures", columns)
    painters = []
    for name in arguments.only:
        recipe = CONTENDERS[name].recipe
        data, seeds = _data(arguments.data, recipe.input_size)
        for stage, (classifier, steps) in trained(name, data, seeds, arguments.minutes).items():
            fast = optimize_for_inference(classifier)
            accuracy = validation_accuracy(fast, data, recipe.attack)
            size = sum(parameter.numel() for parameter in fast.network.parameters()) / 1e6
            table.row(f"{name}, {stage}", size, steps, accuracy.clean, accuracy.robust)
            painters.append(Painter(f"{name}, {stage}", fast, settings, detailed_class_seeds))
    comparison = Comparison(arguments.data, painters, arguments.pictures)
    comparison.measure(comparison.shared)
    comparison.save_sheet(arguments.sheet)


if __name__ == "__main__":
    main()
