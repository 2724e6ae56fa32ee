"""The example workflows in a real ComfyUI server: that they run without a complaint, and show what they say."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.checkpoint_layouts import write_robustness_checkpoint
from tests.clip_files import random_clip, write_clip
from tools.client import ComfyClient, Prompt, Result
from tools.paths import ROOT
from tools.server import ComfyServer
from tools.workflow import convert, read

Pixels = NDArray[np.int16]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
ASSETS = sorted((ROOT / "workflows" / "assets").glob("*.png"))
MAKERS = ("RobustTranslate", "RobustInpaint", "RobustActivationPaint", "RobustUpsample")
SAVED = {
    "class-mask": [(384, 512)],
    "combine": [(192, 192)] * 4,
    "everything": [(384, 384), (384, 512)],
    "features": [(506, 818)],
    "generate": [(192, 192)] * 4,
    "horse-to-zebra": [(384, 512)],
    "imagenet": [(224, 224)] * 4,
    "inpaint": [(384, 512)],
    "outpaint": [(576, 768)],
    "large": [(1024, 1024)],
    "live": [(512, 768)],
    "own-seeds": [(96, 96)] * 4,
    "paint": [(384, 512)],
    "refine": [(96, 200)] * 4,
    "sketch": [(384, 384)],
    "style": [(300, 451)],
    "text": [(224, 224)] * 2,
    "train-your-own": [(96, 96)] * 4,
    "translate": [(427, 640)],
    "upsample": [(384, 384)],
}
"""Height and width of the pictures that an example saves."""


@dataclass(frozen=True)
class Example:
    """An example workflow that has run, with a look at the pictures of each of the pack's nodes."""

    server: ComfyServer
    graph: dict[str, Any]
    prompt: Prompt
    result: Result

    @property
    def client(self) -> ComfyClient:
        return ComfyClient(self.server.url)

    def all(self, kind: str) -> list[str]:
        """The nodes of a type."""
        return [node for node, entry in self.prompt.items() if entry["class_type"] == kind]

    def one(self, kind: str) -> str:
        """The node of a type of which there is one."""
        (node,) = self.all(kind)
        return node

    def inputs(self, node: str) -> dict[str, Any]:
        inputs: dict[str, Any] = self.prompt[node]["inputs"]
        return inputs

    def pictures(self, node: str) -> list[Pixels]:
        """What a node that saves or shows pictures has written."""
        return [pixels(Image.open(io.BytesIO(self.client.view(file)))) for file in self.result.files(node)]

    def made(self, node: str) -> Pixels:
        """The one picture that a node has made."""
        (picture,) = self.pictures(f"look {node}")
        return picture

    def loaded(self, node: str, name: str = "image") -> Image.Image:
        """The picture of the input folder that a node is given."""
        return Image.open(self.server.base / "input" / self.inputs(self.inputs(node)[name][0])["image"])

    def again(self, **nodes: dict[str, Any]) -> Example:
        """It has run once more, with other nodes besides or instead."""
        prompt = {**self.prompt, **nodes}
        return Example(self.server, self.graph, prompt, self.client.run(prompt))


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB")).astype(np.int16)


def run(server: ComfyServer, graph: dict[str, Any]) -> Example:
    client = ComfyClient(server.url)
    prompt = convert(graph, client.object_info())
    for node, entry in list(prompt.items()):
        if entry["class_type"] == "RobustTrainClassifier":
            # It takes minutes to learn something, and a moment to show that it would.
            entry["inputs"] |= {"epochs": 1, "folder": some_of(server.base / "input" / entry["inputs"]["folder"])}
        if entry["class_type"] in MAKERS:
            prompt[f"look {node}"] = {"class_type": "PreviewImage", "inputs": {"images": [node, 0]}}
    return Example(server, graph, prompt, client.run(prompt))


def some_of(folder: Path, each: int = 20) -> str:
    """The name of a folder beside one of class folders, with the first of their pictures."""
    some = folder.with_name(f"{folder.name}_some")
    for kind in folder.iterdir():
        (some / kind.name).mkdir(parents=True, exist_ok=True)
        for picture in sorted(kind.iterdir())[:each]:
            shutil.copy(picture, some / kind.name)
    return some.name


def test_the_example_pictures_are_in_the_input_folder(server: ComfyServer) -> None:
    assert ASSETS
    for asset in ASSETS:
        assert (server.base / "input" / f"robust_{asset.name}").read_bytes() == asset.read_bytes()
    patterns = server.base / "input" / "robust_patterns"
    assert {folder.name: len(list(folder.iterdir())) for folder in patterns.iterdir()} == dict.fromkeys(
        ("flowers", "stained_glass", "waves"), 110
    )


@pytest.fixture(scope="module")
def stand_in(server: ComfyServer) -> Iterator[None]:
    """The Hub's classifiers that some examples name, with random weights, put into their folder by hand."""
    folder = server.base / "models" / "robust_classifiers"
    folder.mkdir(parents=True, exist_ok=True)
    clip, resnet = folder / "fare2_vit_l14.bin", folder / "resnet50_l2_eps3.ckpt"
    write_clip(random_clip("vit"), folder, "bin").rename(clip)
    write_robustness_checkpoint(resnet, "resnet50", legacy=True)
    yield
    # The server is shared, and other tests want to see that these are not there.
    for file in (clip, resnet):
        for written in folder.glob(f"{file.stem}.*"):
            written.unlink()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_example_workflow_makes_its_pictures(server: ComfyServer, name: str) -> None:
    before = len(server.log_text())
    example = run(server, read(WORKFLOWS[name]))
    log = server.log_text()[before:]
    assert not re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback|Warning:", log)
    # A mask that is not wired as it should be would cost nothing but the point of the example.
    assert "mask is empty" not in log
    saved = [picture for saver in example.all("SaveImage") for picture in example.pictures(saver)]
    assert sorted(picture.shape[:2] for picture in saved) == SAVED[name]
    if name in CHECKS:
        CHECKS[name](example)


def changed_under_the_mask(example: Example, node: str) -> Pixels:
    """How much a node has changed what its picture's own mask covers, `[N, 3]`; nothing else has changed."""
    photo, made = example.loaded(node), example.made(node)
    covered, change = np.asarray(photo.convert("RGBA"))[..., 3] < 255, np.abs(made - pixels(photo))
    assert 0 < covered.mean() < 0.5
    # Saving rounds down.
    assert change[~covered].max() <= 1
    under: Pixels = change[covered]
    return under


def only_the_hole_is_filled(example: Example) -> None:
    change = changed_under_the_mask(example, example.one("RobustInpaint"))
    assert (change.max(1) > 8).mean() > 0.5


def the_horse_alone_becomes_a_zebra(example: Example) -> None:
    translate = example.one("RobustTranslate")
    assert changed_under_the_mask(example, translate).mean() > 8
    classify = {"classifier": example.inputs(translate)["classifier"], "image": [translate, 0], "top_k": 1}
    shown = example.again(
        label={"class_type": "RobustClassify", "inputs": classify},
        shown={"class_type": "PreviewAny", "inputs": {"source": ["label", 0]}},
    )
    assert shown.result.outputs["shown"]["text"] == ["zebra"]


def what_is_found_becomes_a_zebra(example: Example) -> None:
    translate = example.one("RobustTranslate")
    change = np.abs(example.made(translate) - pixels(example.loaded(translate))).max(2)
    # The same photograph with a mask that was painted by hand.
    painted = np.asarray(Image.open(ROOT / "workflows" / "assets" / "pony.png"))[..., 3] < 255
    assert change[painted].mean() > 8
    # The horse was found, and not much of the meadow with it.
    assert (change[~painted] > 8).mean() < 0.1


def the_photo_is_continued_beyond_its_edges(example: Example) -> None:
    inpaint = example.one("RobustInpaint")
    pad = example.inputs(example.inputs(inpaint)["image"][0])
    photo, made = pixels(example.loaded(example.inputs(inpaint)["image"][0])), example.made(inpaint)
    height, width, _ = photo.shape
    inside = np.s_[pad["top"] : pad["top"] + height, pad["left"] : pad["left"] + width]
    # Saving rounds down.
    assert np.abs(made[inside] - photo).max() <= 1
    border = np.ones(made.shape[:2], bool)
    border[inside] = False
    steps = np.abs(np.diff(made, axis=1, append=made[:, -1:])).mean(2)
    # Neither haze nor a seam.
    assert 0.5 < steps[border].mean() / steps[~border].mean() < 1.5
    for edge in (pad["left"] - 1, pad["left"] + width - 1):
        assert steps[:, edge].mean() < 2 * steps[~border].mean()


def the_mean_of_each_block_is_the_photo(example: Example) -> None:
    upsample = example.one("RobustUpsample")
    photo, larger = pixels(example.loaded(upsample)), example.made(upsample)
    height, width, _ = photo.shape
    means = larger.reshape(height, 4, width, 4, 3).mean((1, 3))
    # Saving rounds down, by half a step in the mean.
    assert np.abs(means + 0.5 - photo).max() <= 1.5


def each_brush_paints_its_own_region(example: Example, count: int = 3) -> None:
    brushes = example.all("RobustActivationPaint")
    assert len(brushes) == count
    for brush in brushes:
        source = example.inputs(brush)["image"][0]
        before = example.made(source) if source in brushes else pixels(example.loaded(brush))
        channel = ["red", "green", "blue"].index(example.inputs(example.inputs(brush)["mask"][0])["channel"])
        mask = pixels(example.loaded(brush, "mask"))[..., channel]
        change = np.abs(example.made(brush) - before)
        # Saving rounds down, a photo's own values as well.
        assert change[mask == 0].max() <= (0 if source in brushes else 1)
        assert change[mask == 255].mean() > 4


def found_features_are_painted(example: Example) -> None:
    find = example.one("RobustFeatures")
    (shown,) = [node for node in example.all("PreviewAny") if example.inputs(node)["source"] == [find, 0]]
    (text,) = example.result.outputs[shown]["text"]
    assert len(text.split(", ")) == example.inputs(find)["count"]
    each_brush_paints_its_own_region(example, 1)


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
    graph = {**example.graph, "nodes": [{**node, "mode": 0} for node in example.graph["nodes"]]}
    unmuted = run(example.server, graph)
    name = unmuted.inputs(unmuted.one("RobustSaveClassifier"))["filename"]
    assert (example.server.base / "models" / "robust_classifiers" / f"{name}.safetensors").is_file()


def refining_raises_the_score(example: Example) -> None:
    (refine,) = [node for node in example.all("RobustTranslate") if example.inputs(node)["preset"] == "refine"]
    inputs = example.inputs(refine)

    def scores(image: list[Any]) -> list[float]:
        classify = {"classifier": inputs["classifier"], "image": image, "top_k": 1000}
        shown = example.again(
            scores={"class_type": "RobustClassify", "inputs": classify},
            shown={"class_type": "PreviewAny", "inputs": {"source": ["scores", 1]}},
        )
        (text,) = shown.result.outputs["shown"]["text"]
        return [float(score) for score in re.findall(rf"^{inputs['target_class']}: (\S+)$", text, re.MULTILINE)]

    before, after = scores(inputs["image"]), scores([refine, 0])
    assert len(before) == len(after) == len(example.pictures(f"look {refine}"))
    assert all(late >= early for early, late in zip(before, after, strict=True))
    assert sum(after) > sum(before)


def frames_make_a_film(example: Example) -> None:
    translate = example.one("RobustTranslate")
    node = example.prompt[translate]
    film = {"images": [translate, 1], "filename_prefix": "film", "fps": 6.0, "lossless": False, "quality": 80}
    run = example.again(
        **{translate: {**node, "inputs": {**node["inputs"], "animate": 5}}},
        film={"class_type": "SaveAnimatedWEBP", "inputs": {**film, "method": "default"}},
        frames={"class_type": "PreviewImage", "inputs": {"images": [translate, 1]}},
    )
    # Four pictures, each after 0, 5, 10, 15, 20 and all 23 steps.
    frames = run.pictures("frames")
    assert len(frames) == 4 * 6
    # WebP keeps a picture that follows itself once, where the best step was the last but one frame's.
    repeated = sum(np.array_equal(*pair) for pair in pairwise(frames))
    (made,) = run.result.files("film")
    with Image.open(io.BytesIO(example.client.view(made))) as webp:
        assert getattr(webp, "n_frames", 1) == len(frames) - repeated


def every_operation_is_in_it(example: Example) -> None:
    for kind in (*MAKERS, "RobustClassSeed", "RobustFeatures", "RobustClassify"):
        assert example.all(kind), f"there is no {kind}"


def the_trained_classifier_is_listed(example: Example) -> None:
    train = example.one("RobustTrainClassifier")
    assert len(example.pictures(train)) == 15
    name = example.inputs(train)["name"]
    listed = example.client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"][1]["options"]
    assert f"{name}.safetensors" in listed
    kept = example.server.base / "output" / "robust_training" / name
    assert (kept / "log.json").is_file()
    assert list((kept / "samples").iterdir())
    # A run that is finished is not begun again.
    assert example.again().result.seconds < 5


def the_canvas_is_blank_until_it_is_painted_on(example: Example) -> None:
    (saved,) = example.pictures(example.one("SaveImage"))
    assert len(np.unique(saved)) == 1


CHECKS: dict[str, Callable[[Example], None]] = {
    "class-mask": what_is_found_becomes_a_zebra,
    "generate": frames_make_a_film,
    "horse-to-zebra": the_horse_alone_becomes_a_zebra,
    "inpaint": only_the_hole_is_filled,
    "outpaint": the_photo_is_continued_beyond_its_edges,
    "upsample": the_mean_of_each_block_is_the_photo,
    "paint": each_brush_paints_its_own_region,
    "features": found_features_are_painted,
    "live": the_canvas_is_blank_until_it_is_painted_on,
    "own-seeds": own_seeds_show_their_pictures_colours,
    "refine": refining_raises_the_score,
    "everything": every_operation_is_in_it,
    "train-your-own": the_trained_classifier_is_listed,
}


def test_every_example_has_its_row() -> None:
    assert SAVED.keys() == WORKFLOWS.keys() >= CHECKS.keys()
