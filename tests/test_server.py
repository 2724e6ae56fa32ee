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
from tests.prompts import MADE, NODES, class_seed, grey, made, pictures, solid_mask
from tools.client import (
    ComfyClient,
    Event,
    ExecutionError,
    InterruptedRunError,
    Prompt,
    RejectedError,
)
from tools.server import ComfyServer

PRESETS = ("generate", "translate", "repaint", "style", "sketch", "dual", "text", "text views", "refine")


@pytest.fixture(scope="module")
def client(server: ComfyServer) -> ComfyClient:
    return ComfyClient(server.url)


@pytest.fixture
def failing(client: ComfyClient) -> Iterator[ComfyClient]:
    """For a prompt that does not run to its end; one that does must run afterwards."""
    yield client
    client.run(made())


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
    with pytest.raises(ExecutionError, match=rf"There are: {', '.join(PRESETS)}, custom\."):
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
    assert [option["key"] for option in options] == [*PRESETS, "gentle", "custom"]
    # The same prompt again, and another file.
    assert not np.array_equal(run(step_size=9.0), run())
    file.unlink()
    with pytest.raises(ExecutionError, match=rf"There are: {', '.join(PRESETS)}, custom\."):
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
