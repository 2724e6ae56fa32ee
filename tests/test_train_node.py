"""Train Robust Classifier in a real ComfyUI: trained, cancelled, gone on with, listed and used."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from robust_synthesis.models import load_classifier
from tests.pictures_to_train_on import TINY, make_folder
from tools.client import ComfyClient, Event, InterruptedRunError, Prompt
from tools.server import ComfyServer

TRAIN = "train"


@pytest.fixture
def input_folder(pack: ModuleType) -> Path:
    assert pack
    import folder_paths

    return Path(folder_paths.get_input_directory())


@pytest.fixture
def folder(input_folder: Path, pack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to train on, and a recipe that learns it in a second, without plots."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(pack.train_classifier, "RECIPES", {"quick": TINY})
    shutil.rmtree(input_folder / "colours", ignore_errors=True)
    return make_folder(input_folder / "colours", "red", "green")


@pytest.fixture
def classifiers(pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of classifiers, and an empty output folder."""
    assert pack
    import folder_paths

    place = tmp_path / "models" / "robust_classifiers"
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "robust_classifiers", ([str(place)], {".safetensors"}))
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    return place


def execute(pack: ModuleType, **inputs: Any) -> Any:
    settings = {"folder": "colours", "recipe": "quick", "epochs": 0, "name": "mine"}
    with torch.inference_mode():
        return pack.RobustTrainClassifier.execute(**{**settings, **inputs})


@pytest.mark.usefixtures("folder")
def test_what_it_trains_can_be_used_loaded_and_saved(pack: ModuleType, classifiers: Path) -> None:
    made = execute(pack)
    (classifier,) = made.result
    seeds = pack.RobustClassSeed.execute(classifier, "green", 24, 24, 2, 0, "class gaussian").result[0]
    picture = pack.RobustTranslate.execute(classifier, seeds, "red", {"preset": "generate"}).result[0]
    redness = [(image[..., 0] - image[..., 1]).mean() for image in (seeds, picture)]
    assert redness[1] > redness[0] + 0.05
    loaded = pack.RobustLoadClassifier.execute("mine.safetensors").result[0]
    assert loaded.model.labels == ("green", "red")
    pack.RobustSaveClassifier.execute(classifier, "mine")
    assert sorted(path.name for path in classifiers.glob("[!.]*")) == [
        "mine.classes.jpg",
        "mine.md",
        "mine.safetensors",
        "mine_2.classes.jpg",
        "mine_2.safetensors",
    ]
    assert len(made.ui.as_dict()["images"]) == 16


@pytest.mark.usefixtures("folder")
def test_the_same_again_is_loaded_and_other_settings_get_a_number(pack: ModuleType, classifiers: Path) -> None:
    execute(pack)
    first = (classifiers / "mine.safetensors").read_bytes()
    execute(pack)
    assert [path.name for path in classifiers.glob("*.safetensors")] == ["mine.safetensors"]
    execute(pack, epsilon=0.4)
    assert (classifiers / "mine.safetensors").read_bytes() == first
    second = load_classifier(classifiers / "mine_2.safetensors")
    assert second.card.training["epsilon"] == 0.4
    execute(pack, epochs=3)
    assert load_classifier(classifiers / "mine_3.safetensors").card.training["epochs"] == 3
    execute(pack, epsilon=0.4)
    assert len(list(classifiers.glob("*.safetensors"))) == 3


@pytest.mark.usefixtures("folder")
def test_a_training_that_an_earlier_version_finished_is_loaded(
    pack: ModuleType, classifiers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That version had no stage two.
    monkeypatch.setattr(pack.train_classifier, "RECIPES", {"quick": replace(TINY, contrastive=None)})
    execute(pack)
    first = (classifiers / "mine.safetensors").read_bytes()
    monkeypatch.setattr(pack.train_classifier, "RECIPES", {"quick": TINY})
    execute(pack)
    assert [path.name for path in classifiers.glob("*.safetensors")] == ["mine.safetensors"]
    assert (classifiers / "mine.safetensors").read_bytes() == first
    execute(pack, epsilon=0.4)
    assert "contrastive_steps" in load_classifier(classifiers / "mine_2.safetensors").card.training


@pytest.mark.usefixtures("classifiers", "folder")
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"folder": "nowhere"}, "There is no folder 'nowhere'"),
        ({"folder": "../elsewhere"}, "is not inside ComfyUI's input folder"),
        ({"folder": ""}, "Write the folder's name"),
        ({"name": ""}, "is no name for a file"),
        ({"name": "../../evil"}, "is no name for a file"),
    ],
)
def test_bad_input_is_said_before_the_work_starts(pack: ModuleType, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        execute(pack, **inputs)


def test_another_picture_in_the_folder_runs_it_again(pack: ModuleType, folder: Path) -> None:
    node, settings = pack.RobustTrainClassifier, {"recipe": "quick", "epochs": 0, "name": "mine", "epsilon": 0.0}
    before = node.fingerprint_inputs(folder="colours", **settings)
    assert node.fingerprint_inputs(folder="colours", **settings) == before
    assert node.fingerprint_inputs(folder="colours", **{**settings, "epochs": 3}) != before
    shutil.copy(folder / "red" / "00.png", folder / "red" / "more.png")
    assert node.fingerprint_inputs(folder="colours", **settings) != before


def test_a_fingerprint_ends_in_circles_and_when_cancelled(pack: ModuleType, folder: Path) -> None:
    import comfy.model_management as mm

    node = pack.RobustTrainClassifier
    before = node.fingerprint_inputs(folder="colours")
    (folder / "red" / "up").symlink_to(folder, target_is_directory=True)
    assert node.fingerprint_inputs(folder="colours") == before
    for number in range(300):
        (folder / "red" / f"{number}.txt").touch()
    mm.interrupt_current_processing(True)
    try:
        stopped = node.fingerprint_inputs(folder="colours")
        # It is never the same as another, and the training that follows is cancelled.
        assert stopped != node.fingerprint_inputs(folder="colours")
        assert mm.processing_interrupted()
    finally:
        mm.interrupt_current_processing(False)


def test_in_the_server_it_is_stopped_goes_on_and_is_used(server: ComfyServer) -> None:
    client = ComfyClient(server.url)
    make_folder(server.base / "input" / "colours", "red", "green")
    (server.base / "input" / "colours" / "red" / "broken.png").write_bytes(b"no picture")
    shutil.copy(
        server.base / "input" / "colours" / "red" / "00.png", server.base / "input" / "colours" / "red" / "a.png"
    )
    settings = {"folder": "colours", "recipe": "quick", "epochs": 2, "name": "deep/colours"}
    prompt: Prompt = {TRAIN: {"class_type": "RobustTrainClassifier", "inputs": settings}}
    result_file = server.base / "models" / "robust_classifiers" / "deep" / "colours.safetensors"
    previews: list[Event] = []

    def stop_at_the_first_preview(event: Event) -> None:
        if event.kind == "preview":
            previews.append(event)
            if len(previews) == 1:
                client.interrupt()

    with pytest.raises(InterruptedRunError):
        client.run(prompt, stop_at_the_first_preview)
    assert Image.open(io.BytesIO(previews[0].image)).width > 96
    unfinished = load_classifier(result_file).card.training
    assert unfinished["unfinished"]
    assert unfinished["epoch"] == 1

    seed = {"target_class": "red", "width": 96, "height": 96, "batch_size": 1, "seed": 0, "method": "class gaussian"}
    whole: Prompt = {
        **prompt,
        "seed": {"class_type": "RobustClassSeed", "inputs": {"classifier": [TRAIN, 0], **seed}},
        "look": {"class_type": "PreviewImage", "inputs": {"images": ["seed", 0]}},
    }
    done = client.run(whole)
    told = done.messages()
    assert not any("Epoch 1 of 2" in text for text in told)
    left_out = (
        "they cannot be read (1): red/broken.png.\nLeft out, because they are copies of other pictures (1): red/a.png"
    )
    assert any(text.startswith("Left out") and left_out in text for text in told)
    assert any("Saved as colours.safetensors" in text and left_out in text for text in told)
    assert len(done.outputs[TRAIN]["images"]) == 16
    assert len(done.outputs["look"]["images"]) == 1
    assert "unfinished" not in load_classifier(result_file).card.training
