"""The class names of classifiers whose files have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_synthesis.models.labels import KNOWN, LabelsError, known_labels, labels_of, read_labels
from robust_synthesis.synthesis import parse_class_expression


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("zebra", 340),
        ("Granny Smith", 948),
        ("macaw", 88),
        ("tench", 0),
        ("tinca tinca", 0),
        ("toilet tissue", 999),
        ("bathroom_tissue", 999),
        ("crane", 517),
        ("crane bird", 134),
        ("cardigan", 474),
        ("Cardigan Welsh corgi", 264),
        ("golf ball", 574),
        ("red panda", 387),
    ],
)
def test_imagenets_classes_are_found_by_any_of_their_names(name: str, number: int) -> None:
    assert parse_class_expression(name, known_labels("imagenet")).weights == ((number, 1.0),)


def test_every_class_of_imagenet_is_found_by_the_name_it_is_shown_with() -> None:
    labels = known_labels("imagenet")
    assert len(labels) == 1000
    for index, label in enumerate(labels):
        assert parse_class_expression(label.split(",")[0], labels).weights == ((index, 1.0),)


@pytest.mark.parametrize(
    ("name", "classes", "cifar", "first"),
    [
        ("any.ckpt", 1000, False, "tench"),
        ("any.pt", 10, True, "airplane"),
        ("any.pt", 10, False, "class 0"),
        ("any.pt", 9, False, "dog"),
        ("H2Z.pt", 2, False, "horse"),
        ("apple2orange.pt", 2, False, "apple"),
        ("my s2w.pt", 2, False, "summer"),
        ("any.pt", 2, False, "class 0"),
        ("data2open.pt", 2, False, "class 0"),
        ("any.pt", 37, False, "class 0"),
    ],
)
def test_a_data_set_is_known_by_its_number_of_classes(
    tmp_path: Path, name: str, classes: int, cifar: bool, first: str
) -> None:
    labels, source = labels_of(tmp_path / name, classes, cifar)
    assert len(labels) == classes
    assert labels[0].split(",")[0] == first
    assert "class names" in source
    assert (".txt" in source) == (first == "class 0")


def test_a_users_own_names_go_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    (tmp_path / "labels.txt").write_text("oak, Quercus\nbeech\n\n", "utf-8-sig")
    assert labels_of(file, 2, False) == (("oak, Quercus", "beech"), "the class names of labels.txt")
    # A neighbour's.
    assert labels_of(file, 1000, False)[1].startswith("ImageNet")
    (tmp_path / "mine.txt").write_text("fir\npine")
    assert labels_of(file, 2, False)[0] == ("fir", "pine")
    with pytest.raises(LabelsError, match=r"mine\.txt has 2 lines, and mine\.pt has 3 classes"):
        labels_of(file, 3, False)


def test_a_list_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelsError, match="UTF-8"):
        read_labels(path)
    path.write_text("a\n\nb\n")
    with pytest.raises(LabelsError, match="Line 2"):
        read_labels(path)
    path.write_text("x" * 1_000_001)
    with pytest.raises(LabelsError, match="too large"):
        read_labels(path)


def test_every_list_that_ships_can_be_read() -> None:
    assert {path.stem for path in KNOWN.glob("*.txt")} == {
        "imagenet",
        "cifar10",
        "restricted_imagenet",
        "horse2zebra",
        "apple2orange",
        "summer2winter",
    }
    for path in KNOWN.glob("*.txt"):
        labels = read_labels(path)
        for index, label in enumerate(labels):
            assert parse_class_expression(label.split(",")[0], labels).weights == ((index, 1.0),)
