"""What a user says beside a classifier's file, and in the loader's inputs."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from robust_synthesis.models import CheckpointError, RobustClassifier, load_classifier, open_classifier, save_classifier
from robust_synthesis.models.catalog import EXTENSION
from robust_synthesis.models.class_lists import class_list
from robust_synthesis.models.conversion import independent, side_files
from robust_synthesis.models.sidecar import DataConfig, SidecarError, data_config, read_sidecar
from tests.checkpoint_layouts import MEAN, STD, random_network, write_robustness_checkpoint

SMALL = "shufflenet_v2_x1_0"
GIVEN = {"input_size": 96, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "mine.pt"
    write_robustness_checkpoint(path, SMALL, 2)
    return path


def config_of(classifier: RobustClassifier) -> tuple[int, list[float], list[float]]:
    mean, std = (
        [round(value, 4) for value in values.flatten().tolist()] for values in (classifier.mean, classifier.std)
    )
    assert mean == [round(value, 4) for value in classifier.card.mean]
    return classifier.input_size, mean, std


OWN = (224, list(MEAN), list(STD))
THEIRS = (96, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])


def test_a_sidecar_is_read_each_time_and_never_converted(checkpoint: Path) -> None:
    sidecar = write(checkpoint.with_suffix(".json"), GIVEN | {"labels": ["oak, Quercus", "fir"]})
    opened = open_classifier(checkpoint)
    assert config_of(opened.classifier) == THEIRS
    assert opened.classifier.labels == ("oak", "fir")
    converted = checkpoint.with_suffix(EXTENSION)
    assert opened.source == converted
    assert opened.notes[1].endswith("mine.pt is no longer needed and may be deleted. Keep mine.json.")
    assert opened.notes[2] == (
        "mine.json gives its input size 96; mean 0.1, 0.2, 0.3; std 0.4, 0.5, 0.6; 2 class names."
    )
    # The converted file has the checkpoint's own.
    assert config_of(load_classifier(converted)) == OWN

    checkpoint.unlink()
    write(sidecar, {"mean": [0, 0, 0], "labels": {"0": "elm", "1": "yew"}})
    opened = open_classifier(checkpoint)
    assert config_of(opened.classifier) == (224, [0, 0, 0], OWN[2])
    assert opened.classifier.labels == ("elm", "yew")
    assert opened.notes == ("mine.json gives its mean 0, 0, 0; 2 class names.",)
    assert config_of(open_classifier(converted).classifier) == (224, [0, 0, 0], OWN[2])

    # Taken away, or left behind where the converted file was moved from: no silent change of what it computes.
    sidecar.unlink()
    opened = open_classifier(converted)
    assert config_of(opened.classifier) == OWN
    assert opened.notes == (
        "mine.json, which gave its input size, mean, std or activation, is gone: mine.safetensors is used without "
        "them.",
    )


def test_the_logits_are_those_of_the_given_statistics(tiny: RobustClassifier, tmp_path: Path) -> None:
    path, images = tmp_path / "tiny.safetensors", torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    save_classifier(tiny, path)
    own = open_classifier(path).classifier
    write(tmp_path / "tiny.json", GIVEN)
    theirs = open_classifier(path).classifier
    mean, std = (torch.tensor(GIVEN[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    wanted = own.network((images - mean) / std)
    assert torch.allclose(theirs(images), wanted, atol=1e-5)
    assert not torch.allclose(own(images), wanted, atol=1e-2)


def test_what_the_loader_is_given_goes_before_the_sidecar(checkpoint: Path) -> None:
    write(checkpoint.with_suffix(".json"), GIVEN)
    classifier = open_classifier(checkpoint, given=DataConfig(input_size=32, std=(1, 1, 1))).classifier
    assert config_of(classifier) == (32, [0.1, 0.2, 0.3], [1, 1, 1])
    assert config_of(open_classifier(checkpoint).classifier) == THEIRS


BOTH_ASSUMED = "has no mean and std for its colours. What is usual"
MEAN_ASSUMED = "has no mean for its colours. What is usual for such networks was assumed: mean 0.485, 0.456, 0.406. If"
STD_ASSUMED = "has no std for its colours. What is usual for such networks was assumed: std 0.229, 0.224, 0.225. If"


@pytest.mark.parametrize(
    ("sidecar", "given", "assumed"),
    [
        ({"input_size": 64}, DataConfig(), BOTH_ASSUMED),
        ({"mean": 0.5}, DataConfig(), STD_ASSUMED),
        ({"mean": 0.5}, DataConfig(std=(1, 1, 1)), None),
        ({"input_size": 64}, DataConfig(std=(1, 1, 1)), MEAN_ASSUMED),
        ({"mean": 0.5, "std": 0.5}, DataConfig(), None),
        ({"mean": 0.5, "std": 0.5}, DataConfig(mean=(0, 0, 0)), None),
    ],
)
def test_only_what_nobody_gives_is_assumed(
    tmp_path: Path, sidecar: dict[str, object], given: DataConfig, assumed: str | None
) -> None:
    path = tmp_path / "plain.pt"
    torch.save(random_network(SMALL, 2).state_dict(), path)
    write(path.with_suffix(".json"), sidecar)
    first, second = open_classifier(path, given=given), open_classifier(path, given=given)
    for opened in (first, second):
        notes = " ".join(opened.notes)
        assert ("for its colours" in notes) == (assumed is not None)
        assert (assumed or "") in notes
    # What the loader is given for one workflow is nowhere on the disk.
    assert ("may be deleted. Keep plain.json." in first.notes[1]) == ({"mean", "std"} <= sidecar.keys())

    # A saved copy says the same of itself.
    copy = RobustClassifier(first.classifier.network, independent(first.classifier.card))
    save_classifier(copy, tmp_path / "copy.safetensors")
    assert open_classifier(tmp_path / "copy.safetensors").notes == ((first.notes[-1],) if assumed else ())


def test_a_file_of_this_pack_has_a_sidecar_too(tiny: RobustClassifier, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_classifier(tiny, path)
    write(tmp_path / "tiny.json", GIVEN | {"labels": ["a", "b", "c"]})
    # The list of the folder is not this file's, which has its own names.
    (tmp_path / "labels.txt").write_text("x\ny\nz")
    classifier = open_classifier(path).classifier
    assert config_of(classifier) == THEIRS
    assert classifier.labels == ("a", "b", "c")
    assert class_list("tiny.safetensors", [tmp_path]) == ([["a"], ["b"], ["c"]], "")


def test_a_plain_state_dict_in_safetensors_keeps_its_side_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "plain.safetensors"
    save_file(random_network(SMALL, 2).state_dict(), path)
    write(tmp_path / "plain.json", GIVEN)
    for _ in range(2):
        opened = open_classifier(path)
        assert opened.source.name == "plain.converted.safetensors"
        assert config_of(opened.classifier) == THEIRS
    (tmp_path / "plain.txt").write_text("oak\nfir")
    assert open_classifier(opened.source).classifier.labels == ("oak", "fir")
    assert class_list("plain.safetensors", [tmp_path])[0] == [["oak"], ["fir"]]


def test_an_independent_copy_ignores_the_files_beside_it(checkpoint: Path) -> None:
    write(checkpoint.with_suffix(".json"), GIVEN)
    classifier = open_classifier(checkpoint).classifier
    classifier.card = independent(classifier.card)
    copy = checkpoint.with_name("copy.safetensors")
    save_classifier(classifier, copy)
    write(checkpoint.with_suffix(".json"), {"input_size": 64})
    (checkpoint.parent / "labels.txt").write_text("oak\nfir")
    opened = open_classifier(copy)
    assert config_of(opened.classifier) == THEIRS
    assert (opened.classifier.labels, opened.notes) == (("class 0", "class 1"), ())


@pytest.mark.parametrize("name", ["mine.pth.tar", "mine.pt.best", "mine.pt"])
def test_a_sidecar_is_named_after_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for beside in ("mine.json", f"{name}.json"):
        write(tmp_path / beside, {"input_size": 64})
        sidecar = read_sidecar(path)
        # The one with the whole name is this file's alone.
        assert sidecar is not None
        assert sidecar.path.name == beside
        assert tmp_path / beside in side_files(path)


@pytest.mark.parametrize(
    "content",
    [
        {"description": "a preview", "sd version": "Other"},
        [{"epoch": 1, "loss": 2.3}],
        {"epoch": 90, "step": 1000},
        [],
        {},
    ],
)
def test_another_programs_file_is_left_alone_and_named(checkpoint: Path, content: object) -> None:
    write(checkpoint.with_suffix(".json"), content)
    opened = open_classifier(checkpoint)
    assert config_of(opened.classifier) == OWN
    keys = "input_size, mean, std, labels, quick_gelu"
    assert opened.notes[-1] == f"mine.json beside it was not used: it has none of {keys}."


@pytest.mark.parametrize(
    "content", [["oak", "fir"], {"0": "oak", "1": "fir"}, {"0": ["n1", "oak"], "1": ["n2", "fir"]}]
)
def test_a_sidecar_can_be_a_list_of_class_names_alone(checkpoint: Path, content: object) -> None:
    write(checkpoint.with_suffix(".json"), content)
    assert [label.split(",")[-1].strip() for label in open_classifier(checkpoint).classifier.card.labels] == [
        "oak",
        "fir",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{'input_size': 96", r"mine\.json begins like a list or dict in JSON or Python, and is neither"),
        ({"input_size": 7}, r"input size of mine\.json is 7: .* one number from 8 to 4096\."),
        ({"input_size": "96"}, "is '96'"),
        ({"input_size": True}, "is True"),
        ({"input_size": [3, 32, 64]}, r"is \[3, 32, 64\]"),
        ({"mean": [0.5, 0.5]}, r"mean of mine\.json is '0\.5, 0\.5': write three numbers, for red, green and blue"),
        ({"mean": [0.5, "x", 0.5]}, "three numbers"),
        ({"mean": {"r": 1}}, "three numbers"),
        ({"mean": [123.675, 116.28, 103.53]}, r"from 0 to 255, .* write 0\.485, 0\.456, 0\.406\."),
        ({"std": [58.395, 57.12, 57.375]}, r"write 0\.229, 0\.224, 0\.225\."),
        ({"std": [0.2, 0, 0.2]}, "std of mine.json must be above 0"),
        ({"mean": [-0.1, 0, 0]}, "mean of mine.json must be from 0 to 1"),
        ({"mean": [float("nan"), 0, 0]}, "must be from 0 to 1"),
        ({"labels": ["only one"]}, r"mine\.json has 1 class name, and mine\.pt has 2 classes"),
        ({"labels": "oak"}, "no list of class names"),
    ],
)
def test_an_impossible_sidecar_is_refused_before_anything_is_written(
    checkpoint: Path, content: object, words: str
) -> None:
    write(checkpoint.with_suffix(".json"), content)
    with pytest.raises(CheckpointError, match=words):
        open_classifier(checkpoint)
    assert not checkpoint.with_suffix(EXTENSION).exists()


def test_timms_form_of_a_size_is_read(tmp_path: Path) -> None:
    write(tmp_path / "x.json", {"input_size": [3, 96, 96], "mean": 0.5})
    sidecar = read_sidecar(tmp_path / "x.pt")
    assert sidecar is not None
    assert sidecar.config == DataConfig(96, (0.5, 0.5, 0.5), None)


@pytest.mark.parametrize(
    "text", ["0.485, 0.456, 0.406", "0.485 0.456 0.406", "[0.485,0.456,0.406]", "(0.485; 0.456; 0.406)"]
)
def test_the_loaders_numbers_are_read_as_people_write_them(text: str) -> None:
    assert data_config(0, text) == DataConfig(None, (0.485, 0.456, 0.406), None)


def test_empty_inputs_give_nothing() -> None:
    assert data_config(0, " ", "") == DataConfig()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((5, "", ""), r"^The input size is 5: .* 8 to 4096 \(0: those of the file\)\.$"),
        ((-1, "", ""), "is -1"),
        ((0, "0.5, 0.5", ""), "^The mean is '0.5, 0.5': write three numbers"),
        ((0, "half", ""), "'half'"),
        ((0, "", "0"), "^The std must be above 0"),
        ((0, "", "58.395, 57.12, 57.375"), "write 0.229, 0.224, 0.225"),
    ],
)
def test_impossible_inputs_are_refused(inputs: tuple[int, str, str], words: str) -> None:
    with pytest.raises(SidecarError, match=words):
        data_config(*inputs)


def test_the_loader_takes_them_and_save_keeps_them(pack: ModuleType) -> None:
    import folder_paths

    loader = pack.RobustLoadClassifier
    for inputs, words in (({"input_size": 5}, "The input size is 5"), ({"mean": "x"}, "The mean is 'x'")):
        assert str(loader.validate_inputs("canvas", **inputs)).startswith(words)
    assert loader.validate_inputs("canvas", 64, "0.5", "0.5") is True
    assert loader.validate_inputs() is True

    loaded = loader.execute("canvas", 64, "0.1, 0.2, 0.3", "0.4 0.5 0.6").result[0]
    assert config_of(loaded.model) == (64, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    plain = loader.execute("canvas").result[0]
    assert plain.model.card == load_classifier(plain.source).card

    pack.RobustSaveClassifier.execute(loaded, "with statistics")
    name = "with statistics.safetensors"
    saved = Path(folder_paths.models_dir) / "robust_classifiers" / name
    assert config_of(load_classifier(saved)) == (64, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert load_classifier(saved).seeds is not None

    before = loader.fingerprint_inputs(name)
    assert loader.fingerprint_inputs(name) == before
    assert loader.fingerprint_inputs(name, input_size=32) != before
    write(saved.with_suffix(".json"), {"input_size": 128})
    assert loader.fingerprint_inputs(name) != before
    assert loader.execute(name).result[0].model.input_size == 128
