"""Classes as artists write them, and the answers to what they mistype."""

from __future__ import annotations

import contextlib
import unicodedata
from typing import Literal, get_args

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robust_synthesis.models.names import comparable, label_names
from robust_synthesis.synthesis import ExpressionError, parse_class_expression, parse_feature_expression

LABELS = ("church", "english_springer", "golf_ball", "sea", "mountain", "street")


def read(text: str) -> dict[str, float]:
    return {LABELS[index]: weight for index, weight in parse_class_expression(text, LABELS).weights}


@pytest.mark.parametrize(
    ("text", "mix"),
    [
        ("church", {"church": 1}),
        ("  ChURCH ", {"church": 1}),
        ("english springer", {"english_springer": 1}),
        ("English-Springer", {"english_springer": 1}),
        ("englishspringer", {"english_springer": 1}),
        ("GOLF_BALL", {"golf_ball": 1}),
        ("0", {"church": 1}),
        ("5", {"street": 1}),
        ("005", {"street": 1}),
        ("sea:0.7, mountain:0.3", {"sea": 0.7, "mountain": 0.3}),
        ("sea : .7,mountain: 3e-1,", {"sea": 0.7, "mountain": 0.3}),
        ("golf ball:2", {"golf_ball": 2}),
        ("-street", {"street": -1}),
        ("- street : 0.5", {"street": -0.5}),
        ("street:-0.5", {"street": -0.5}),
        ("-5", {"street": -1}),
        ("-5:2", {"street": -2}),
        ("-street:-2", {"street": 2}),
        ("church, -street", {"church": 1, "street": -1}),
        ("sea, sea:0.5", {"sea": 1.5}),
        ("sea, 3, SEA", {"sea": 3}),
    ],
)
def test_expressions_mean_what_they_look_like(text: str, mix: dict[str, float]) -> None:
    assert read(text) == pytest.approx(mix)


def test_a_mix_is_a_vector_over_all_classes() -> None:
    vector = parse_class_expression("sea:0.7, -street", LABELS).vector(len(LABELS))
    torch.testing.assert_close(vector, torch.tensor([0.0, 0.0, 0.0, 0.7, 0.0, -1.0]))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("chruch", "Did you mean church"),
        ("mountains", "Did you mean mountain"),
        ("springer", "Did you mean english_springer"),
        ("golf", "Did you mean golf_ball"),
        ("sea, stret:0.5", "no class 'stret'. Did you mean street"),
        ("xylophone", "knows: church, english_springer, golf_ball, sea, mountain, street"),
        ("6", "no class number 6: this classifier's classes are 0 to 5"),
        ("9" * 5000, "classes are 0 to 5"),
        ("", "Write a class, for instance 'church'"),
        (" , ,", "Write a class"),
        ("sea:lots", "weight in 'sea:lots' is not a number"),
        ("sea:", "weight in 'sea:' is not a number"),
        ("sea:0", "weight in 'sea:0'"),
        ("sea:nan", "weight in 'sea:nan'"),
        ("sea:inf", "weight in 'sea:inf'"),
        ("sea:1e300", "weight in 'sea:1e300'"),
        ("sea:1e-60", "weight in 'sea:1e-60'"),
        ("sea, -sea", "'sea' cancel each other out"),
        ("sea:0.1, sea:0.2, sea:-0.3", "'sea' cancel each other out"),
        ("--sea", "no class '-sea'"),
    ],
)
def test_mistakes_are_answered_with_the_way_out(text: str, answer: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse_class_expression(text, LABELS)
    assert answer in str(raised.value)


def test_a_long_list_of_classes_is_cut_short_in_the_answer() -> None:
    labels = [f"thing {index}" for index in range(1000)]
    with pytest.raises(ExpressionError, match="and 976 more"):
        parse_class_expression("qqqq", labels)


expressions = st.text() | st.lists(
    st.sampled_from([*LABELS, "SEA", "3", "-", ":", ",", ".", "e", "9", "inf", "nan", " ", "_", "²", "٣"])
).map("".join)


@settings(max_examples=300)
@given(text=expressions)
@example("9" * 5000)
@example("sea:1e308, sea:1e308")
@example("sea:9" + "0" * 5000)
def test_any_text_is_read_or_answered(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        mix = parse_class_expression(text, LABELS)
        vector = mix.vector(len(LABELS))
        assert vector.isfinite().all()
        assert {index for index, _ in mix.weights} == set(vector.nonzero().flatten().tolist())


def test_further_names_of_a_class_mean_the_class() -> None:
    labels = ["tench, Tinca tinca", "lesser panda, red panda, panda", "giant panda, panda, panda bear", "crane bird"]
    assert parse_class_expression("Tinca_Tinca:2, -giant panda", labels).weights == ((0, 2.0), (2, -1.0))
    with pytest.raises(ExpressionError, match="'panda' may be 'lesser panda' or 'giant panda': write which"):
        parse_class_expression("panda", labels)
    with pytest.raises(ExpressionError, match="Did you mean tench"):
        parse_class_expression("Tinka tinca", labels)
    with pytest.raises(ExpressionError, match="'tench' cancel"):
        parse_class_expression("tench, -0", labels)


def test_a_first_name_goes_before_a_further_one() -> None:
    assert parse_class_expression("horn", ["cornet, horn", "horn"]).weights == ((1, 1.0),)


ACCENTED = ("café", "Straße, 街道", "lion's mane", "ﬁeld", "golf_ball", "5 o'clock")
CAFE = "caf\u00e9"
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS: tuple[Form, ...] = get_args(Form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("label_form", FORMS[:2])
def test_names_match_in_any_unicode_form(form: Form, label_form: Form) -> None:
    labels = [unicodedata.normalize(label_form, label) for label in ACCENTED]
    for index, label in enumerate(labels):
        for name in label_names(label):
            typed = unicodedata.normalize(form, name)
            assert parse_class_expression(f"{typed}:0.5", labels).weights == ((index, 0.5),)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("sea\uff1a\uff10\uff0e\uff17\uff0c mountain\uff1a0.3", {"sea": 0.7, "mountain": 0.3}),
        ("sea\u3001mountain", {"sea": 1, "mountain": 1}),
        ("\u201csea\u201d, \u2018mountain\u2019:2", {"sea": 1, "mountain": 2}),
        ('"golf ball", -"street"', {"golf_ball": 1, "street": -1}),
        ('"-street"', {"street": -1}),
        ("\u2212street:2, \u2013church", {"street": -2, "church": -1}),
        ("english\u2010springer", {"english_springer": 1}),
        ("\uff53\uff45\uff41", {"sea": 1}),
        ("\ufeffse\u200ba\u00a0", {"sea": 1}),
    ],
)
def test_punctuation_of_other_keyboards_means_the_same(text: str, weights: dict[str, float]) -> None:
    assert read(text) == pytest.approx(weights)


def test_apostrophes_match_and_labels_keep_their_spelling() -> None:
    labels = ["lion\u2019s mane", "caf\u00e9\uff0ccoffee house"]
    assert parse_class_expression("lion's mane", labels).weights == ((0, 1.0),)
    assert parse_class_expression("coffee house", labels).weights == ((1, 1.0),)
    assert label_names(labels[1]) == [CAFE, "coffee house"]
    with pytest.raises(ExpressionError, match=f"Did you mean {CAFE}"):
        parse_class_expression("cafee", labels)


def test_features_are_read_with_the_same_punctuation() -> None:
    assert parse_feature_expression("7\uff1a0.5\uff0c\u221212", 20).weights == ((7, 0.5), (12, -1.0))


@given(st.text())
def test_the_compared_form_is_the_same_for_all_unicode_forms(name: str) -> None:
    for form in FORMS:
        assert comparable(unicodedata.normalize(form, name)) == comparable(name)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("tench, Tinca tinca", ((0, 1.0),)),
        ("'tench, Tinca tinca':0.5, goldfish", ((0, 0.5), (1, 1.0))),
        ("goldfish, -tench, tinca tinca", ((1, 1.0), (0, -1.0))),
        ("tench, goldfish, Tinca tinca", ((0, 2.0), (1, 1.0))),
    ],
)
def test_all_names_of_a_class_as_its_label_lists_them_are_the_class_once(
    text: str, weights: tuple[tuple[int, float], ...]
) -> None:
    assert parse_class_expression(text, ["tench, Tinca tinca", "goldfish"]).weights == weights


@pytest.mark.parametrize("name", ["Star Wars: a new hope", "16:9 photo"])
def test_a_name_with_a_colon_takes_a_minus_and_a_weight(name: str) -> None:
    labels = ["sea", name]
    for text, weight in ((name, 1.0), (f"-{name}", -1.0), (f"{name}:2", 2.0), (f"-{name}:0.5", -0.5)):
        assert parse_class_expression(text, labels).weights == ((1, weight),)
