"""The example workflows in a real ComfyUI server: that they run without a complaint, and show what they say."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.checkpoint_layouts import write_robustness_checkpoint
from tools.client import ComfyClient, File, Prompt, Result
from tools.paths import ROOT
from tools.server import ComfyServer
from tools.workflow import convert, read

Pixels = NDArray[np.int16]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
ASSETS = sorted((ROOT / "workflows" / "assets").glob("*.png"))
KEEP_SIZE = ("RobustTranslate", "RobustInpaint", "RobustActivationPaint")


@dataclass(frozen=True)
class Example:
    """An example workflow that has run, with a look at the pictures of each of the pack's nodes."""

    server: ComfyServer
    client: ComfyClient
    graph: dict[str, Any]
    prompt: Prompt
    result: Result

    def all(self, kind: str) -> list[str]:
        """The nodes of a type."""
        return [node for node, entry in self.prompt.items() if entry["class_type"] == kind]

    def one(self, kind: str) -> str:
        """The node of a type of which there is one."""
        (node,) = self.all(kind)
        return node

    def inputs(self, node: str) -> dict[str, Any]:
        """The inputs of a node."""
        inputs: dict[str, Any] = self.prompt[node]["inputs"]
        return inputs

    def pictures(self, node: str) -> list[Pixels]:
        """What a node that saves or shows pictures has written."""
        files = [
            File(image["filename"], image["subfolder"], image["type"]) for image in self.result.outputs[node]["images"]
        ]
        return [pixels(Image.open(io.BytesIO(self.client.view(file)))) for file in files]

    def made(self, node: str) -> Pixels:
        """The one picture that a node has made."""
        (picture,) = self.pictures(f"look {node}")
        return picture

    def loaded(self, node: str, name: str = "image") -> Image.Image:
        """The picture of the input folder that a node is given."""
        return Image.open(self.server.base / "input" / self.inputs(self.inputs(node)[name][0])["image"])

    def size(self, node: str) -> tuple[int, int, int] | None:
        """How many pictures a node makes, and how high and wide they are; None where that is its own affair."""
        kind, inputs = self.prompt[node]["class_type"], self.inputs(node)
        if kind == "LoadImage":
            width, height = Image.open(self.server.base / "input" / inputs["image"]).size
            return 1, height, width
        if kind == "RobustClassSeed":
            return inputs["batch_size"], inputs["height"], inputs["width"]
        if kind in KEEP_SIZE:
            return self.size(inputs["image"][0])
        if kind == "RobustUpsample":
            start = self.size(inputs["image"][0])
            return start and (start[0], start[1] * inputs["factor"], start[2] * inputs["factor"])
        if kind == "ImageStitch" and inputs["direction"] == "right":
            left, right = (self.size(inputs[name][0]) for name in ("image1", "image2"))
            if left and right and left[:2] == right[:2]:
                return left[0], left[1], left[2] + inputs["spacing_width"] + right[2]
        return None

    def again(self, **nodes: dict[str, Any]) -> Example:
        """It has run once more, with other nodes besides or instead."""
        prompt = {**self.prompt, **nodes}
        return Example(self.server, self.client, self.graph, prompt, self.client.run(prompt))


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB")).astype(np.int16)


def run(server: ComfyServer, client: ComfyClient, graph: dict[str, Any]) -> Example:
    prompt = convert(graph, client.object_info())
    for node in [node for node, entry in prompt.items() if entry["class_type"] == "RobustTrainClassifier"]:
        # It takes minutes to learn something, and a moment to show that it would.
        prompt[node]["inputs"]["epochs"] = 1
    for node in [node for node, entry in prompt.items() if entry["class_type"] in (*KEEP_SIZE, "RobustUpsample")]:
        prompt[f"look {node}"] = {"class_type": "PreviewImage", "inputs": {"images": [node, 0]}}
    return Example(server, client, graph, prompt, client.run(prompt))


def test_the_example_pictures_are_in_the_input_folder(server: ComfyServer) -> None:
    assert ASSETS
    for asset in ASSETS:
        assert (server.base / "input" / f"robust_{asset.name}").read_bytes() == asset.read_bytes()
    patterns = server.base / "input" / "robust_patterns"
    assert {folder.name: len(list(folder.iterdir())) for folder in patterns.iterdir()} == dict.fromkeys(
        ("flowers", "stained_glass", "waves"), 110
    )


@pytest.fixture(scope="module")
def stand_in(server: ComfyServer) -> None:
    """The Hub's classifier that some examples name, with random weights, put into its folder by hand."""
    folder = server.base / "models" / "robust_classifiers"
    folder.mkdir(parents=True, exist_ok=True)
    write_robustness_checkpoint(folder / "resnet50_l2_eps3.ckpt", "resnet50", legacy=True)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_workflow_makes_its_pictures(server: ComfyServer, path: Path) -> None:
    before = len(server.log_text())
    example = run(server, ComfyClient(server.url), read(path))
    log = server.log_text()[before:]
    assert not re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback|Warning:", log)
    # A mask that is not wired as it should be would cost nothing but the point of the example.
    assert "mask is empty" not in log
    assert example.all("SaveImage")
    for saver in example.all("SaveImage"):
        source, output = example.inputs(saver)["images"]
        made = example.pictures(saver)
        if output == 0:
            size = example.size(source)
            assert size, "the test does not know what size to expect"
            assert [picture.shape for picture in made] == [(*size[1:], 3)] * size[0]
    if path.stem in CHECKS:
        CHECKS[path.stem](example)


def only_the_hole_is_filled(example: Example) -> None:
    inpaint = example.one("RobustInpaint")
    photo, filled = example.loaded(inpaint), example.made(inpaint)
    hole, change = np.asarray(photo.convert("RGBA"))[..., 3] < 255, np.abs(filled - pixels(photo))
    assert 0 < hole.mean() < 0.5
    # Saving rounds down.
    assert change[~hole].max() <= 1
    assert (change[hole].max(1) > 8).mean() > 0.5


def averaged_back_it_is_the_photo(example: Example) -> None:
    upsample = example.one("RobustUpsample")
    photo, larger = pixels(example.loaded(upsample)), example.made(upsample)
    height, width, _ = photo.shape
    factor = example.inputs(upsample)["factor"]
    assert factor == 4
    averaged = larger.reshape(height, factor, width, factor, 3).mean((1, 3))
    # Saving rounds down, by half a step in the mean.
    assert np.abs(averaged + 0.5 - photo).max() <= 1.5


def each_brush_paints_its_own_region(example: Example) -> None:
    brushes = example.all("RobustActivationPaint")
    for brush in brushes:
        source = example.inputs(brush)["image"][0]
        before = example.made(source) if source in brushes else pixels(example.loaded(brush))
        channel = ["red", "green", "blue"].index(example.inputs(example.inputs(brush)["mask"][0])["channel"])
        mask = pixels(example.loaded(brush, "mask"))[..., channel]
        change = np.abs(example.made(brush) - before)
        # Saving rounds down, a photo's own values as well.
        assert change[mask == 0].max() <= (0 if source in brushes else 1)
        assert change[mask == 255].mean() > 4


def three_brushes_paint_one_after_the_other(example: Example) -> None:
    assert len(example.all("RobustActivationPaint")) == 3
    each_brush_paints_its_own_region(example)


def found_features_are_painted(example: Example) -> None:
    find = example.one("RobustFeatures")
    (shown,) = [node for node in example.all("PreviewAny") if example.inputs(node)["source"] == [find, 0]]
    (text,) = example.result.outputs[shown]["text"]
    assert len(text.split(", ")) == example.inputs(find)["count"]
    each_brush_paints_its_own_region(example)


def own_seeds_show_their_pictures_colours(example: Example) -> None:
    fit = example.one("RobustFitSeeds")
    photos = [example.inputs(node)["image"] for node in example.all("LoadImage")]
    assert len(photos) > 1
    mean = np.mean([pixels(Image.open(example.server.base / "input" / name)).mean((0, 1)) for name in photos], 0)
    own: list[float] = []
    usual: list[float] = []
    for translate in example.all("RobustTranslate"):
        seed = example.inputs(translate)["image"][0]
        colour = np.mean(example.pictures(f"look {translate}"), (0, 1, 2))
        (own if example.inputs(seed)["classifier"][0] == fit else usual).append(np.abs(colour - mean).sum())
    assert max(own) < min(usual)
    # Saving is muted, so that trying the example leaves no file behind.
    assert not example.all("RobustSaveClassifier")
    folder = example.server.base / "models" / "robust_classifiers"
    graph = {**example.graph, "nodes": [{**node, "mode": 0} for node in example.graph["nodes"]]}
    unmuted = run(example.server, example.client, graph)
    name = unmuted.inputs(unmuted.one("RobustSaveClassifier"))["filename"]
    assert (folder / f"{name}.safetensors").is_file()


def refined_the_classifier_is_surer(example: Example) -> None:
    (refine,) = [node for node in example.all("RobustTranslate") if example.inputs(node)["preset"] == "refine"]
    inputs, sure = example.inputs(refine), []
    for image in (inputs["image"], [refine, 0]):
        scores = {"classifier": inputs["classifier"], "image": image, "top_k": 1000}
        shown = example.again(
            scores={"class_type": "RobustClassify", "inputs": scores},
            shown={"class_type": "PreviewAny", "inputs": {"source": ["scores", 1]}},
        )
        (text,) = shown.result.outputs["shown"]["text"]
        found = re.findall(rf"^{inputs['target_class']}: (\S+)$", text, re.MULTILINE)
        sure.append([float(score) for score in found])
    before, after = sure
    assert len(before) == len(after) == len(example.pictures(f"look {refine}"))
    assert all(late >= early for early, late in zip(before, after, strict=True))
    assert sum(after) > sum(before)


def the_climb_makes_a_film(example: Example) -> None:
    translate = example.one("RobustTranslate")
    node = example.prompt[translate]
    film = {"images": [translate, 1], "filename_prefix": "film", "fps": 6.0, "lossless": False, "quality": 80}
    run = example.again(
        **{translate: {**node, "inputs": {**node["inputs"], "animate": 5}}},
        film={"class_type": "SaveAnimatedWEBP", "inputs": {**film, "method": "default"}},
    )
    (made,) = run.result.outputs["film"]["images"]
    with Image.open(io.BytesIO(example.client.view(File(made["filename"], made["subfolder"], made["type"])))) as webp:
        # Four pictures, each after 0, 5, 10 and all steps.
        assert getattr(webp, "n_frames", 1) == 4 * 4


def every_operation_is_in_it(example: Example) -> None:
    for kind in (*KEEP_SIZE, "RobustClassSeed", "RobustUpsample", "RobustFeatures", "RobustClassify"):
        assert example.all(kind), f"there is no {kind}"


def the_trained_classifier_is_listed(example: Example) -> None:
    train = example.one("RobustTrainClassifier")
    assert len(example.pictures(train)) == 15
    name = f"{example.inputs(train)['name']}.safetensors"
    listed = example.client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"][1]["options"]
    assert name in listed
    kept = example.server.base / "output" / "robust_training" / example.inputs(train)["name"]
    assert (kept / "log.json").is_file()
    assert list((kept / "samples").iterdir())
    # A run that is finished is not begun again.
    assert example.again().result.seconds < 5


CHECKS: dict[str, Callable[[Example], None]] = {
    "generate": the_climb_makes_a_film,
    "inpaint": only_the_hole_is_filled,
    "upsample": averaged_back_it_is_the_photo,
    "paint": three_brushes_paint_one_after_the_other,
    "features": found_features_are_painted,
    "own-seeds": own_seeds_show_their_pictures_colours,
    "refine": refined_the_classifier_is_surer,
    "everything": every_operation_is_in_it,
    "train-your-own": the_trained_classifier_is_listed,
}


def test_every_example_that_promises_something_is_there() -> None:
    assert CHECKS.keys() <= {path.stem for path in WORKFLOWS}
