"""The ascent beside the loop that the paper's authors published: `AttackerModel` of their `robustness` package.

`pip install --no-deps robustness==1.2.1.post2`, then `python -m robust_synthesis.benchmarks.speed [canvas-96.zip]`;
with the pictures, the judge is asked as well. Same networks, weights, starts and steps; the sides take turns in one
process, and medians count. Memory is measured in a process for each side. With CUDA everything runs there.
"""

from __future__ import annotations

import copy
import json
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
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
    load_classifier,
    native_bfloat16,
    optimize_for_inference,
)
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.optimize import fold_batch_norms
from robust_synthesis.synthesis import (
    TRANSLATE_PAPER,
    TRANSLATE_PRESETS,
    Mix,
    TranslateSettings,
    ascend,
    class_loss,
    class_seeds,
    translate,
)

from .generation import FIRST_SEED
from .judge import accuracy, load_judge
from .measures import Table
from .memory import added_by

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" or native_bfloat16() else torch.float32
STEPS = {
    "resnet50": {1: (5, 20), 4: (2, 8), 16: (1, 3)},
    "canvas": {1: (20, 100), 4: (10, 50), 16: (5, 25)},
}
"""Of a short and a long run, by network and size of the batch: their difference leaves out what a run does once."""
ROUNDS = 5
TARGET = 1
EPSILON, STEP_SIZE = 40.0, 1.0
FEWER = ((15, 6.0), (12, 7.0), (10, 8.0), (8, 8.0))
"""Steps and step sizes of `generate`, from its own to bolder ones."""
EACH = 5
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

STAND_INS = ("cox", "cox.store", "dill", "pandas", "torchvision.models.utils")

Run = Callable[[Tensor, int], Tensor]
"""From images `[B, 3, H, W]` and a number of steps to where they climbed."""


@dataclass(frozen=True)
class Sides:
    """The ways to climb one network."""

    peer: Run
    ours: Run
    floor: Run
    """The network's two passes and nothing else."""


def main(judge: RobustClassifier | None) -> None:
    """Print all tables."""
    print(
        f"torch {torch.__version__}, {DEVICE}, {torch.get_num_threads()} threads, ours in {DTYPE}".replace("torch.", "")
    )
    columns = ["peer, ms a step", "ours", "floor", "peer / ours", "ours / floor", "memory: peer", "ours", "ours / peer"]
    print(f"\n| network, batch | loss | {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, batches in STEPS.items():
        for loss in ("plain", "custom"):
            for batch in batches:
                _row(name, loss, batch)
    _changes()
    print()
    for name in STEPS:
        _arithmetic(name)
    _same_result(judge)


def _row(name: str, loss: str, batch: int) -> None:
    sides = _sides(name, loss)
    images = torch.rand(batch, 3, _side(name), _side(name), device=DEVICE)
    runs = {"peer": sides.peer, "ours": sides.ours, "floor": sides.floor}
    short, long = STEPS[name][batch]
    times: dict[str, list[float]] = {side: [] for side in runs}
    for run in runs.values():
        run(images, 1)
    for _ in range(ROUNDS):
        for side, run in runs.items():
            once, more = (_seconds(partial(run, images, steps)) for steps in (short, long))
            times[side].append((more - once) / (long - short) * 1000)
    peer, ours, floor = (statistics.median(times[side]) for side in runs)
    memory = [_memory_apart(name, loss, batch, side) / 1e6 for side in ("peer", "ours")]
    print(
        f"| {name}, {batch} | {loss} | {peer:.1f} | {ours:.1f} | {floor:.1f} | {peer / ours:.2f} | {ours / floor:.3f} "
        f"| {memory[0]:.0f} MB | {memory[1]:.0f} MB | {memory[1] / memory[0]:.2f} |",
        flush=True,
    )


def _seconds(run: Callable[[], object]) -> float:
    _wait()
    started = time.perf_counter()
    run()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


@cache
def _classifier(name: str) -> RobustClassifier:
    if name in bundled_classifiers():
        return load_classifier(bundled_classifiers()[name]).to(DEVICE)
    torch.manual_seed(0)
    network = build_network({"name": name}, 1000)
    card = ClassifierCard(name, {"name": name}, tuple(str(index) for index in range(1000)), 224, *IMAGENET)
    return RobustClassifier(network, card).to(DEVICE)


def _side(name: str) -> int:
    return _classifier(name).input_size


@cache
def _fast(name: str) -> RobustClassifier:
    return optimize_for_inference(copy.deepcopy(_classifier(name)), DTYPE)


@cache
def _sides(name: str, loss: str) -> Sides:
    fast, size = _fast(name), _side(name)
    settings = replace(TRANSLATE_PAPER["generate"], step_size=STEP_SIZE, epsilon=EPSILON)
    weights = torch.eye(len(fast.labels), device=DEVICE)[TARGET]
    goal = class_loss(fast, weights, "cross-entropy" if loss == "plain" else "logit")

    def ours(images: Tensor, steps: int) -> Tensor:
        return ascend(images, goal, replace(settings, steps=steps).ascent(size, size))

    def floor(images: Tensor, steps: int) -> Tensor:
        x = images.to(DTYPE).contiguous(memory_format=torch.channels_last)
        for _ in range(steps):
            _passes(fast.network, x)
        return x

    return Sides(_peer(name, loss), ours, floor)


class _AsTheirs(nn.Module):
    """A network with the arguments that AttackerModel passes on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, **_latent: bool) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def _peer(name: str, loss: str) -> Callable[..., Tensor]:
    # What it imports for its other parts, and calls even where there is no GPU.
    sys.modules |= {name: MagicMock() for name in STAND_INS}
    if DEVICE == "cpu":
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    from robustness.attacker import AttackerModel

    classifier = _classifier(name)
    network = copy.deepcopy(classifier.network).requires_grad_(True)
    data = types.SimpleNamespace(mean=torch.tensor(classifier.card.mean), std=torch.tensor(classifier.card.std))
    model = AttackerModel(_AsTheirs(network), data).to(DEVICE).eval()
    # In pixels of its size, as ours.
    scale = classifier.input_size / 224
    given: dict[str, Any] = {"constraint": "2", "eps": EPSILON * scale, "step_size": STEP_SIZE * scale}
    if loss == "custom":
        given["custom_loss"] = lambda net, images, target: (-net(images).gather(1, target[:, None])[:, 0], None)

    def run(images: Tensor, steps: int, targets: Tensor | None = None) -> Tensor:
        goal = torch.full((len(images),), TARGET, device=DEVICE) if targets is None else targets
        result: Tensor = model(images, goal, make_adv=True, targeted=True, iterations=steps, **given)[1]
        return result.detach()

    return run


def _memory_apart(name: str, loss: str, batch: int, side: str) -> int:
    command = [sys.executable, "-m", "robust_synthesis.benchmarks.speed", name, loss, str(batch), side]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def _memory(name: str, loss: str, batch: int, side: str) -> None:
    """Beyond the weights, and what the first step of one picture leaves behind."""
    run = getattr(_sides(name, loss), side)
    images = torch.rand(batch, 3, _side(name), _side(name), device=DEVICE)
    run(images[:1, :, :32, :32], 1)
    print(json.dumps(added_by(partial(run, images, 3), DEVICE)))


def _changes() -> None:
    """What each change does to the two passes of one picture."""
    table = Table("What each change gave (ms of the two passes, batch 1)", dict.fromkeys(STEPS, ".1f"))
    exact, half = torch.float32, torch.bfloat16
    ways: dict[str, list[Callable[[], object]]] = {}
    for title, folded, dtype, layout in (
        ("none: float32, as it was loaded", False, exact, torch.contiguous_format),
        ("batch norms folded", True, exact, torch.contiguous_format),
        ("channels-last", False, exact, torch.channels_last),
        ("bfloat16", False, half, torch.contiguous_format),
        ("all three", True, half, torch.channels_last),
    ):
        for name in STEPS:
            classifier = copy.deepcopy(_classifier(name))
            if folded:
                fold_batch_norms(classifier.network)
            network = classifier.network.to(dtype).to(memory_format=layout)
            x = torch.rand(1, 3, _side(name), _side(name), device=DEVICE, dtype=dtype).to(memory_format=layout)
            ways.setdefault(title, []).append(partial(_passes, network, x))
    times: dict[str, list[list[float]]] = {title: [[] for _ in runs] for title, runs in ways.items()}
    for _ in range(4 * ROUNDS):
        for title, runs in ways.items():
            for index, run in enumerate(runs):
                times[title][index].append(_seconds(run) * 1000)
    for title, columns in times.items():
        table.row(title, *(statistics.median(values[ROUNDS:]) for values in columns))


def _passes(network: nn.Module, images: Tensor) -> None:
    leaf = images.detach().requires_grad_()
    torch.autograd.grad(network(leaf)[:, TARGET].sum(), leaf)


def _arithmetic(name: str) -> None:
    """The multiplications and additions of a step, at the rate at which this machine multiplies large matrices."""
    fast, images = _fast(name), torch.rand(1, 3, _side(name), _side(name), device=DEVICE).requires_grad_()
    with FlopCounterMode(display=False) as counter:
        # The counter cannot follow autograd.grad.
        fast(images)[:, TARGET].sum().backward()
    operations = counter.get_total_flops()
    side = 4096 if DEVICE == "cuda" else 2048
    a, b = (torch.rand(side, side, device=DEVICE, dtype=DTYPE) for _ in range(2))
    a @ b
    rate = 2 * side**3 / min(_seconds(lambda: a @ b) for _ in range(10))
    print(
        f"{name}: {operations / 1e9:.1f} G operations a step and picture; at the {rate / 1e9:.0f} G a second of a "
        f"{side} x {side} matrix product that is {operations / rate * 1000:.1f} ms"
    )


def _same_result(judge: RobustClassifier | None) -> None:
    """The time to where the peer's 60 steps of the paper's settings lead, picture by picture."""
    classifier, fast, peer = _classifier("canvas"), _fast("canvas"), _peer("canvas", "plain")
    seeds, side = classifier.seeds, classifier.input_size
    assert seeds is not None
    asked = torch.arange(len(classifier.labels)).repeat_interleave(EACH)
    mixes = [Mix(((c, 1.0),)) for c in asked.tolist()]
    starts = [class_seeds(seeds, mix, side, side, [FIRST_SEED + i]).to(DEVICE) for i, mix in enumerate(mixes)]
    targets = list(asked.to(DEVICE).split(1))

    def papers() -> list[Tensor]:
        return [peer(start, 60, target) for start, target in zip(starts, targets, strict=True)]

    def ours(settings: TranslateSettings) -> list[Tensor]:
        return [translate(fast, start, mix, settings, [0]) for start, mix in zip(starts, mixes, strict=True)]

    columns = {"s a picture": ".3f", "times as fast": ".1f", "confidence": ".4f", "judge": ".1%"}
    table = Table(f"The paper's result, {len(asked)} pictures of canvas, one at a time", columns)
    preset, slowest = TRANSLATE_PRESETS["generate"], 0.0
    rows = {f"{steps} steps of {size}": replace(preset, steps=steps, step_size=size) for steps, size in FEWER}
    ways = {"peer, 60 steps": papers} | {f"ours, {name}": partial(ours, settings) for name, settings in rows.items()}
    for name, way in ways.items():
        _wait()
        started = time.perf_counter()
        images = torch.cat(way())
        _wait()
        seconds = time.perf_counter() - started
        slowest = slowest or seconds
        with torch.no_grad():
            confidence = classifier(images).softmax(1)[torch.arange(len(asked)), asked.to(DEVICE)].mean()
        right = None if judge is None else accuracy(judge, images.cpu(), asked)
        table.row(name, seconds / len(asked), slowest / seconds, float(confidence), right)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _memory(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(load_judge(Path(sys.argv[1])) if sys.argv[1:] else None)
