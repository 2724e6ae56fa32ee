"""Prompts for a real ComfyUI server: one node, a start and a mask for it, and the pictures that come of them."""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.client import ComfyClient, Prompt, Result

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


def listed_classes(url: str, **asked: str) -> dict[str, Any]:
    """What the server at `url` answers the editor's list of classes."""
    body = urllib.parse.urlencode(asked).encode()
    with urllib.request.urlopen(f"{url}/robust_synthesis/classes", body) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


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
