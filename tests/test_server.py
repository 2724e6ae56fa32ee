"""The pack in a real ComfyUI server, used as a front end or a script uses it."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from robust_synthesis.models.catalog import bundled_classifiers
from tools.client import (
    ComfyClient,
    Event,
    ExecutionError,
    InterruptedRunError,
    Prompt,
    RejectedError,
    Result,
)
from tools.server import ComfyServer

MADE = "made"
LENGTHS = {"steps": 2, "step_size": 1.0, "epsilon": 40.0, "norm": "l2", "final_step": 1.0, "jitter": 0}
MASKED = {"feather": 0, "penalty": 0.0, "detail_steps": 2}
# Short settings of each node.
NODES: dict[str, dict[str, Any]] = {
    "RobustTranslate": {
        "target_class": "church",
        "preset": LENGTHS | {"objective": "cross-entropy", "noise": 0.0, "detail_steps": 0},
        "seed": 0,
    },
    "RobustInpaint": {
        "mask": ["mask", 0],
        "target_class": "sea",
        "preset": LENGTHS | MASKED | {"objective": "logit", "fill": "surround"},
        "seed": 0,
    },
    "RobustActivationPaint": {"mask": ["mask", 0], "feature": "5", "strength": 1.0, "preset": LENGTHS | MASKED},
    "RobustUpsample": {
        "factor": 2,
        "target_class": "sea",
        "preset": LENGTHS | {"objective": "logit", "consistent": True},
    },
}


@pytest.fixture(scope="module")
def client(server: ComfyServer) -> ComfyClient:
    return ComfyClient(server.url)


@pytest.fixture
def failing(client: ComfyClient) -> Iterator[ComfyClient]:
    """For a prompt that does not run to its end; one that does must run afterwards."""
    yield client
    client.run(made())


def made(start: Prompt | None = None, node: str = "RobustTranslate", /, **inputs: object) -> Prompt:
    """A prompt for one node; without a start it works on a class seed of 32 x 32, painted all over."""
    settings = dict(NODES[node])
    settings |= {f"preset.{name}": value for name, value in settings.pop("preset").items()} | {"preset": "custom"}
    return {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": "canvas"}},
        **class_seed(),
        **solid_mask(40, 32, 1.0),
        **(start or {}),
        MADE: {
            "class_type": node,
            "inputs": {"classifier": ["load", 0], "image": ["image", 0], **settings, **inputs},
        },
        "look": {"class_type": "PreviewImage", "inputs": {"images": [MADE, 0]}},
    }


def class_seed(seed: int = 0, batch: int = 1, side: int = 32) -> Prompt:
    inputs = {"target_class": "church", "width": side, "height": side, "batch_size": batch, "seed": seed}
    inputs["method"] = "class gaussian"
    return {"image": {"class_type": "RobustClassSeed", "inputs": {"classifier": ["load", 0], **inputs}}}


def grey(width: int, height: int, batch: int = 1) -> Prompt:
    inputs = {"width": width, "height": height, "batch_size": batch, "color": 0x808080}
    return {"image": {"class_type": "EmptyImage", "inputs": inputs}}


def solid_mask(width: int, height: int, value: float) -> Prompt:
    inputs = {"width": width, "height": height, "value": value}
    return {"mask": {"class_type": "SolidMask", "inputs": inputs}}


def pictures(client: ComfyClient, result: Result, folder: str = "temp") -> list[NDArray[np.int16]]:
    files = [client.view(file) for file in result.images(folder)]
    return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(np.int16) for file in files]


def progress(events: list[Event]) -> list[tuple[float, float]]:
    """How far the node was, and how far it goes."""
    states = [event.data["nodes"].get(MADE) for event in events if event.kind == "progress_state"]
    return [(state["value"], state["max"]) for state in states if state]


def complaints(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback|Warning:", line)]


def test_the_pack_loads_without_a_word(server: ComfyServer) -> None:
    log = server.log_text()
    assert re.search(r"seconds: \S*robust-synthesis", log)
    assert "IMPORT FAILED" not in log
    assert not [line for line in complaints(log) if "robust" in line.lower()]


def test_the_same_seed_gives_the_same_picture(client: ComfyClient) -> None:
    prompt = made(class_seed(5), **{"preset.noise": 0.5})
    (first,) = pictures(client, client.run(prompt))
    client.free()
    # The server frees when it gets round to it.
    for _ in range(20):
        again = client.run(prompt)
        if not again.cached:
            break
        time.sleep(0.2)
    assert not again.cached
    (second,) = pictures(client, again)
    assert np.array_equal(first, second)


def test_progress_and_previews_arrive_on_the_way(client: ComfyClient) -> None:
    result = client.run(made(class_seed(1, 3, 96), **{"preset.steps": 30}))
    reports = progress(result.events)
    assert reports[-1] == (30.0, 30.0)
    values = [value for value, _ in reports]
    assert values == sorted(values)
    assert result.previews
    for preview in result.previews:
        picture = Image.open(io.BytesIO(preview.image))
        picture.load()
        assert picture.format == "JPEG"
        # Three pictures lie on a sheet of two by two.
        assert picture.width == picture.height


def test_cancel_stops_a_long_run_within_a_step(failing: ComfyClient) -> None:
    cancelled_at = 0.0

    def cancel(event: Event) -> None:
        nonlocal cancelled_at
        for value, _ in progress([event]):
            if value >= 2 and not cancelled_at:
                cancelled_at = value
                failing.interrupt()

    with pytest.raises(InterruptedRunError) as caught:
        failing.run(made(class_seed(2, 16, 96), **{"preset.steps": 2000}), cancel)
    reached = max(value for value, _ in progress(caught.value.result.events))
    # The news of a step, and the request, take their time on the way.
    assert reached - cancelled_at <= 5


@pytest.mark.parametrize("node", ["RobustInpaint", "RobustActivationPaint"])
def test_progress_counts_the_finer_stages_to_their_end(client: ComfyClient, node: str) -> None:
    result = client.run(made(grey(400, 300), node))
    # Two steps, and two at each of two finer resolutions: 400 pixels are 3.6 times the 111 it looks at first.
    reports = [report for report in progress(result.events) if report[1] > 1]
    assert {most for _, most in reports} == {6.0}
    assert reports[-1] == (6.0, 6.0)
    assert [value for value, _ in reports] == sorted(value for value, _ in reports)


@pytest.mark.parametrize("node", NODES)
def test_a_script_may_leave_out_whatever_has_a_default(client: ComfyClient, node: str) -> None:
    wires = {"classifier": ["load", 0], "image": ["image", 0]}
    wires |= {name: value for name, value in NODES[node].items() if isinstance(value, list)}
    # Without a feature there is nothing to paint.
    wires |= {"feature": "5"} if node == "RobustActivationPaint" else {}
    prompt = made(class_seed(), node)
    options = client.object_info()[node]["input"]["optional"]

    def run(**inputs: object) -> NDArray[np.int16]:
        prompt[MADE]["inputs"] = wires | inputs
        (picture,) = pictures(client, client.run(prompt))
        return picture

    first, *_, custom = options["preset"][1]["options"]
    defaults = {name: spec[1]["default"] for name, spec in options.items() if "default" in spec[1]}
    unfolded = {f"preset.{name}": spec[1]["default"] for name, spec in first["inputs"].get("optional", {}).items()}
    assert np.array_equal(run(), run(**defaults | wires, **unfolded, preset=first["key"]))
    # One value of custom, the others left out; the same with a preset that another node gives.
    values = {f"preset.{name}": spec[1]["default"] for name, spec in custom["inputs"]["optional"].items()}
    short = {"preset.steps": 2, "preset.detail_steps": 0}
    short = {name: value for name, value in short.items() if name in values}
    one = run(preset="custom", **short)
    assert np.array_equal(one, run(preset="custom", **values | short))
    prompt["name"] = {"class_type": "PrimitiveString", "inputs": {"value": "custom"}}
    assert np.array_equal(one, run(preset=["name", 0], **short))


@pytest.mark.parametrize("node", ["RobustClassSeed", "RobustClassify", "RobustFeatures"])
def test_the_other_nodes_run_with_their_wires_alone(client: ComfyClient, node: str) -> None:
    prompt = made(class_seed())
    wires = {"classifier": ["load", 0]} | ({} if node == "RobustClassSeed" else {"image": ["image", 0]})
    prompt[MADE] = {"class_type": node, "inputs": wires}
    prompt["look"] = {"class_type": "PreviewAny", "inputs": {"source": [MADE, 0]}}
    client.run(prompt)


def test_cores_nodes_take_pictures_with_transparency(client: ComfyClient) -> None:
    prompt = made(class_seed(1, 2), "RobustUpsample", image=["cut", 0], animate=1)
    prompt["cut"] = {"class_type": "JoinImageWithAlpha", "inputs": {"image": ["image", 0], "alpha": ["half", 0]}}
    prompt["half"] = {"class_type": "SolidMask", "inputs": {"width": 32, "height": 32, "value": 0.5}}
    scale = {"upscale_method": "bicubic", "width": 50, "height": 50, "crop": "disabled"}
    prompt["scale"] = {"class_type": "ImageScale", "inputs": {"image": [MADE, 0], **scale}}
    prompt["saved"] = {"class_type": "SaveImage", "inputs": {"images": ["scale", 0], "filename_prefix": "cut"}}
    film = {"images": [MADE, 1], "filename_prefix": "cut", "fps": 6.0, "lossless": True, "quality": 80}
    prompt["film"] = {"class_type": "SaveAnimatedWEBP", "inputs": {**film, "method": "default"}}
    prompt["split"] = {"class_type": "SplitImageWithAlpha", "inputs": {"image": [MADE, 1]}}
    prompt["video"] = {"class_type": "CreateVideo", "inputs": {"images": ["split", 0], "fps": 6.0}}
    kept = {"video": ["video", 0], "filename_prefix": "cut", "format": "mp4", "codec": "h264"}
    prompt["keep"] = {"class_type": "SaveVideo", "inputs": kept}
    result = client.run(prompt)
    for node, size, mode in (("saved", (50, 50), "RGBA"), ("film", (64, 64), "RGBA")):
        picture = Image.open(io.BytesIO(client.view(result.files(node)[0])))
        assert (picture.size, picture.mode) == (size, mode)
        assert abs(np.asarray(picture)[..., 3].astype(int) - 127).max() <= 1


REJECTED: list[tuple[str, dict[str, Any]]] = [
    ("RobustTranslate", {"preset.steps": 0}),
    ("RobustTranslate", {"preset.step_size": -1.0}),
    ("RobustTranslate", {"preset.norm": "l7"}),
    ("RobustUpsample", {"factor": 1}),
    ("RobustUpsample", {"factor": 9}),
]


@pytest.mark.parametrize(("node", "inputs"), REJECTED)
def test_bad_settings_are_rejected_before_anything_runs(
    failing: ComfyClient, node: str, inputs: dict[str, Any]
) -> None:
    (name,) = inputs
    with pytest.raises(RejectedError, match=name):
        failing.run(made(None, node, **inputs))


def test_an_unknown_preset_is_answered_with_the_known_ones(failing: ComfyClient) -> None:
    with pytest.raises(ExecutionError, match=r"There are: generate, translate, sketch, refine, custom\."):
        failing.run(made(preset="unheard of"))


def test_a_workflow_with_the_old_name_of_no_limit_runs(client: ComfyClient) -> None:
    new, old = (pictures(client, client.run(made(**{"preset.norm": norm}))) for norm in ("none", "free"))
    assert np.array_equal(new, old)


def test_a_users_preset_is_listed_and_runs_as_its_file_says(server: ComfyServer, client: ComfyClient) -> None:
    file = server.base / "user" / "default" / "robust_synthesis" / "presets" / "mine.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    entry = NODES["RobustTranslate"]["preset"] | {"summary": "a little of it"}

    def run(**changes: object) -> NDArray[np.int16]:
        file.write_text(json.dumps({"translate": {"gentle": entry | changes}}), encoding="utf-8")
        return pictures(client, client.run(made(preset="gentle")))[0]

    assert np.array_equal(run(), pictures(client, client.run(made()))[0])
    options = client.object_info()["RobustTranslate"]["input"]["optional"]["preset"][1]["options"]
    assert [option["key"] for option in options] == ["generate", "translate", "sketch", "refine", "gentle", "custom"]
    # The same prompt again, and another file.
    assert not np.array_equal(run(step_size=9.0), run())
    file.unlink()
    with pytest.raises(ExecutionError, match=r"There are: generate, translate, sketch, refine, custom\."):
        client.run(made(preset="gentle"))


def test_a_result_beyond_memory_is_refused_with_its_size(failing: ComfyClient) -> None:
    # Of the result there are a dozen copies at once, of 12 bytes a pixel; half as much again as this machine has.
    side = int((1.5 * psutil.virtual_memory().total / (12 * 12)) ** 0.5 / 8)
    with pytest.raises(ExecutionError, match=rf"1 x {side * 8} x {side * 8} pixels would take \d+\.\d GiB of memory"):
        failing.run(made(grey(side, side), "RobustUpsample", factor=8))


@pytest.mark.parametrize("node", ["RobustInpaint", "RobustActivationPaint"])
def test_an_empty_mask_is_told_on_the_node(client: ComfyClient, node: str) -> None:
    result = client.run(made(grey(40, 32) | solid_mask(37, 19, 0.0), node))
    (text,) = result.messages()
    assert text.startswith("The mask is empty")
    (kept,) = pictures(client, result)
    assert kept.shape == (32, 40, 3)
    assert (kept == 128).all()


@pytest.mark.parametrize("node", ["RobustInpaint", "RobustActivationPaint"])
def test_the_mask_of_a_picture_without_transparency_is_empty(client: ComfyClient, node: str) -> None:
    load = {"class_type": "LoadImage", "inputs": {"image": "robust_photo.png"}}
    result = client.run(made({"image": load}, node, mask=["image", 1]))
    assert result.messages()[0].startswith("The mask is empty")


def test_found_features_plug_into_the_brush(client: ComfyClient) -> None:
    find = {
        "class_type": "RobustFeatures",
        "inputs": {"classifier": ["load", 0], "image": ["image", 0], "count": 2, "mask": ["mask", 0]},
    }
    prompt = made({**class_seed(3, 1, 40), "find": find}, "RobustActivationPaint", feature=["find", 0])
    prompt["show"] = {"class_type": "PreviewAny", "inputs": {"source": ["find", 0]}}
    prompt["sheet"] = {"class_type": "PreviewImage", "inputs": {"images": ["find", 1]}}
    result = client.run(prompt)
    (features,) = result.outputs["show"]["text"]
    assert re.fullmatch(r"\d+:\d+\.\d{3}, \d+:\d+\.\d{3}", features)
    assert len(result.images("temp")) == 2


def test_own_seeds_are_saved_listed_and_drawn(server: ComfyServer, client: ComfyClient) -> None:
    colour = {"width": 50, "height": 50, "batch_size": 2, "color": 0x406080}
    fit = {"classifier": ["load", 0], "image": ["image", 0], "target_class": "sea"}
    name = "of mine/blue sea"
    result = client.run(
        {
            "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": "canvas"}},
            "image": {"class_type": "EmptyImage", "inputs": colour},
            "fit": {"class_type": "RobustFitSeeds", "inputs": fit},
            "save": {"class_type": "RobustSaveClassifier", "inputs": {"classifier": ["fit", 0], "filename": name}},
        }
    )
    assert (server.base / "models" / "robust_classifiers" / f"{name}.safetensors").is_file()
    assert any("blue sea.safetensors" in text for text in result.messages())
    loader = client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"]
    assert f"{name}.safetensors" in loader[1]["options"]

    prompt = class_seed(5, 2, 32)
    prompt["image"]["inputs"]["target_class"] = "sea"
    prompt["load"] = {"class_type": "RobustLoadClassifier", "inputs": {"classifier": f"{name}.safetensors"}}
    prompt["look"] = {"class_type": "PreviewImage", "inputs": {"images": ["image", 0]}}
    for picture in pictures(client, client.run(prompt)):
        assert np.abs(picture - np.array([0x40, 0x60, 0x80])).max() <= 1


def test_a_classifier_is_not_saved_outside_of_its_folder(server: ComfyServer, failing: ComfyClient) -> None:
    prompt: Prompt = {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": "canvas"}},
        "save": {"class_type": "RobustSaveClassifier", "inputs": {"classifier": ["load", 0], "filename": "../evil"}},
    }
    with pytest.raises(ExecutionError, match=r"'\.\./evil' is no name for a file"):
        failing.run(prompt)
    assert not (server.base / "models" / "evil.safetensors").exists()


def test_a_missing_classifier_is_rejected_by_name(failing: ComfyClient) -> None:
    prompt = made()
    prompt["load"]["inputs"]["classifier"] = "gone.safetensors"
    with pytest.raises(RejectedError, match=r"gone\.safetensors"):
        failing.run(prompt)


def test_an_unknown_class_is_answered_with_the_nearest(failing: ComfyClient) -> None:
    with pytest.raises(ExecutionError) as caught:
        failing.run(made(target_class="chruch"))
    assert caught.value.node == MADE
    assert "church" in caught.value.exception_message


def test_a_cut_off_classifier_file_is_named(server: ComfyServer, failing: ComfyClient) -> None:
    folder = server.base / "models" / "robust_classifiers"
    folder.mkdir(exist_ok=True)
    broken = folder / "broken.safetensors"
    broken.write_bytes(bundled_classifiers()["seasons"].read_bytes()[:-1000])
    prompt = made()
    prompt["load"]["inputs"]["classifier"] = broken.name
    with pytest.raises(ExecutionError, match=r"broken\.safetensors is not a whole safetensors file"):
        failing.run(prompt)


def test_a_large_wide_picture_keeps_its_size(client: ComfyClient) -> None:
    (picture,) = pictures(client, client.run(made(grey(1600, 900))))
    assert picture.shape == (900, 1600, 3)


def test_a_classifier_of_the_user_is_listed_and_runs(server: ComfyServer, client: ComfyClient) -> None:
    place = server.base / "models" / "robust_classifiers" / "mine" / "canvas too.safetensors"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bundled_classifiers()["canvas"], place)
    name = "mine/canvas too.safetensors"
    loader = client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"]
    assert name in loader[1]["options"]
    prompt = made()
    prompt["load"]["inputs"]["classifier"] = name
    (picture,) = pictures(client, client.run(prompt))
    (bundled,) = pictures(client, client.run(made()))
    assert np.array_equal(picture, bundled)


def test_a_hundred_runs_leave_no_memory_behind(server: ComfyServer, client: ComfyClient) -> None:
    process = psutil.Process(server.process.pid)
    resident = []
    for run in range(100):
        side = (16, 48, 96)[run % 3]
        client.run(made(class_seed(1000 + run, 1, side)))
        resident.append(process.memory_info().rss)
    growth = resident[-1] / resident[9]
    print(f"resident memory after 100 runs: {growth:.3f} of that after 10 ({resident[-1] / 2**20:.0f} MiB)")  # noqa: T201
    assert growth < 1.05
