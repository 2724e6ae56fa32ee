"""Presets of the nodes: the user's own, and what the help pages say of all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from robust_synthesis.synthesis import (
    InpaintSettings,
    PaintSettings,
    TranslateSettings,
    UpsampleSettings,
    presets,
    read_presets,
)
from robust_synthesis.synthesis.settings import OperationSettings

DOCS = Path(__file__).resolve().parent.parent / "web" / "docs"
OPERATIONS: dict[str, type[OperationSettings]] = {
    "RobustTranslate": TranslateSettings,
    "RobustInpaint": InpaintSettings,
    "RobustUpsample": UpsampleSettings,
    "RobustActivationPaint": PaintSettings,
}
MINE = {
    "steps": 3,
    "step_size": 2.0,
    "norm": "free",
    "objective": "logit",
    "inputs": ["fill", "feather"],
    "fill": "noise",
    "feather": 4,
    "summary": "a little of it",
}


@pytest.fixture
def folder(pack: ModuleType) -> Iterator[Path]:
    """The user's folder of presets, empty."""
    assert pack
    from robust_synthesis.nodes.comfy.folders import presets_folder

    folder = presets_folder()
    folder.mkdir(parents=True)
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def choice(pack: ModuleType, node_id: str = "RobustInpaint") -> dict[str, Any]:
    spec: dict[str, Any] = getattr(pack, node_id).GET_NODE_INFO_V1()["input"]["optional"]["preset"][1]
    return spec


def test_a_users_presets_come_after_the_built_in_ones(pack: ModuleType, folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({"inpaint": {"mine": MINE}}), encoding="utf-8")
    spec = choice(pack)
    assert [option["key"] for option in spec["options"]] == ["inpaint", "paper", "mine", "custom"]
    assert "mine: a little of it. custom:" in spec["tooltip"]
    inputs = spec["options"][2]["inputs"]["optional"]
    assert {name: options["default"] for name, (_, options) in inputs.items()} == {"fill": "noise", "feather": 4}
    assert [option["key"] for option in choice(pack, "RobustTranslate")["options"]][-2:] == ["refine", "custom"]


def test_a_file_that_was_changed_is_read_again_and_runs_the_node_again(pack: ModuleType, folder: Path) -> None:
    file, node = folder / "a.json", pack.RobustInpaint
    marks = []
    for steps in (3, 30):
        file.write_text(json.dumps({"inpaint": {"mine": MINE | {"steps": steps}}}), encoding="utf-8")
        marks += [node.fingerprint_inputs(preset={"preset": "mine"}, seed=0) for _ in range(2)]
    assert marks[0] == marks[1] != marks[2] == marks[3]


BROKEN = ["{", "[]", '{"inpaint": 3}', '{"inpaint": {"mine": {"steps": 3}}}']
# No widget sets it.
NO_INPUT = json.dumps({"inpaint": {"theirs": MINE | {"decorrelation": 0.5, "inputs": ["decorrelation"]}}})
NOT_NAMES = json.dumps({"inpaint": {"theirs": MINE | {"inputs": [["fill"]]}}})


@pytest.mark.parametrize("content", [*BROKEN, NO_INPUT, NOT_NAMES])
def test_a_broken_file_is_named_in_the_log_once_and_left_out(
    pack: ModuleType, folder: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (folder / "broken.json").write_text(content, encoding="utf-8")
    (folder / "sound.json").write_text(json.dumps({"inpaint": {"mine": MINE}}), encoding="utf-8")
    for _ in range(3):
        assert [option["key"] for option in choice(pack)["options"]] == ["inpaint", "paper", "mine", "custom"]
    assert caplog.text.count("broken.json") == 1


@pytest.mark.parametrize("node_id", OPERATIONS)
def test_a_help_page_tells_every_preset_with_its_own_numbers(node_id: str) -> None:
    page = (DOCS / f"{node_id}.md").read_text("utf-8")
    table = page.split("## Presets\n\n")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, re.MULTILINE))
    listed = {name: preset for name, preset in presets(OPERATIONS[node_id]).items() if not preset.hidden}
    assert list(rows) == [*listed, "custom"]
    for name, preset in listed.items():
        values = preset.settings.values()
        told = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", rows[name])}
        assert values["steps"] in told
        assert told <= {value for value in values.values() if not isinstance(value, str)}, rows[name]
        if values.get("detail_steps"):
            assert values["detail_steps"] in told


def test_the_help_pages_example_of_a_preset_works(tmp_path: Path) -> None:
    page = (DOCS / "RobustTranslate.md").read_text("utf-8")
    (tmp_path / "mine.json").write_text(page.split("```json\n")[1].split("```")[0], encoding="utf-8")
    assert [*read_presets(tmp_path, TranslateSettings)] == ["gentle"]


def test_a_step_over_many_views_is_one_frame_of_a_film(pack: ModuleType, folder: Path) -> None:
    entry = {"steps": 3, "step_size": 2.0, "objective": "logit", "views": 4}
    (folder / "a.json").write_text(json.dumps({"translate": {"views": entry}}), encoding="utf-8")
    classifier = pack.RobustLoadClassifier.execute("canvas").result[0]
    image = torch.rand(1, 40, 40, 3)
    node = pack.RobustTranslate.execute(classifier, image, "sea", preset={"preset": "views"}, animate=1)
    made, frames, *_ = node.result
    assert len(frames) == 3 + 1
    torch.testing.assert_close(frames[-1:], made)
    assert not torch.equal(frames[1], frames[0])
