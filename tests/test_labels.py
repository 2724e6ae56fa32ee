"""The class names of classifiers whose files have none."""

from __future__ import annotations

import json
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


NAMES = ("tench", "goldfish, Carassius auratus", "great white shark")
SYNSETS = ("n01440764", "n01443537", "n01484850")


def rows(form: str) -> str:
    return "\n".join(form.format(i=i, j=i + 1, name=name, synset=SYNSETS[i]) for i, name in enumerate(NAMES))


@pytest.mark.parametrize(
    "text",
    [
        rows("{name}"),
        rows("{i}: {name}"),
        rows("{i} {name}"),
        rows("{i}\t{name}"),
        rows("{i},{name}"),
        rows("{i}. {name}"),
        rows("{j}) {name}"),
        rows("[{i}] {name}"),
        rows("{i} -> {name}"),
        rows("{name} => {i}"),
        rows("{i}\uff1a{name}"),
        rows("- {name}"),
        "names:\n" + rows("  {i}: {name}"),
        "index,class_name\n" + rows('{i},"{name}"'),
        "Synset ID\tName\n" + rows("{synset}\t{name}"),
        json.dumps([{"id": i, "name": name} for i, name in enumerate(NAMES)]),
        rows("{i}: '{name}',"),
        rows("{i}: {name}").replace("0: tench\n", "") + "\n0: tench",
        rows("{name}\t{i}"),
        rows('"{name}",{i}'),
        rows("{synset} {name}"),
        rows("{synset}\t{name}"),
        rows("{name} ({synset})"),
        rows("{i}: {synset} {name}"),
        rows("{synset} {j} {name}"),
        rows('"{name}"'),
        rows("'{name}',"),
        rows("\u201c{name}\u201d"),
        "tench\ngoldfish\tCarassius auratus\ngreat white shark\n",
        '"tench"\n"goldfish", "Carassius auratus"\n"great white shark"\n',
        json.dumps(NAMES),
        json.dumps(dict(enumerate(NAMES)), indent=1),
        json.dumps({name: index for index, name in enumerate(NAMES)}),
        json.dumps({str(i): [SYNSETS[i], *NAMES[i].split(", ")] for i in (2, 0, 1)}),
        json.dumps([[SYNSETS[i], name] for i, name in enumerate(NAMES)]),
        json.dumps({SYNSETS[i]: NAMES[i] for i in (1, 2, 0)}),
        json.dumps({"id2label": dict(enumerate(NAMES)), "model_type": "resnet"}),
        json.dumps({"classes": list(NAMES), "class_to_idx": {}}),
        str(dict(enumerate(NAMES))),
        str(NAMES).replace("(", "[").replace(")", "]"),
        f"classes = {list(NAMES)!r}\n",
        str({index + 1: name for index, name in enumerate(NAMES)}),
    ],
)
def test_the_forms_of_public_lists_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text(text, encoding)
        assert read_labels(path) == NAMES


@pytest.mark.parametrize(
    "names",
    [
        ("1 euro", "2 euro"),
        ("0", "1", "2"),
        ("class 0", "class 1"),
        ("3 blind mice", "7 dwarfs"),
        ("'tis", "'twas"),
        ("mp3", "mp4"),
        ("jack-o'-lantern", "yellow lady's slipper"),
        ("n01440764", "n01443537"),
        ("Canon EOS, 5", "Nikon, 7"),
        ("1st", "2nd"),
        ("label", "name"),
        ("name tag", "class ring"),
        ("- tench", "goldfish"),
    ],
)
def test_what_belongs_to_the_names_stays(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(names))
    assert read_labels(path) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"0": "tench", "2": "goldfish"}', "labels.txt has no name for class 1"),
        ('{"5": "tench", "6": "goldfish"}', "labels.txt has no name for class 0"),
        ('["tench", ""]', "labels.txt has no name for class 1"),
        ('["tench", 3]', "labels.txt has no name for class 1"),
        ('["tench", "goldfish"', "is neither"),
        ('{"tench": "goldfish"}', "no list of class names"),
        ("[]", "no list of class names"),
        ("[" * 100_000, "is neither"),
        ("[__import__('os').system('true')]", "is neither"),
    ],
)
def test_an_impossible_list_or_dict_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(LabelsError, match=words):
        read_labels(path)


def test_the_folders_list_can_be_json(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["oak", "fir"]')
    assert labels_of(tmp_path / "mine.pt", 2, {}) == (("oak", "fir"), "the class names of labels.json")
    assert labels_of(tmp_path / "mine.pt", 3, {})[0][0] == "class 0"
