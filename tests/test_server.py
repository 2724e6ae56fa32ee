"""The pack in a real ComfyUI server, used as a front end or a script uses it."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
from tools.paths import ROOT
from tools.server import ComfyServer
from tools.workflow import convert, read

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
ASSETS = sorted((ROOT / "workflows" / "assets").glob("*.png"))
TRANSLATE = "translate"


@pytest.fixture(scope="module")
def client(server: ComfyServer) -> ComfyClient:
    return ComfyClient(server.url)


def climb(image: Prompt | None = None, **inputs: object) -> Prompt:
    """A short climb; without an image it starts from a class seed of 32 x 32."""
    custom = {
        "steps": 2,
        "step_size": 1.0,
        "epsilon": 40.0,
        "norm": "l2",
        "objective": "cross-entropy",
        "final_step": 1.0,
        "jitter": 0,
        "noise": 0.0,
    }
    settings = {"target_class": "church", "preset": "custom", "seed": 0}
    settings |= {f"preset.{name}": value for name, value in custom.items()}
    return {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": "canvas"}},
        **(image or class_seed()),
        TRANSLATE: {
            "class_type": "RobustTranslate",
            "inputs": {"classifier": ["load", 0], "image": ["image", 0], **settings, **inputs},
        },
        "look": {"class_type": "PreviewImage", "inputs": {"images": [TRANSLATE, 0]}},
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


def progress(event: Event) -> tuple[float, float] | None:
    """How far the climb is, and how far it goes."""
    state = event.data["nodes"].get(TRANSLATE) if event.kind == "progress_state" else None
    return (state["value"], state["max"]) if state else None


@contextmanager
def quiet(server: ComfyServer) -> Iterator[None]:
    """Nothing in the block makes the server complain."""
    before = len(server.log_text())
    yield
    assert not complaints(server.log_text()[before:])


def complaints(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback|Warning:", line)]


def test_the_pack_loads_without_a_word(server: ComfyServer) -> None:
    log = server.log_text()
    assert re.search(r"seconds: \S*robust-synthesis", log)
    assert "IMPORT FAILED" not in log
    assert not [line for line in complaints(log) if "robust" in line.lower()]


def test_the_example_pictures_are_in_the_input_folder(server: ComfyServer) -> None:
    assert ASSETS
    for asset in ASSETS:
        assert (server.base / "input" / f"robust_{asset.name}").read_bytes() == asset.read_bytes()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_workflow_makes_its_pictures(server: ComfyServer, client: ComfyClient, path: Path) -> None:
    prompt = convert(read(path), client.object_info())
    starts = [node["inputs"]["image"] for node in prompt.values() if node["class_type"] == "LoadImage"]
    with quiet(server):
        result = client.run(prompt)
    made = [picture.shape for picture in pictures(client, result, "output")]
    if starts:
        width, height = Image.open(server.base / "input" / starts[0]).size
        assert made == [(height, width, 3)]
    else:
        assert made == [(96, 96, 3)] * 4


def test_the_same_seed_gives_the_same_picture(client: ComfyClient) -> None:
    prompt = climb(class_seed(5), **{"preset.noise": 0.5})
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


def test_a_picture_of_a_batch_is_the_picture_made_alone(client: ComfyClient) -> None:
    def generate(seed: int, batch: int) -> list[NDArray[np.int16]]:
        image = class_seed(seed, batch, 96)
        return pictures(client, client.run(climb(image, preset="generate")))

    together, (alone,) = generate(70, 8), generate(73, 1)
    difference = int(np.abs(together[3] - alone).max())
    print(f"largest difference between a picture of a batch and alone: {difference} of 255")  # noqa: T201
    assert difference <= 2
    assert np.abs(together[2] - alone).max() > 20


def test_progress_and_previews_arrive_while_it_climbs(client: ComfyClient) -> None:
    result = client.run(climb(class_seed(1, 3, 96), **{"preset.steps": 30}))
    reports = [report for report in map(progress, result.events) if report]
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


def test_cancel_stops_a_long_climb_within_a_step(client: ComfyClient) -> None:
    cancelled_at, asked = 0.0, 0.0

    def cancel(event: Event) -> None:
        nonlocal cancelled_at, asked
        report = progress(event)
        if report and report[0] >= 2 and not asked:
            cancelled_at = report[0]
            client.interrupt()
            asked = time.monotonic()

    with pytest.raises(InterruptedRunError) as caught:
        client.run(climb(class_seed(2, 16, 96), **{"preset.steps": 2000}), cancel)
    reached = max(report[0] for report in map(progress, caught.value.result.events) if report)
    seconds = time.monotonic() - asked
    print(f"cancelled at step {cancelled_at:.0f}, stopped after step {reached:.0f}, {seconds:.2f} s")  # noqa: T201
    # The news of a step, and the request, take their time on the way.
    assert reached - cancelled_at <= 5
    client.run(climb(class_seed(3)))


REJECTED = {
    "no steps": {"preset.steps": 0},
    "steps backwards": {"preset.step_size": -1.0},
}


@pytest.mark.parametrize("inputs", REJECTED.values(), ids=REJECTED)
def test_bad_settings_are_rejected_before_anything_runs(client: ComfyClient, inputs: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as caught:
        client.run(climb(**inputs))
    (name,) = inputs
    assert name in str(caught.value)
    client.run(climb())


def test_an_unknown_preset_is_answered_with_the_known_ones(client: ComfyClient) -> None:
    with pytest.raises(ExecutionError) as caught:
        client.run(climb(preset="paint"))
    assert "generate, translate, sketch, refine, custom" in caught.value.exception_message
    client.run(climb())


def test_a_missing_classifier_is_rejected_by_name(client: ComfyClient) -> None:
    prompt = climb()
    prompt["load"]["inputs"]["classifier"] = "gone.safetensors"
    with pytest.raises(RejectedError, match=r"gone\.safetensors"):
        client.run(prompt)
    client.run(climb())


def test_an_unknown_class_is_answered_with_the_nearest(client: ComfyClient) -> None:
    with pytest.raises(ExecutionError) as caught:
        client.run(climb(target_class="chruch"))
    assert caught.value.node == TRANSLATE
    assert "church" in caught.value.exception_message
    client.run(climb())


def test_a_cut_off_classifier_file_is_named(server: ComfyServer, client: ComfyClient) -> None:
    folder = server.base / "models" / "robust_classifiers"
    folder.mkdir(exist_ok=True)
    broken = folder / "broken.safetensors"
    broken.write_bytes(bundled_classifiers()["seasons"].read_bytes()[:-1000])
    prompt = climb()
    prompt["load"]["inputs"]["classifier"] = broken.name
    with pytest.raises(ExecutionError, match=r"broken\.safetensors is not a whole safetensors file"):
        client.run(prompt)
    client.run(climb())


def test_masks_that_do_not_fit_the_batch_are_counted(client: ComfyClient) -> None:
    two = grey(32, 32, 2)["image"]
    to_mask = {"class_type": "ImageToMask", "inputs": {"image": ["two", 0], "channel": "red"}}
    prompt = climb(grey(32, 32, 3), mask=["mask", 0]) | {"two": two, "mask": to_mask}
    with pytest.raises(ExecutionError, match="3 images and 2 masks"):
        client.run(prompt)
    client.run(climb())


def test_a_mask_of_another_size_is_fitted(client: ComfyClient) -> None:
    start = grey(80, 48)
    prompt = climb(start, mask=["mask", 0])
    (changed,) = pictures(client, client.run(prompt | solid_mask(37, 19, 1.0)))
    (kept,) = pictures(client, client.run(prompt | solid_mask(37, 19, 0.0)))
    assert (changed != 128).any()
    assert kept.shape == (48, 80, 3)
    assert (kept == 128).all()


def test_a_large_wide_picture_keeps_its_size(client: ComfyClient) -> None:
    (picture,) = pictures(client, client.run(climb(grey(1600, 900))))
    assert picture.shape == (900, 1600, 3)


def test_a_classifier_of_the_user_is_listed_and_runs(server: ComfyServer, client: ComfyClient) -> None:
    place = server.base / "models" / "robust_classifiers" / "mine" / "canvas too.safetensors"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bundled_classifiers()["canvas"], place)
    name = "mine/canvas too.safetensors"
    loader = client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"]
    assert name in loader[1]["options"]
    prompt = climb()
    prompt["load"]["inputs"]["classifier"] = name
    (picture,) = pictures(client, client.run(prompt))
    (bundled,) = pictures(client, client.run(climb()))
    assert np.array_equal(picture, bundled)


def test_a_hundred_runs_leave_no_memory_behind(server: ComfyServer, client: ComfyClient) -> None:
    process = psutil.Process(server.process.pid)
    resident = []
    for run in range(100):
        side = (16, 48, 96)[run % 3]
        client.run(climb(class_seed(1000 + run, 1, side)))
        resident.append(process.memory_info().rss)
    growth = resident[-1] / resident[9]
    print(f"resident memory after 100 runs: {growth:.3f} of that after 10 ({resident[-1] / 2**20:.0f} MiB)")  # noqa: T201
    assert growth < 1.05
