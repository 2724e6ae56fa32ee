"""The translations of names: every language has all of them and no others, and ComfyUI serves them to the editor."""

from __future__ import annotations

import json
import urllib.request
from types import ModuleType

from tests.asynchronous import run_async
from tools.locales import LANGUAGES, LOCALES, problems
from tools.server import ComfyServer


def test_every_language_has_every_name_and_nothing_stale(pack: ModuleType) -> None:
    nodes = run_async(pack.RobustSynthesis().get_node_list())
    assert sorted(path.name for path in LOCALES.iterdir()) == sorted(LANGUAGES)
    found = problems(list(nodes))
    assert not found, "\n".join(["`python -m tools.locales` lists what to translate:", *found])


def test_comfyui_serves_the_names(server: ComfyServer) -> None:
    with urllib.request.urlopen(f"{server.url}/i18n") as answer:
        served = json.load(answer)
    for language in LANGUAGES:
        ours = json.loads((LOCALES / language / "nodeDefs.json").read_text("utf-8"))
        assert served[language]["nodeDefs"].items() >= ours.items()
