"""The loop against the paper's formulas, and what holds for any picture, mask and network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import (
    NORMS,
    OBJECTIVES,
    PAPER,
    PRESETS,
    AscentSettings,
    Constraint,
    TranslateSettings,
    ascend,
    class_loss,
    class_seeds,
    natural_noise,
    parse_class_expression,
    translate,
)

SIZE = 96
EXACT = 1e-5


def reference(
    classifier: RobustClassifier, start: Tensor, target: int, norm: str, eps: float, step: float, steps: int
) -> tuple[list[Tensor], Tensor]:
    """One picture `[3, H, W]`, float64, as arXiv 1906.09453 writes it: all iterates, and the best of them."""
    iterates, losses = [start], []
    for count in range(steps + 1):
        x = iterates[-1].clone().requires_grad_()
        loss = F.cross_entropy(classifier(x[None]), torch.tensor([target]))
        losses.append(loss.item())
        if count == steps:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        with torch.no_grad():
            if norm == "l2":
                moved = x - step * x.grad / x.grad.square().sum().sqrt()
                length = (moved - start).square().sum().sqrt()
                if length > eps:
                    moved = start + (moved - start) * eps / length
            else:
                moved = x - step * torch.sign(x.grad)
                moved = torch.minimum(torch.maximum(moved, start - eps), start + eps)
            iterates.append(moved.clamp(0, 1))
    return iterates, iterates[losses.index(min(losses))]


# The paper's own settings, a ball so small that the climb runs along its surface, and the other norm.
@pytest.mark.parametrize(
    "settings",
    [
        PAPER["generate"].ascent(SIZE, SIZE),
        AscentSettings(20, 0.5, Constraint("l2", 2.0)),
        AscentSettings(20, 0.01, Constraint("linf", 0.05)),
    ],
    ids=["paper", "small ball", "linf"],
)
def test_each_iterate_is_the_papers(settings: AscentSettings) -> None:
    classifier = load_classifier(bundled_classifiers()["canvas"]).double()
    assert classifier.seeds is not None
    target = classifier.labels.index("church")
    mix = parse_class_expression("church", classifier.labels)
    starts = class_seeds(load_seeds(classifier), mix, SIZE, SIZE, [1]).double()
    starts = torch.cat([starts, natural_noise(SIZE, SIZE, [2]).double()])
    seen: list[Tensor] = []

    result = ascend(
        starts,
        class_loss(classifier, mix.vector(len(classifier.labels)), "cross-entropy"),
        settings,
        callback=lambda step, losses, images: seen.append(images.clone()),
    )

    assert len(seen) == settings.steps
    worst = 0.0
    for index, start in enumerate(starts):
        iterates, best = reference(
            classifier,
            start,
            target,
            settings.constraint.norm,
            settings.constraint.epsilon,
            settings.step_size,
            settings.steps,
        )
        differences = [(ours[index] - theirs).abs().max() for ours, theirs in zip(seen, iterates, strict=False)]
        worst = max(worst, *(float(value) for value in differences), float((result[index] - best).abs().max()))
        assert (best - start).abs().max() > 0.01, "the reference went nowhere, so agreeing with it says nothing"
    print(f"greatest difference from the reference: {worst:.2e}")  # noqa: T201
    assert worst <= EXACT


def load_seeds(classifier: RobustClassifier) -> "ClassSeeds":  # noqa: UP037
    assert classifier.seeds is not None
    return classifier.seeds


