"""Time per gradient step of the bundled classifiers, beside the bare network's forward and backward pass.

`python -m robust_synthesis.benchmarks.steps`; medians over interleaved runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from robust_synthesis.models import bundled_classifiers, load_classifier
from robust_synthesis.synthesis import TRANSLATE_PAPER, ascend, class_loss
from robust_synthesis.synthesis.objectives import Loss

STEPS = 60


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000 / STEPS


def _passes(images: Tensor, loss: Loss) -> None:
    for _ in range(STEPS):
        leaf = images.clone().requires_grad_()
        torch.autograd.grad(loss(leaf).sum(), leaf)


def main(rounds: int = 5) -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, ms per step (median of {rounds} rounds)")
    print(f"{'classifier':<12}{'batch':>6}{'ascent':>10}{'network':>10}{'ratio':>8}")
    for name, path in bundled_classifiers().items():
        classifier = load_classifier(path)
        size = classifier.input_size
        settings = TRANSLATE_PAPER["generate"].ascent(size, size)
        for batch in (1, 4):
            images = torch.rand(batch, 3, size, size)
            loss = class_loss(classifier, torch.eye(len(classifier.labels))[0], "cross-entropy")

            climb = partial(ascend, images, loss, settings)
            bare = partial(_passes, images, loss)
            bare()
            times = [(_milliseconds(climb), _milliseconds(bare)) for _ in range(rounds)]
            ascent, network = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name:<12}{batch:>6}{ascent:>10.2f}{network:>10.2f}{ascent / network:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
