"""The translations of names: every language has all of them and no others, and ComfyUI serves them to the editor."""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.asynchronous import run_async
from tools.locales import LANGUAGES, LOCALES, problems
from tools.paths import ROOT
from tools.server import ComfyServer

PAGES = sorted((ROOT / "web" / "docs").glob("*.md"))
WITH_PAGES = ("ja", "zh")
# What a translation leaves as it is: numbers, code, and the targets of links and images.
KEPT = r"\d+(?:\.\d+)?|`[^`\n]+`|\]\([^)]+\)"
LINES = r"^(#+ |\||[-*] |\d+\. )"


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize("language", WITH_PAGES)
def test_a_translated_help_page_says_as_much(language: str, page: Path) -> None:
    english = page.read_text("utf-8")
    translated = (page.with_suffix("") / f"{language}.md").read_text("utf-8")
    for pattern in (KEPT, LINES):
        found, wanted = (Counter(re.findall(pattern, text, re.MULTILINE)) for text in (translated, english))
        assert found == wanted
