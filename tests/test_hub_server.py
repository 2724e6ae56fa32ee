"""Choosing a classifier of the Hub in the real ComfyUI: download, conversion, generation, and failures."""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.checkpoint_layouts import write_robustness_checkpoint
from tests.hub_server import HubServer
from tools.client import ComfyClient, Event, ExecutionError, InterruptedRunError, Prompt, RejectedError
from tools.server import ComfyServer

# The catalogue has no hash of these files, so the Hub's is used.
LARGE, SMALL = "resnet50_l2_eps0.5", "shufflenet_l2_eps3"
HASHED = "resnet50_l2_eps3"
STALE, COPIED = "shufflenet_l2_eps0", "mobilenet_l2_eps3"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A local Hub with random weights in the layout of the real ones."""
    folder = tmp_path_factory.mktemp("hub")
    write_robustness_checkpoint(folder / "large.ckpt", "resnet50", legacy=True)
    write_robustness_checkpoint(folder / "small.ckpt", "shufflenet_v2_x1_0", legacy=True)
    files = {
        f"{LARGE}.ckpt": (folder / "large.ckpt").read_bytes(),
        f"{SMALL}.ckpt": (folder / "small.ckpt").read_bytes(),
        f"{STALE}.ckpt": (folder / "small.ckpt").read_bytes(),
        f"{COPIED}.ckpt": (folder / "small.ckpt").read_bytes(),
        f"{HASHED}.ckpt": b"not what it was when its hash was written down",
    }
    with HubServer(files) as running:
        yield running


@pytest.fixture(scope="module")
def hub_comfyui(comfyui: Path, hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:  # noqa: ARG001
    base = tmp_path_factory.mktemp("comfyui-with-hub")
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(base / "hf")}
    with ComfyServer.start(base, base / "server.log", environment=environment) as running:
        yield running


@pytest.fixture
def client(hub_comfyui: ComfyServer) -> ComfyClient:
    return ComfyClient(hub_comfyui.url)


@pytest.fixture
def models(hub_comfyui: ComfyServer) -> Path:
    return hub_comfyui.base / "models" / "robust_classifiers"


def generate(classifier: str, target: str, seed: int = 0) -> Prompt:
    """Build the simplest prompt: the nodes' defaults, and one class."""
    start = {"target_class": target, "width": 0, "height": 0, "batch_size": 1, "seed": seed, "method": "automatic"}
    ascent = {"target_class": target, "preset": "generate", "seed": 0}
    return {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": classifier}},
        "start": {"class_type": "RobustClassSeed", "inputs": {"classifier": ["load", 0], **start}},
        "made": {
            "class_type": "RobustTranslate",
            "inputs": {"classifier": ["load", 0], "image": ["start", 0], **ascent},
        },
        "look": {"class_type": "PreviewImage", "inputs": {"images": ["made", 0]}},
    }


def notes(server: ComfyServer) -> Any:
    with urllib.request.urlopen(f"{server.url}/robust_synthesis/classifiers") as response:
        return json.load(response)


def class_list(server: ComfyServer, classifier: str) -> Any:
    form = urllib.parse.urlencode({"classifier": classifier}).encode()
    with urllib.request.urlopen(f"{server.url}/robust_synthesis/classes", form) as response:
        return json.load(response)


def test_a_classifier_of_the_hub_is_downloaded_converted_and_generates(
    hub: HubServer, hub_comfyui: ComfyServer, client: ComfyClient, models: Path
) -> None:
    options = client.object_info()["RobustLoadClassifier"]["input"]["required"]["classifier"][1]["options"]
    assert options[:6] == ["canvas", "canvas-bold", "canvas-ensemble", "painters", "seasons", HASHED]
    assert notes(hub_comfyui)[LARGE] == "on the Hub, 205 MB, not here yet"
    names = class_list(hub_comfyui, LARGE)["classes"]
    assert len(names) == 1000
    assert names[0] == ["tench", "Tinca tinca"]
    # Listing the classes downloads nothing.
    assert not hub.requests

    result = client.run(generate(LARGE, "Granny Smith:0.7, macaw:0.3"))

    (file,) = result.images("temp")
    assert Image.open(io.BytesIO(client.view(file))).size == (224, 224)
    status = result.messages("load")
    assert f"{LARGE}.ckpt is a resnet50 with 1000 classes, ImageNet's 1000 class names." in status[-1]
    assert f"Converted to {LARGE}.safetensors: 51 MB instead of 205" in status[-1]
    assert "no seeds for this class" in result.messages("start")[0]
    states = [event.data["nodes"].get("load") for event in result.events if event.kind == "progress_state"]
    values = [state["value"] for state in states if state and state["max"] > 1e6]
    assert values == sorted(values)
    assert values[-1] == len(hub.files[f"{LARGE}.ckpt"])
    assert sorted(path.name for path in models.glob("*.*") if path.is_file()) == [
        f"{LARGE}.ckpt",
        f"{LARGE}.safetensors",
    ]
    assert notes(hub_comfyui)[LARGE] == "from the Hub, 51 MB, here"

    # From now on neither the Hub nor the pickle is needed.
    asked = len(hub.requests)
    (models / f"{LARGE}.ckpt").unlink()
    client.free()
    client.run(generate(LARGE, "zebra", seed=1))
    assert len(hub.requests) == asked
    assert "no class 'zzebra'. Did you mean zebra" in failure(client, generate(LARGE, "zzebra"))


def failure(client: ComfyClient, prompt: Prompt) -> str:
    with pytest.raises(ExecutionError) as caught:
        client.run(prompt)
    # The server still works.
    client.run(generate("canvas", "church", seed=abs(hash(str(prompt))) % 1000))
    message: str = caught.value.exception_message
    return message


def test_a_wrong_file_is_not_kept(hub: HubServer, client: ComfyClient, models: Path) -> None:
    message = failure(client, generate(HASHED, "zebra"))
    assert "SHA-256 differs" in message
    assert f"{hub.url}/madrylab/robust-imagenet-models/resolve/" in message
    assert str(models) in message
    assert not [path for path in models.glob(f"**/{HASHED}*") if path.suffix != ".lock"]


def test_a_file_missing_on_the_hub_is_named(client: ComfyClient, models: Path) -> None:
    message = failure(client, generate("resnet18_l2_eps5", "zebra"))
    assert "which HF_ENDPOINT names, has no such file (404)" in message
    assert "by hand" in message
    assert not list(models.glob("resnet18*"))


def test_a_cancelled_download_is_resumed(hub: HubServer, client: ComfyClient, models: Path) -> None:
    hub.faults.hold = 0.5
    size, asked = len(hub.files[f"{SMALL}.ckpt"]), False

    def cancel(event: Event) -> None:
        nonlocal asked
        state = event.data["nodes"].get("load") if event.kind == "progress_state" else None
        if state and state["max"] > 1e6 and state["value"] > 0.45 * size and not asked:
            asked = True
            client.interrupt()

    try:
        with pytest.raises(InterruptedRunError):
            client.run(generate(SMALL, "zebra"), cancel)
    finally:
        hub.go_on()
    assert not (models / f"{SMALL}.ckpt").exists()
    client.run(generate(SMALL, "zebra"))
    assert hub.downloads[-1].range
    assert int(hub.downloads[-1].range.removeprefix("bytes=").split("-")[0]) > 0.3 * size
    assert (models / f"{SMALL}.safetensors").is_file()


def test_a_users_own_checkpoint_is_used(client: ComfyClient, models: Path, hub_comfyui: ComfyServer) -> None:
    (models / "mine").mkdir(parents=True, exist_ok=True)
    write_robustness_checkpoint(models / "mine" / "H2Z.pt", "cifar_resnet18", 2)
    assert class_list(hub_comfyui, "mine/H2Z.pt")["message"].startswith("Run once")
    client.run(generate("mine/H2Z.pt", "zebra"))
    assert class_list(hub_comfyui, "mine/H2Z.pt")["classes"] == [["horse"], ["zebra"]]
    # A workflow keeps the name it was saved with.
    (models / "mine" / "H2Z.pt").unlink()
    client.free()
    client.run(generate("mine/H2Z.pt", "horse", seed=3))


def test_a_pickle_that_would_run_code_is_refused(client: ComfyClient, models: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    models.mkdir(parents=True, exist_ok=True)
    (models / "evil.pt").write_bytes(f"cposix\nsystem\n(Vtouch {marker}\ntR.".encode())
    message = failure(client, generate("evil.pt", "zebra"))
    assert "evil.pt is refused" in message
    assert "posix.system" in message
    assert not marker.exists()


def test_a_refused_token_is_told_on_the_node(
    hub: HubServer, client: ComfyClient, models: Path, hub_comfyui: ComfyServer
) -> None:
    hub.faults.refuses_tokens = 401
    # As `hf auth login` leaves it.
    token = hub_comfyui.base / "hf" / "token"
    token.parent.mkdir(exist_ok=True)
    token.write_text("hf_expired")
    try:
        result = client.run(generate(STALE, "zebra"))
    finally:
        token.unlink()
        hub.faults.refuses_tokens = None
    assert "refused your access token (401), which may have expired" in result.messages("load")[-1]
    assert (models / f"{STALE}.safetensors").is_file()


def test_a_copy_in_a_folder_of_the_user_is_used(hub: HubServer, client: ComfyClient, models: Path) -> None:
    copy = models / "share" / f"{COPIED}.ckpt"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(hub.files[copy.name])
    hub.requests.clear()
    result = client.run(generate(COPIED, "zebra"))
    assert f"{COPIED}.ckpt is at {copy} already, and was not downloaded again." in result.messages("load")[-1]
    assert hub.downloads == []
    assert not (models / copy.name).exists()


def test_a_sidecar_is_told_on_the_node_and_wrong_inputs_before_anything_runs(client: ComfyClient, models: Path) -> None:
    path = models / "given" / "mine.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_robustness_checkpoint(path, "cifar_resnet18", 2)
    path.with_suffix(".json").write_text('{"input_size": 64, "labels": ["horse", "zebra"]}')
    result = client.run(generate("given/mine.pt", "zebra"))
    assert "mine.json gives its input size 64; 2 class names." in result.messages("load")[-1]
    (file,) = result.images("temp")
    assert Image.open(io.BytesIO(client.view(file))).size == (64, 64)

    # The same prompt again, and another sidecar.
    path.with_suffix(".json").write_text('{"input_size": 48, "labels": ["horse", "zebra"]}')
    (file,) = client.run(generate("given/mine.pt", "zebra")).images("temp")
    assert Image.open(io.BytesIO(client.view(file))).size == (48, 48)

    prompt = generate("given/mine.pt", "zebra")
    prompt["load"]["inputs"]["input_size"] = 40
    (file,) = client.run(prompt).images("temp")
    assert Image.open(io.BytesIO(client.view(file))).size == (40, 40)
    prompt["load"]["inputs"]["mean"] = "123.675, 116.28, 103.53"
    with pytest.raises(RejectedError, match=r"from 0 to 255, and here .* write 0\.485, 0\.456, 0\.406"):
        client.run(prompt)
