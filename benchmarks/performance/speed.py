"""The ascent beside the loop that the paper's authors published: `AttackerModel` of their `robustness` package.

Needs `pip install --no-deps robustness==1.2.1.post2`. Both sides have the same networks, weights, starts and steps,
and take turns in one process; medians count. The floor is the network alone, forward and backward; its rate beside
that of a large product of matrices says how far from the processor's limit it is. Memory is measured in a process for
each side. Everything runs on a GPU where there is one.
"""

from __future__ import annotations

import copy
import statistics
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from robust_synthesis.models import (
    ClassifierCard,
    RobustClassifier,
    bundled_classifiers,
    fast_precision,
    load_classifier,
    optimize_for_inference,
)
from robust_synthesis.models.architectures import build_network
from robust_synthesis.synthesis import (
    Mix,
    TranslateSettings,
    ascend,
    class_loss,
    class_seeds,
    preset,
    translate,
)

from ..command_line import new_parser, read
from ..data import as_float, held_out
from ..quality.batches import seeds_of_each_class
from ..quality.generation import COLUMNS, figures
from ..quality.judge import load_judge
from ..table import Table
from .processes import added_memory, in_new_process, seconds

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = fast_precision(torch.device(DEVICE))
STEPS = {
    "resnet50": {1: (5, 20), 4: (2, 8), 16: (1, 3)},
    "canvas": {1: (20, 100), 4: (10, 50), 16: (5, 25)},
}
"""By network and batch size, the steps of a short and a long run: their difference leaves out what a run does once."""
TARGET = 1
PAPER = preset(TranslateSettings, "paper generate").settings.ascent
PRESET = preset(TranslateSettings, "generate").settings
FEWER = ((PRESET.ascent.steps, PRESET.ascent.step_size), (10, 10.0), (8, 11.0), (6, 13.0), (5, 14.0), (4, 16.0))
"""Steps and step sizes of `generate`: its own, and fewer and larger ones."""
RANDOM_SEEDS = range(1000, 1005)
FULL: Mapping[str, Any] = {"losses": ("plain", "custom"), "batches": (1, 4, 16), "rounds": 5, "every": 1}
"""The losses and batch sizes, how many rounds each side gets, and which pictures lead to the paper's result."""
QUICK: Mapping[str, Any] = {"losses": ("plain",), "batches": (1,), "rounds": 2, "every": 20}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOCKED = ("cox", "cox.store", "dill", "pandas", "torchvision.models.utils")
"""What `robustness` imports for its other parts."""

Run = Callable[[Tensor, int], Tensor]
"""From images `[B, 3, H, W]` and a number of steps to the images after them."""


def main() -> None:
    """Print both tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, metavar="FILE", help="canvas-128, zip or folder: asks the judge as well")
    parser.set_defaults(**FULL)
    arguments = read(parser, QUICK, DEVICE, DTYPE)
    table = Table(
        "A step; the peer in float32",
        {
            "peer, ms": ".1f",
            "ours, ms": ".1f",
            "floor, ms": ".1f",
            "of the matrix rate": ".0%",
            "peer / ours": ".2f",
            "peer, MB": ".0f",
            "ours, MB": ".0f",
            "ours / peer": ".2f",
        },
    )
    for name in STEPS:
        for loss in arguments.losses:
            for batch in arguments.batches:
                table.row(f"{name}, batch {batch}, {loss} loss", *_compare(name, loss, batch, arguments.rounds))
    _same_result(arguments.data, arguments.every)


def _compare(name: str, loss: str, batch: int, rounds: int) -> tuple[float, ...]:
    sides, images = _sides(name, loss), _random_images(name, batch)
    short, long = STEPS[name][batch]
    times: dict[str, list[float]] = {side: [] for side in sides}
    for run in sides.values():
        run(images, 1)
    for _ in range(rounds):
        for side, run in sides.items():
            once, more = (seconds(partial(run, images, steps)) for steps in (short, long))
            times[side].append((more - once) / (long - short) * 1000)
    peer, ours, floor = (statistics.median(values) for values in times.values())
    memory = [in_new_process(_memory, name, loss, batch, side) / 1e6 for side in ("peer", "ours")]
    rate = _operations(name, images) / (floor / 1000) / _matrix_rate()
    return peer, ours, floor, rate, peer / ours, *memory, memory[1] / memory[0]


def _operations(name: str, images: Tensor) -> int:
    """Additions and multiplications of a step of the floor."""
    leaf = images.to(DTYPE).requires_grad_()
    with FlopCounterMode(display=False) as counter:
        # It cannot count in torch.autograd.grad.
        _fast(name).network(leaf)[:, TARGET].sum().backward()
    return int(counter.get_total_flops())


@cache
def _matrix_rate() -> float:
    """Additions and multiplications a second in the product of two matrices of 2048 x 2048."""
    matrix = torch.rand(2048, 2048, device=DEVICE, dtype=DTYPE)
    work = partial(torch.mm, matrix, matrix)
    work()
    return 2 * 2048**3 / statistics.median(seconds(work) for _ in range(9))


def _memory(name: str, loss: str, batch: int, side: str) -> int:
    """Beyond the weights, and what the first step leaves behind."""
    run, images = _sides(name, loss)[side], _random_images(name, batch)
    run(images[:1, :, :32, :32], 1)
    return added_memory(partial(run, images, 3), DEVICE)


@cache
def _classifier(name: str) -> RobustClassifier:
    if name in bundled_classifiers():
        return load_classifier(bundled_classifiers()[name]).to(DEVICE)
    torch.manual_seed(0)
    network = build_network({"name": name}, 1000)
    card = ClassifierCard(name, {"name": name}, tuple(str(index) for index in range(1000)), 224, *IMAGENET)
    return RobustClassifier(network, card).to(DEVICE)


def _random_images(name: str, batch: int) -> Tensor:
    return torch.rand(batch, 3, *(_classifier(name).input_size,) * 2, device=DEVICE)


@cache
def _fast(name: str) -> RobustClassifier:
    return optimize_for_inference(copy.deepcopy(_classifier(name)), DTYPE)


@cache
def _sides(name: str, loss: str) -> Mapping[str, Run]:
    fast, size = _fast(name), _classifier(name).input_size
    weights = torch.eye(len(fast.labels), device=DEVICE)[TARGET]
    class_objective = class_loss(fast, weights, "cross-entropy" if loss == "plain" else "logit")

    def ours(images: Tensor, steps: int) -> Tensor:
        return ascend(images, class_objective, replace(PAPER, steps=steps).at_size(size, size))

    def floor(images: Tensor, steps: int) -> Tensor:
        x = images.to(DTYPE).contiguous(memory_format=torch.channels_last)
        for _ in range(steps):
            leaf = x.detach().requires_grad_()
            torch.autograd.grad(fast.network(leaf)[:, TARGET].sum(), leaf)
        return x

    return {"peer": _peer(name, loss), "ours": ours, "floor": floor}


class _AttackerNetwork(nn.Module):
    """Accepts the arguments that AttackerModel passes on to its network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, **_latent: bool) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def _peer(name: str, loss: str) -> Callable[..., Tensor]:
    sys.modules |= {name: MagicMock() for name in MOCKED}
    if DEVICE == "cpu":
        # It calls this even where there is no GPU.
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    from robustness.attacker import AttackerModel

    classifier = _classifier(name)
    network = copy.deepcopy(classifier.network).requires_grad_(True)
    data = types.SimpleNamespace(mean=torch.tensor(classifier.card.mean), std=torch.tensor(classifier.card.std))
    model = AttackerModel(_AttackerNetwork(network), data).to(DEVICE).eval()
    # Our lengths are for 224 x 224 pixels.
    scale = classifier.input_size / 224
    given: dict[str, Any] = {
        "constraint": "2",
        "eps": PAPER.constraint.epsilon * scale,
        "step_size": PAPER.step_size * scale,
    }
    if loss == "custom":
        given["custom_loss"] = lambda net, images, target: (-net(images).gather(1, target[:, None])[:, 0], None)

    def run(images: Tensor, steps: int, targets: Tensor | None = None) -> Tensor:
        classes = torch.full((len(images),), TARGET, device=DEVICE) if targets is None else targets
        result: Tensor = model(images, classes, make_adv=True, targeted=True, iterations=steps, **given)[1]
        return result.detach()

    return run


def _same_result(data: Path | None, every: int) -> None:
    """The time to where 60 steps of the paper's settings lead, picture by picture."""
    classifier, fast, peer = _classifier("canvas"), _fast("canvas"), _peer("canvas", "plain")
    assert classifier.seeds is not None
    starts, classes = seeds_of_each_class(classifier.seeds, classifier.input_size, RANDOM_SEEDS, class_seeds)
    starts, classes = starts[::every], classes[::every]
    singles = list(zip(starts.to(DEVICE).split(1), classes.to(DEVICE).split(1), strict=True))
    results: dict[str, list[Tensor]] = {}

    def papers() -> None:
        results["peer"] = [peer(start, PAPER.steps, target) for start, target in singles]

    def ours(settings: TranslateSettings) -> None:
        results["ours"] = [translate(fast, start, Mix.single(int(c)), settings, [0]) for start, c in singles]

    judged = _judged(data, classifier, classes) if data else lambda _: ()
    columns = {"s a picture": ".3f", "times as fast": ".1f", "confidence": ".4f"} | (COLUMNS if data else {})
    table = Table(f"The paper's result, {len(classes)} pictures of canvas, one at a time", columns)
    slowest = seconds(papers)

    def row(name: str, taken: float, images: Tensor) -> None:
        with torch.no_grad():
            confidence = classifier(images).softmax(1)[torch.arange(len(classes)), classes.to(DEVICE)].mean()
        table.row(name, taken / len(classes), slowest / taken, float(confidence), *judged(images.cpu()))

    row(f"peer, {PAPER.steps} steps", slowest, torch.cat(results["peer"]))
    for steps, step_size in FEWER:
        ascent = replace(PRESET.ascent, steps=steps, step_size=step_size)
        taken = seconds(partial(ours, replace(PRESET, ascent=ascent)))
        row(f"ours, {steps} steps of {step_size}", taken, torch.cat(results["ours"]))


def _judged(data: Path, classifier: RobustClassifier, classes: Tensor) -> Callable[[Tensor], tuple[float, ...]]:
    """What the judge says of pictures of the classes."""
    judge = load_judge(data, classifier.input_size)
    real = judge.features(as_float(held_out(data, classifier)))
    return lambda images: figures(judge, images, classes, real)


if __name__ == "__main__":
    main()
