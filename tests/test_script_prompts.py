"""What a script may leave out of a prompt, and what core's nodes take of ours, in a real ComfyUI server."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.prompts import MADE, NODES, class_seed, made, pictures
from tools.client import ComfyClient
from tools.server import ComfyServer


@pytest.fixture(scope="module")
def client(server: ComfyServer) -> ComfyClient:
    return ComfyClient(server.url)


@pytest.mark.parametrize("node", NODES)
def test_a_script_may_leave_out_whatever_has_a_default(client: ComfyClient, node: str) -> None:
    wires: dict[str, object] = {"classifier": ["load", 0], "image": ["image", 0]}
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
