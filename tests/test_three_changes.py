"""The three changes that have to stay easy, in a copy of the pack: an operation, an architecture and a preset.

Each is added by the files and lines below and by nothing else, and all are used in a real ComfyUI server.
"""

from __future__ import annotations

import io
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tools.client import ComfyClient
from tools.paths import ROOT
from tools.server import ComfyServer

# An operation: one file of a task, one of a node, one line that registers it, one help page, its preset.
TASK = '''
from dataclasses import dataclass
from typing import ClassVar

from ..coarse_to_fine import coarse_to_fine, plan_levels
from ..objectives import class_loss
from ..settings import DetailSettings, OperationSettings
from ..views import whole


@dataclass(frozen=True, kw_only=True)
class ForgetSettings(OperationSettings):
    operation: ClassVar[str] = "forget"


def forget_plan(input_size, height, width, settings):
    return plan_levels(whole(height, width, input_size), settings.ascent, DetailSettings(), input_size)


def forget(classifier, images, mix, settings, callback=None):
    """Images that show less of a class."""
    plan = forget_plan(classifier.input_size, *images.shape[2:], settings)
    weights = -mix.vector(len(classifier.labels)).to(images)
    return coarse_to_fine(images, plan, classifier, lambda see: class_loss(see, weights, "logit"), callback=callback)
'''
NODE = """
from comfy_api.latest import io

from ..synthesis.presets import preset
from ..synthesis.tasks.forget import ForgetSettings, forget, forget_plan
from .comfy.execution import run_batch
from .presets import PresetNode, preset_input, read_preset
from .sockets import CATEGORY, classifier_input, read_class, target_class_input
from .tensors import images_from_comfy, images_to_comfy


class RobustForget(PresetNode):
    CUSTOM_START = preset(ForgetSettings, "forget").settings

    @classmethod
    def define_schema(cls):
        inputs = [classifier_input(), io.Image.Input("image"), target_class_input("The class.")]
        inputs.append(preset_input(cls.CUSTOM_START))
        return io.Schema("RobustForget", "Forget", CATEGORY, inputs=inputs, outputs=[io.Image.Output("image")])

    @classmethod
    def execute(cls, classifier, image, target_class, preset=None):
        model, images = classifier.model, images_from_comfy(image)
        settings = read_preset(preset, cls.CUSTOM_START, {}).settings
        mix = read_class(target_class, model, may_guess=False)
        plan = forget_plan(model.input_size, *images.shape[2:], settings)
        made = run_batch(classifier, images, lambda x, _, report: forget(model, x, mix, settings, report), plan=plan)
        return io.NodeOutput(images_to_comfy(made))
"""
REGISTRY_LINE = "from .forget import RobustForget as RobustForget\n"
HELP_PAGE = "# Forget\n\nShows less of a class.\n"

# An architecture: one file.
ARCHITECTURE = """
from torch import nn

from ..network import ClassifierNetwork
from ._entry import Architecture


class Patches(ClassifierNetwork):
    def __init__(self, num_classes):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, num_classes)

    def forward_features(self, x, fake_relu=False):
        return self.patches(x)

    def forward_head(self, features, pre_logits=False):
        pooled = self.norm(features.mean((2, 3))).to(self.fc.weight.dtype)
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self):
        return self.fc


ARCHITECTURES = [Architecture("patches", Patches, input_size=64, mean=(0, 0, 0), std=(1, 1, 1))]
"""

# Presets: one entry in the file of the pack, and one in a file of the user.
FORGET = {"forget": {"steps": 3, "step_size": 4.0}}
SHIPPED = {"summary": "two steps", "steps": 2, "step_size": 8.0, "norm": "none", "objective": "logit"}
OWN = {"summary": "four steps", "steps": 4, "step_size": 3.0, "norm": "l2", "epsilon": 9.0, "objective": "margin"}


def add_all(pack: Path) -> None:
    """The edits of the three changes, those of the user's files left out."""
    (pack / "synthesis" / "tasks" / "forget.py").write_text(TASK)
    (pack / "nodes" / "forget.py").write_text(NODE)
    registry = pack / "nodes" / "__init__.py"
    first = "from .inpaint import"
    assert registry.read_text("utf-8").count(first) == 1
    registry.write_text(registry.read_text("utf-8").replace(first, REGISTRY_LINE + first), "utf-8")
    (pack / "web" / "docs" / "RobustForget.md").write_text(HELP_PAGE)
    (pack / "models" / "architectures" / "patches.py").write_text(ARCHITECTURE)
    presets = pack / "synthesis" / "presets.json"
    entries = json.loads(presets.read_text("utf-8"))
    entries["translate"]["two steps"] = SHIPPED
    presets.write_text(json.dumps({**entries, "forget": FORGET}), "utf-8")


@pytest.fixture(scope="module")
def changed(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:  # noqa: ARG001
    """A server with the changed copy, a preset of the user and a checkpoint of the new architecture."""
    folder = tmp_path_factory.mktemp("changed")
    pack, base = folder / "pack", folder / "base"
    for name in ("models", "nodes", "synthesis", "training", "web", "workflows"):
        shutil.copytree(ROOT / name, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", pack)
    add_all(pack)
    own = base / "user" / "default" / "robust_synthesis" / "presets"
    own.mkdir(parents=True)
    (own / "mine.json").write_text(json.dumps({"translate": {"mine": OWN}}))
    classifiers = base / "models" / "robust_classifiers" / "new"
    classifiers.mkdir(parents=True)
    shapes = {"patches.weight": (8, 3, 4, 4), "patches.bias": (8,), "norm.weight": (8,), "norm.bias": (8,)}
    random = torch.Generator().manual_seed(0)
    shapes |= {"fc.weight": (3, 8), "fc.bias": (3,)}
    torch.save({name: torch.randn(shape, generator=random) for name, shape in shapes.items()}, classifiers / "net.pt")
    (classifiers / "labels.txt").write_text("x\ny\nz")
    with ComfyServer.start(base, base / "server.log", pack=pack) as running:
        yield running


def translate(preset: str, **settings: Any) -> dict[str, Any]:
    values = {"preset": preset, **{f"preset.{key}": value for key, value in settings.items() if key != "summary"}}
    return {"class_type": "RobustTranslate", "inputs": {"target_class": "y", "seed": 0, **values}}


def test_an_operation_an_architecture_and_presets_are_added_and_used(changed: ComfyServer) -> None:
    client = ComfyClient(changed.url)
    rest = {"final_step": 1.0, "jitter": 0, "noise": 0.0, "detail_steps": 0}
    makers: dict[str, dict[str, Any]] = {
        "shipped": translate("two steps"),
        "shipped by hand": translate("custom", **{"epsilon": 1.0, **SHIPPED, **rest}),
        "own": translate("mine"),
        "own by hand": translate("custom", **{**OWN, **rest}),
        "forgotten": {"class_type": "RobustForget", "inputs": {"target_class": "y", "preset": "forget"}},
    }
    prompt: dict[str, dict[str, Any]] = {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": "new/net.pt"}},
        "grey": {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 1, "color": 0x808080}},
    }
    for name, node in makers.items():
        node["inputs"] |= {"classifier": ["load", 0], "image": ["grey", 0]}
        prompt[name] = node
        prompt[f"look {name}"] = {"class_type": "PreviewImage", "inputs": {"images": [name, 0]}}

    result = client.run(prompt)

    def picture(name: str) -> NDArray[np.int16]:
        (file,) = result.files(f"look {name}")
        return np.asarray(Image.open(io.BytesIO(client.view(file)))).astype(np.int16)

    made = {name: picture(name) for name in makers}
    assert {pixels.shape for pixels in made.values()} == {(64, 96, 3)}
    assert any("patches" in text for text in result.messages("load"))
    assert (made["shipped"] == made["shipped by hand"]).all()
    assert (made["own"] == made["own by hand"]).all()
    for first, second in (("shipped", "own"), ("shipped", "forgotten"), ("own", "forgotten")):
        assert np.abs(made[first] - made[second]).max() > 8
    with urllib.request.urlopen(f"{changed.url}/extensions/robust-synthesis/docs/RobustForget.md") as answer:
        assert answer.read().decode() == HELP_PAGE
