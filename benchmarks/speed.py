"""The ascent beside the loop that the paper's authors published: `AttackerModel` of their `robustness` package.

`pip install --no-deps robustness==1.2.1.post2 && pip install dill pandas`, then
`python -m robust_synthesis.benchmarks.speed`. Same networks, weights, starts and steps; the sides take turns in one
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
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from robust_synthesis.models import (
    ClassifierCard,
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    made_fast,
    native_bfloat16,
)
from robust_synthesis.models.architectures import build_network
from robust_synthesis.synthesis import (
    TRANSLATE_PAPER,
    TRANSLATE_PRESETS,
    Mix,
    ascend,
    class_loss,
    class_seeds,
    translate,
)

from .memory import added_by

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" or native_bfloat16() else torch.float32
NETWORKS = ("resnet50", "canvas")
STEPS = {1: 20, 4: 10, 16: 6}
"""Of one run, by the size of the batch."""
ROUNDS = 5
TARGET = 1
EPSILON, STEP_SIZE = 40.0, 1.0
FEWER_STEPS = range(2, 16)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Run = Callable[[Tensor, int], Tensor]
"""From images `[B, 3, H, W]` and a number of steps to where they climbed."""


@dataclass(frozen=True)
class Sides:
    """The ways to climb one network."""

    peer: Run
    ours: Run
    floor: Run
    """The network's two passes and nothing else."""


def main() -> None:
    """Print all tables."""
    print(
        f"torch {torch.__version__}, {DEVICE}, {torch.get_num_threads()} threads, ours in {DTYPE}".replace("torch.", "")
    )
    columns = ["peer, ms a step", "ours", "floor", "peer / ours", "ours / floor", "memory: peer", "ours", "ours / peer"]
    print(f"\n| network, batch | loss | {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in NETWORKS:
        for loss in ("plain", "custom"):
            for batch, steps in STEPS.items():
                _row(name, loss, batch, steps)
    print()
    for name in NETWORKS:
        _arithmetic(name)
    print()
    _same_result()


def _row(name: str, loss: str, batch: int, steps: int) -> None:
    sides = _sides(name, loss)
    images = torch.rand(batch, 3, _side(name), _side(name), device=DEVICE)
    runs = {"peer": sides.peer, "ours": sides.ours, "floor": sides.floor}
    times = {side: [_seconds(partial(run, images, steps)) for _ in range(1)] for side, run in runs.items()}
    for _ in range(ROUNDS):
        for side, run in runs.items():
            times[side].append(_seconds(partial(run, images, steps)))
    # The first run of each side has laid its weights out.
    peer, ours, floor = (statistics.median(times[side][1:]) / steps * 1000 for side in runs)
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
    return made_fast(copy.deepcopy(_classifier(name)), DTYPE)


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
            leaf = x.detach().requires_grad_()
            torch.autograd.grad(fast.network(leaf)[:, TARGET].sum(), leaf)
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


def _peer(name: str, loss: str) -> Run:
    # What it imports from older versions of torchvision, and calls even where there is no GPU.
    sys.modules.setdefault("torchvision.models.utils", types.ModuleType("torchvision.models.utils"))
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


def _arithmetic(name: str) -> None:
    """The multiplications and additions of a step, at the rate at which this machine multiplies large matrices."""
    fast, images = _fast(name), torch.rand(1, 3, _side(name), _side(name), device=DEVICE).requires_grad_()
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(fast(images)[:, TARGET].sum(), images)
    operations = counter.get_total_flops()
    side = 4096 if DEVICE == "cuda" else 2048
    a, b = (torch.rand(side, side, device=DEVICE, dtype=DTYPE) for _ in range(2))
    a @ b
    rate = 2 * side**3 / min(_seconds(lambda: a @ b) for _ in range(10))
    print(
        f"{name}: {operations / 1e9:.1f} G operations a step and picture; at the {rate / 1e9:.0f} G a second of a "
        f"{side} x {side} matrix product that is {operations / rate * 1000:.1f} ms"
    )


def _same_result() -> None:
    """The time to where the peer's 60 steps of the paper's settings lead, by the float32 classifier's confidence."""
    classifier, fast = _classifier("canvas"), _fast("canvas")
    seeds, size = classifier.seeds, classifier.input_size
    assert seeds is not None
    classes = torch.arange(len(classifier.labels))
    starts = torch.cat([class_seeds(seeds, Mix(((int(c), 1.0),)), size, size, [1]) for c in classes]).to(DEVICE)
    peer = _peer("canvas", "plain")
    _seconds(lambda: peer(starts[:1], 2))
    reached: list[Tensor] = []

    def alone() -> None:
        for c in classes:
            made = peer(starts[c : c + 1], 60, classes[c : c + 1].to(DEVICE))  # type: ignore[call-arg]
            reached.append(made)

    seconds = _seconds(alone)
    confidence = _confidence(classifier, torch.cat(reached), classes)
    print(f"peer, 60 steps: confidence {confidence:.4f}, {seconds / len(classes):.3f} s a picture")
    preset = TRANSLATE_PRESETS["generate"]
    for steps in FEWER_STEPS:
        made: list[Tensor] = []

        def climb(steps: int = steps, made: list[Tensor] = made) -> None:
            for c in classes.tolist():
                mix = Mix(((c, 1.0),))
                made.append(translate(fast, starts[c : c + 1], mix, replace(preset, steps=steps), [1]))

        ours = _seconds(climb)
        own = _confidence(classifier, torch.cat(made), classes)
        print(
            f"ours, {steps} steps of generate: confidence {own:.4f}, {ours / len(classes):.3f} s a picture: "
            f"{seconds / ours:.1f} times as fast"
        )
        if own >= confidence:
            break


@torch.no_grad()
def _confidence(classifier: RobustClassifier, images: Tensor, classes: Tensor) -> float:
    scores = classifier(images).softmax(1)
    return float(scores.gather(1, classes.to(scores.device)[:, None]).mean())


if __name__ == "__main__":
    if sys.argv[1:]:
        _memory(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
