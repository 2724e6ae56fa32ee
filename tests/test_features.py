"""Features: how they are written, where they show, how those that are off get a gradient, and what they look like."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.models.architectures.narrow_resnet import ACTIVATIONS
from robust_synthesis.synthesis import (
    ExpressionError,
    natural_noise,
    parse_feature_expression,
    region_features,
    visualise_features,
)

COUNT = 768


def read(text: str) -> dict[int, float]:
    return dict(parse_feature_expression(text, COUNT).weights)


@pytest.mark.parametrize(
    ("text", "mix"),
    [
        ("0", {0: 1}),
        ("767", {767: 1}),
        ("  007 ", {7: 1}),
        ("675:1, 12:0.5", {675: 1, 12: 0.5}),
        ("675 : 1 ,12:.5,", {675: 1, 12: 0.5}),
        ("675:1\n12:0.5", {675: 1, 12: 0.5}),
        ("675:1,\r\n\r\n12:5e-1\r\n", {675: 1, 12: 0.5}),
        ("-12", {12: -1}),
        ("- 12 : 2", {12: -2}),
        ("12:-2", {12: -2}),
        ("-12:-2", {12: 2}),
        ("5, 5:0.5", {5: 1.5}),
        ("5, -6", {5: 1, 6: -1}),
    ],
)
def test_expressions_mean_what_they_look_like(text: str, mix: dict[int, float]) -> None:
    assert read(text) == pytest.approx(mix)


def test_a_mix_is_a_vector_over_all_features() -> None:
    vector = parse_feature_expression("1:0.7, -3", 5).vector(5)
    torch.testing.assert_close(vector, torch.tensor([0.0, 0.7, 0.0, -1.0, 0.0]))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("768", "There is no feature 768: this classifier's features are 0 to 767."),
        ("5, 1000:0.5", "There is no feature 1000: this classifier's features are 0 to 767."),
        ("-768", "no feature 768"),
        ("9" * 5000, "write its number, from 0 to 767"),
        ("eye", "'eye' is not a feature: write its number, from 0 to 767."),
        ("5 6", "'5 6' is not a feature"),
        ("1.5", "'1.5' is not a feature"),
        ("½", "is not a feature"),
        ("٣", "is not a feature"),
        ("--5", "'-5' is not a feature"),
        (":1", "'' is not a feature"),
        ("", "Write a feature, a number from 0 to 767"),
        (" , \n,", "Write a feature"),
        ("5:lots", "weight in '5:lots' is not a number"),
        ("5:", "weight in '5:' is not a number"),
        ("5:1:2", "weight in '5:1:2' is not a number"),
        ("5:0", "weight in '5:0'"),
        ("5:nan", "weight in '5:nan'"),
        ("5:inf", "weight in '5:inf'"),
        ("5:1e300", "weight in '5:1e300'"),
        ("5, -5", "'5' cancel each other out"),
    ],
)
def test_mistakes_are_answered_with_the_way_out(text: str, answer: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse_feature_expression(text, COUNT)
    assert answer in str(raised.value)


expressions = st.text() | st.lists(
    st.sampled_from(["5", "767", "768", "-", ":", ",", ".", "e", "9", "inf", "nan", " ", "\n", "_", "²", "٣"])
).map("".join)


@settings(max_examples=300)
@given(text=expressions)
@example("5:1e308, 5:1e308")
@example("5:9" + "0" * 5000)
def test_any_text_is_read_or_answered(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        mix = parse_feature_expression(text, COUNT)
        vector = mix.vector(COUNT)
        assert vector.isfinite().all()
        assert {index for index, _ in mix.weights} == set(vector.nonzero().flatten().tolist())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_passing_gradients_through_changes_no_value(
    tiny_classifier: Callable[..., RobustClassifier], activation: str
) -> None:
    classifier = tiny_classifier(activation=activation)
    pictures = natural_noise(37, 53, range(3))
    for see in (classifier, classifier.features, classifier.feature_maps):
        torch.testing.assert_close(see(pictures, fake_relu=True), see(pictures), rtol=1e-5, atol=1e-6)


def gradient(see: Callable[[Tensor], Tensor], pictures: Tensor, index: int) -> Tensor:
    leaf = pictures.clone().requires_grad_()
    (result,) = torch.autograd.grad(see(leaf)[:, index].sum(), leaf)
    return result


def test_a_feature_that_is_off_has_a_gradient_only_when_it_is_passed_through(
    tiny_classifier: Callable[..., RobustClassifier],
) -> None:
    classifier = tiny_classifier(activation="relu")
    with torch.no_grad():
        # The last norm of the network: so low that no picture switches the first feature on.
        classifier.network.get_submodule("layer2")[0].bn2.bias[0] -= 1000  # type: ignore[index]
        classifier.network.get_classifier().weight[1] = torch.tensor([1.0, 0, 0, 0, 0, 0])
    pictures = natural_noise(32, 32, range(2))
    assert (classifier.features(pictures)[:, 0] == 0).all()
    assert (classifier.features(pictures, fake_relu=True)[:, 0] == 0).all()

    for see, through in (
        (classifier.features, lambda seen: classifier.features(seen, fake_relu=True)),
        (classifier, lambda seen: classifier(seen, fake_relu=True)),
    ):
        index = 0 if see == classifier.features else 1
        assert not gradient(see, pictures, index).any()
        passed = gradient(through, pictures, index)
        assert passed.isfinite().all()
        assert (passed.flatten(1).abs().sum(1) > 0).all()


def test_what_features_add_to_the_logits_is_what_they_are_said_to(canvas: RobustClassifier) -> None:
    pictures = natural_noise(96, 96, [0, 1])
    features, logits = canvas.features(pictures), canvas(pictures)
    assert features.shape == (2, canvas.feature_count)
    assert canvas.feature_effects.shape == (len(canvas.labels), canvas.feature_count)
    effect = (features[1] - features[0]) @ canvas.feature_effects.T
    torch.testing.assert_close(logits[1] - logits[0], effect, rtol=1e-4, atol=1e-4)


def test_all_of_a_picture_shows_the_classifiers_own_features(canvas: RobustClassifier) -> None:
    pictures = natural_noise(96, 96, range(3))
    everywhere = region_features(canvas, pictures, torch.ones(3, 1, 96, 96))
    torch.testing.assert_close(everywhere, canvas.features(pictures), rtol=1e-4, atol=1e-5)
    # A region is a region, however strongly it is marked.
    faint = region_features(canvas, pictures, torch.full((3, 1, 96, 96), 0.1))
    torch.testing.assert_close(faint, everywhere, rtol=1e-4, atol=1e-5)


def test_a_region_shows_what_is_there(canvas: RobustClassifier) -> None:
    index = 60
    (shown,) = visualise_features(canvas, [index])
    picture = natural_noise(96, 144, [1])
    picture[0, :, :, :72] = shown[:, :, 12:84]
    left, right = torch.zeros(2, 1, 1, 96, 144)
    left[:, :, 16:80, 8:64], right[:, :, 16:80, 80:136] = 1, 1

    there, elsewhere = (region_features(canvas, picture, mask)[0] for mask in (left, right))

    assert there[index] > elsewhere[index] + 0.5
    mirrored = region_features(canvas, picture.flip(3), right)[0]
    assert mirrored[index] > elsewhere[index] + 0.5
    for mask in (left, right):
        both = region_features(canvas, picture.expand(2, -1, -1, -1), torch.cat([left, right]))
        torch.testing.assert_close(both[0 if mask is left else 1], region_features(canvas, picture, mask)[0])


@given(height=st.integers(1, 120), width=st.integers(1, 120), seed=st.integers(0, 1000))
def test_a_region_of_any_size_shows_features(tiny: RobustClassifier, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(2, 3, height, width, generator=generator)
    mask = torch.zeros(2, 1, height, width)
    # A single pixel of the first picture, all of the second.
    mask[0, 0, seed % height, seed % width], mask[1] = 1, 1

    features = region_features(tiny, pictures, mask)

    assert features.shape == (2, tiny.feature_count)
    assert features.isfinite().all()
    assert not features.requires_grad
    assert (features[0] != 0).any()


def test_what_a_feature_looks_like_shows_the_feature(canvas: RobustClassifier) -> None:
    features = [3, 17, 200]
    steps: list[int] = []

    shown = visualise_features(canvas, features, 5, lambda step, _losses, _images: steps.append(step))

    assert shown.shape == (3, 3, 96, 96)
    assert shown.dtype == torch.float32
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert steps == list(range(len(steps)))
    start = canvas.features(natural_noise(96, 96, [5]))[0]
    activations = canvas.features(shown)
    for row, index in enumerate(features):
        assert activations[row, index] > start[index] + 1
        # Each shows its own feature more than the others do.
        assert int(activations[:, index].argmax()) == row
    alone = visualise_features(canvas, features[2:], 5)
    assert (shown[2] - alone[0]).abs().max() <= 1e-3
    assert not torch.equal(visualise_features(canvas, [3], 6), visualise_features(canvas, [3], 5))
