"""The class names of classifiers whose files have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_synthesis.models.architectures import find_architecture
from robust_synthesis.models.architectures._entry import IMAGENET_LABELS
from robust_synthesis.models.labels import KNOWN, LabelsError, known_labels, labels_of, read_labels
from robust_synthesis.synthesis import parse_class_expression


@pytest.mark.parametrize(
    ("name", "number"),
    [("zebra", 340), ("tinca tinca", 0), ("bathroom_tissue", 999), ("crane", 517), ("crane bird", 134)],
)
def test_imagenets_classes_are_found_by_any_of_their_names(name: str, number: int) -> None:
    assert parse_class_expression(name, known_labels("imagenet")).weights == ((number, 1.0),)


@pytest.mark.parametrize("name", [path.stem for path in KNOWN.glob("*.txt")])
def test_every_class_is_found_by_the_name_it_is_shown_with(name: str) -> None:
    labels = known_labels(name)
    for index, label in enumerate(labels):
        assert parse_class_expression(label.split(",")[0], labels).weights == ((index, 1.0),)


@pytest.mark.parametrize(
    ("name", "classes", "architecture", "first"),
    [
        ("any.ckpt", 1000, "resnet50", "tench"),
        ("any.pt", 10, "cifar_resnet50", "airplane"),
        ("any.pt", 10, "resnet50", "class 0"),
        ("any.pt", 9, "resnet50", "dog"),
        ("H2Z.pt", 2, "resnet50", "horse"),
        ("apple2orange.pt", 2, "resnet50", "apple"),
        ("my s2w.pt", 2, "resnet50", "summer"),
        ("any.pt", 2, "resnet50", "class 0"),
        ("data2open.pt", 2, "resnet50", "class 0"),
        ("any.pt", 37, "resnet50", "class 0"),
    ],
)
def test_a_data_set_is_known_by_its_number_of_classes(
    tmp_path: Path, name: str, classes: int, architecture: str, first: str
) -> None:
    labels, source = labels_of(tmp_path / name, classes, find_architecture(architecture).label_lists)
    assert len(labels) == classes
    assert labels[0].split(",")[0] == first
    assert "class names" in source
    assert (".txt" in source) == (first == "class 0")


def test_a_users_own_names_come_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    (tmp_path / "labels.txt").write_text("oak, Quercus\nbeech\n\n", "utf-8-sig")
    assert labels_of(file, 2, IMAGENET_LABELS) == (("oak, Quercus", "beech"), "the class names of labels.txt")
    # The list in the folder is another classifier's.
    assert labels_of(file, 1000, IMAGENET_LABELS)[1].startswith("ImageNet")
    (tmp_path / "mine.txt").write_text("fir\npine")
    assert labels_of(file, 2, IMAGENET_LABELS)[0] == ("fir", "pine")
    with pytest.raises(LabelsError, match=r"mine\.txt has 2 class names, and mine\.pt has 3 classes"):
        labels_of(file, 3, IMAGENET_LABELS)


def test_a_broken_list_is_refused(tmp_path: Path) -> None:
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
