"""A step of networks with depthwise convolutions: float32, bfloat16 throughout, and bfloat16 as the pack computes it.

The three take turns in one process; medians count.
"""

from __future__ import annotations

import copy
import statistics
from functools import partial

import torch
from torch import Tensor

from robust_synthesis.models import ClassifierCard, RobustClassifier, optimize_for_inference
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.optimize import fold_batch_norms

from ..command_line import new_parser, read
from ..table import Table
from .processes import seconds

NETWORKS = ("efficientnet_b0", "mobilenet_v2", "mnasnet1_0", "shufflenet_v2_x1_0", "resnet50")
"""The last one has no depthwise convolution."""
SIZE, CLASSES = 224, 1000
FULL_ROUNDS, QUICK_ROUNDS = 15, 3


def main() -> None:
    """Print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("--batch", type=int, default=1, help="pictures")
    parser.add_argument("--rounds", type=int, default=FULL_ROUNDS)
    arguments = read(parser, {"rounds": QUICK_ROUNDS})
    columns = {"float32, ms": ".1f", "bfloat16, ms": ".1f", "ours, ms": ".1f", "bfloat16 / ours": ".2f"}
    table = Table(f"The gradient of a batch of {arguments.batch}, {SIZE} px", columns)
    images = torch.rand(arguments.batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    for name in NETWORKS:
        runs = [partial(_gradient, classifier, images) for classifier in _variants(name)]
        for run in runs:
            run()
        times = zip(*([seconds(run) * 1000 for run in runs] for _ in range(arguments.rounds)), strict=True)
        plain, reduced, ours = (statistics.median(of_one) for of_one in times)
        table.row(name, plain, reduced, ours, reduced / ours)


def _variants(name: str) -> tuple[RobustClassifier, RobustClassifier, RobustClassifier]:
    torch.manual_seed(0)
    labels = tuple(str(index) for index in range(CLASSES))
    card = ClassifierCard(name, {"name": name}, labels, SIZE, (0.5,) * 3, (0.2,) * 3)
    plain = RobustClassifier(build_network({"name": name}, CLASSES), card)
    reduced, ours = copy.deepcopy(plain), copy.deepcopy(plain)
    fold_batch_norms(reduced.network)
    reduced.network.to(dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    reduced.network.get_classifier().float()
    return optimize_for_inference(plain), reduced, optimize_for_inference(ours, torch.bfloat16)


def _gradient(classifier: RobustClassifier, images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(leaf)[:, 1].sum(), leaf)
    return gradient


if __name__ == "__main__":
    main()
