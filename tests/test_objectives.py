"""Objectives of the ascent, alone and with mixes of classes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import (
    OBJECTIVES,
    TranslateSettings,
    class_loss,
    feature_loss,
    natural_noise,
    parse_class_expression,
    penalised,
    preset,
    translate,
)
from robust_synthesis.synthesis.objectives import CE_WEIGHT

SIZE = 96


def weights(classifier: RobustClassifier, expression: str) -> Tensor:
    return parse_class_expression(expression, classifier.labels).vector(len(classifier.labels))


def test_cross_entropy_of_one_class_is_torchs(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(4))
    target = torch.full((4,), canvas.labels.index("tench"))

    ours = class_loss(canvas, weights(canvas, "tench"), "cross-entropy")(pictures)

    torch.testing.assert_close(ours, F.cross_entropy(canvas(pictures), target, reduction="none"))


def test_cross_entropy_of_a_mix_is_torchs_with_soft_targets(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(4))
    soft = weights(canvas, "sea:0.7, mountain:0.3").expand(4, -1)

    # Weights are shares: twice as much of both is the same mix.
    ours = class_loss(canvas, weights(canvas, "sea:1.4, mountain:0.6"), "cross-entropy")(pictures)

    torch.testing.assert_close(ours, F.cross_entropy(canvas(pictures), soft, reduction="none"))


def test_cross_entropy_of_a_repelled_class_is_minus_log_of_the_rest(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(4))
    rest = 1 - canvas(pictures).softmax(1)[:, canvas.labels.index("street")]

    ours = class_loss(canvas, weights(canvas, "-street"), "cross-entropy")(pictures)

    torch.testing.assert_close(ours, -rest.log())


def test_logit_and_margin_are_what_they_say(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(4))
    logits = canvas(pictures)
    sea, street = canvas.labels.index("sea"), canvas.labels.index("street")
    unnamed = [index for index in range(len(canvas.labels)) if index not in (sea, street)]

    logit = class_loss(canvas, weights(canvas, "sea:2, -street:0.5"), "logit")(pictures)
    margin = class_loss(canvas, weights(canvas, "sea, -street:0.5"), "margin")(pictures)

    torch.testing.assert_close(logit, -(2 * logits[:, sea] - 0.5 * logits[:, street]))
    rival = logits[:, unnamed].amax(1)
    torch.testing.assert_close(margin, rival - (logits[:, sea] - 0.5 * logits[:, street]))


def test_logit_and_cross_entropy_add_up(canvas: RobustClassifier) -> None:
    pictures, mix = torch.rand(3, 3, 32, 32), weights(canvas, "sea, -street:0.5")
    logit, entropy, both = (
        class_loss(canvas, mix, objective)(pictures)
        for objective in ("logit", "cross-entropy", "logit + cross-entropy")
    )
    torch.testing.assert_close(both, logit + CE_WEIGHT * entropy)


def test_each_picture_can_have_a_mix_of_its_own(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(2))
    expressions = ["sea:0.7, mountain:0.3", "church, -street"]
    both = torch.stack([weights(canvas, expression) for expression in expressions])
    for objective in OBJECTIVES:
        together = class_loss(canvas, both, objective)(pictures)
        alone = [class_loss(canvas, both[index], objective)(pictures[index : index + 1]) for index in range(2)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("expression", "rises", "falls"),
    [
        ("church", ["church"], []),
        ("sea:0.5, mountain:0.5", ["sea", "mountain"], []),
        ("-forest", [], ["forest"]),
    ],
)
def test_an_ascent_does_what_the_expression_says(
    canvas: RobustClassifier, objective: str, expression: str, rises: list[str], falls: list[str]
) -> None:
    pictures = natural_noise(SIZE, SIZE, range(3))
    settings = preset(TranslateSettings, "refine").settings.with_values(
        objective=objective, epsilon=20.0, step_size=2.0
    )
    if falls:
        towards = parse_class_expression(falls[0], canvas.labels)
        pictures = translate(canvas, pictures, towards, settings, [0, 1, 2])
    mix = parse_class_expression(expression, canvas.labels)

    result = translate(canvas, pictures, mix, settings, [0, 1, 2])

    with torch.no_grad():
        change = canvas(result) - canvas(pictures)
    index = {label: position for position, label in enumerate(canvas.labels)}
    assert all((change[:, index[label]] > 0.5).all() for label in rises)
    assert all((change[:, index[label]] < -0.5).all() for label in falls)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [1e-12, 1e4, 1e8])
@pytest.mark.parametrize("mix", [[1.0, 0.0, 0.0], [0.7, 0.3, -0.5], [-1.0, 0.0, -2.0], [1.0, 2.0, 3.0]])
def test_loss_and_gradient_are_finite_at_extreme_logits(
    tiny_classifier: Callable[..., RobustClassifier], objective: str, scale: float, mix: list[float]
) -> None:
    classifier = tiny_classifier()
    with torch.no_grad():
        classifier.network.get_classifier().weight.mul_(scale)
    pictures = natural_noise(32, 32, range(4)).requires_grad_()

    losses = class_loss(classifier, torch.tensor(mix), objective)(pictures)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(losses.sum(), pictures)

    assert classifier(pictures).abs().max() > 1e3 or scale < 1
    assert losses.isfinite().all()
    assert gradient.isfinite().all()


def test_an_unknown_objective_is_refused_with_the_known_ones(canvas: RobustClassifier) -> None:
    with pytest.raises(ValueError, match=r"'likelihood'.*logit.*cross-entropy.*margin"):
        class_loss(canvas, weights(canvas, "sea"), "likelihood")  # type: ignore[arg-type]


def test_features_count_as_their_weighted_sum(canvas: RobustClassifier) -> None:
    pictures = natural_noise(SIZE, SIZE, range(2))
    features = canvas.features(pictures)
    both = torch.zeros(2, canvas.feature_count)
    both[:, 3], both[1, 5] = 1, -0.5

    torch.testing.assert_close(feature_loss(canvas.features, both[0])(pictures), -features[:, 3])
    own = torch.stack([-features[0, 3], 0.5 * features[1, 5] - features[1, 3]])
    torch.testing.assert_close(feature_loss(canvas.features, both)(pictures), own)


def test_a_penalty_is_the_mean_squared_change_outside_the_mask() -> None:
    original, images = natural_noise(20, 30, [0, 1]), natural_noise(20, 30, [2, 3])
    mask = torch.zeros(2, 1, 20, 30)
    mask[:, :, :10], mask[:, :, 10:15] = 1, 0.5

    losses = penalised(lambda seen: seen.mean((1, 2, 3)), original, mask, 7.0)(images)

    squares = (images - original).square()
    outside = (squares[:, :, 15:].sum((1, 2, 3)) + squares[:, :, 10:15].sum((1, 2, 3)) / 4) / (3 * 20 * 30)
    torch.testing.assert_close(losses, images.mean((1, 2, 3)) + 7 * outside)
    assert torch.equal(penalised(lambda seen: seen.mean((1, 2, 3)), images, mask, 7.0)(images), images.mean((1, 2, 3)))
