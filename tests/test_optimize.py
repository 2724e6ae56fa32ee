"""An optimised classifier computes the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robust_synthesis.models import ClassifierCard, RobustClassifier, optimize_for_inference
from robust_synthesis.synthesis import TranslateSettings, class_seeds, parse_class_expression, preset, translate
from robust_synthesis.synthesis.tasks.classify import class_cross_entropy
from tests.checkpoint_layouts import ONE_OF_EACH_FAMILY, random_network

TOGETHER = {"name": "ensemble", "members": [{"name": "mobilenet_v2"}, {"name": "cifar_resnet18"}]}
NORMS_LEFT = {"densenet121", "cifar_wide_resnet", "resnest50d"}
"""With norms before convolutions, or behind a stem of several."""


def generated(classifier: RobustClassifier, target: str) -> Tensor:
    mix = parse_class_expression(target, classifier.labels)
    assert classifier.seeds is not None
    start = class_seeds(classifier.seeds, mix, 96, 96, [1, 2])
    return translate(classifier, start, mix, preset(TranslateSettings, "generate").settings, [1, 2])


@pytest.mark.parametrize(
    "architecture", [*ONE_OF_EACH_FAMILY, {"name": "smooth_efficientnet_lite0"}, TOGETHER], ids=str
)
def test_every_family_of_networks_computes_the_same(architecture: str | Mapping[str, Any]) -> None:
    network = random_network(architecture, 5)
    described = {"name": architecture} if isinstance(architecture, str) else architecture
    card = ClassifierCard("Any", described, tuple("abcde"), 64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    classifier = RobustClassifier(network, card)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = classifier(images)
    (gradient,) = torch.autograd.grad(before.sum(), images)
    optimize_for_inference(classifier)
    after = classifier(images)
    (same,) = torch.autograd.grad(after.sum(), images)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.detach().abs().max()))
    torch.testing.assert_close(same, gradient, rtol=1e-2, atol=1e-2 * float(gradient.abs().max()))
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    assert bool(norms) == (described["name"] in NORMS_LEFT)


@pytest.mark.parametrize("target", ["church", "sea:0.7, mountain:0.3"])
def test_in_bfloat16_the_pictures_are_the_same_to_the_eye(canvas: RobustClassifier, target: str) -> None:
    fast = optimize_for_inference(copy.deepcopy(canvas), torch.bfloat16)
    exact, quick = generated(canvas, target), generated(fast, target)
    psnr = -10 * (exact - quick).square().mean((1, 2, 3)).log10()
    # Whitened steps weigh fine patterns, whose gradient is rounded most, as much as coarse ones.
    assert psnr.min() > 33
    # As much of the mix is reached. How two of its classes share it may differ by hundredths.
    mix = parse_class_expression(target, canvas.labels)
    loss = class_cross_entropy(canvas, mix)
    assert (loss(quick) - loss(exact)).max() < 0.01
    of_mix = mix.vector(len(canvas.labels)) > 0
    shares, same = (canvas(pictures).softmax(1) for pictures in (exact, quick))
    torch.testing.assert_close(same[:, of_mix].sum(1), shares[:, of_mix].sum(1), rtol=0, atol=0.01)
    torch.testing.assert_close(same[:, ~of_mix], shares[:, ~of_mix], rtol=0, atol=0.01)
    assert torch.equal(quick, generated(fast, target)), "the same inputs gave another picture"


def test_logits_and_scores_hardly_round(canvas: RobustClassifier) -> None:
    fast = optimize_for_inference(copy.deepcopy(canvas), torch.bfloat16)
    images = generated(canvas, "sea")
    assert fast(images).dtype == torch.float32
    torch.testing.assert_close(fast(images), canvas(images), rtol=0.02, atol=0.2)
