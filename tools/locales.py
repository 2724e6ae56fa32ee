"""What the languages of `locales/` lack: `python -m tools.locales` in `.venv` lists it.

ComfyUI reads `locales/LANGUAGE/nodeDefs.json`: for each node its `display_name` and `description`, and the `name` and
`tooltip` of each input, by its id, and of each output, by its number. What a preset asks for beside it is in English.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from .comfyui import locate
from .paths import ROOT

LOCALES = ROOT / "locales"
LANGUAGES = ("de", "es", "fr", "ja", "ko", "pt-BR", "ru", "zh", "zh-TW")

Names = dict[str, str]
"""Texts by the path of their key: `RobustUpsample.inputs.factor.name`."""


def english(nodes: list[Any]) -> Names:
    """The names and tooltips of nodes, inputs and outputs in their schemas, and what the nodes do."""
    names: Names = {}
    for node in nodes:
        info = node.GET_NODE_INFO_V1()
        key = info["name"]
        names |= {f"{key}.{text}": info[text] for text in ("display_name", "description")}
        groups = (entries for group, entries in info["input"].items() if group != "hidden")
        for name, (_type, *options) in (entry for entries in groups for entry in entries.items()):
            names[f"{key}.inputs.{name}.name"] = name
            if options and (tooltip := options[0].get("tooltip")):
                names[f"{key}.inputs.{name}.tooltip"] = tooltip
        names |= {f"{key}.outputs.{number}.name": name for number, name in enumerate(info["output_name"])}
        tooltips = enumerate(info["output_tooltips"] or ())
        names |= {f"{key}.outputs.{number}.tooltip": tooltip for number, tooltip in tooltips if tooltip}
    return names


def translated(language: str) -> Names:
    """The texts of a language."""
    return dict(_flat(json.loads((LOCALES / language / "nodeDefs.json").read_text("utf-8"))))


def problems(nodes: list[Any]) -> list[str]:
    """A line for each key that a language lacks, or has for nothing."""
    wanted = english(nodes)
    found: list[str] = []
    for language in LANGUAGES:
        texts = translated(language)
        found += [f"{language} lacks {key} ({wanted[key]})" for key in wanted if not texts.get(key, "").strip()]
        found += [
            f"{language}, {key}: the path or file suffix {word} is lost"
            for key, text in wanted.items()
            for word in re.findall(r"\S*[/.]\w[\w/]+", text)
            if word not in texts.get(key, word)
        ]
        found += [f"{language} has {key}, which no node has" for key in texts if key not in wanted]
    return found


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def main() -> int:
    """Print the problems."""
    sys.path.insert(0, str(locate()))
    with tempfile.TemporaryDirectory() as base:
        sys.argv = ["main.py", "--cpu", "--base-directory", base]
        import comfy.options

        comfy.options.enable_args_parsing()
        import robust_synthesis

        async def nodes() -> list[Any]:
            extension = await robust_synthesis.comfy_entrypoint()
            await extension.on_load()
            return list(await extension.get_node_list())

        found = problems(asyncio.run(nodes()))
    print("\n".join(found) or "All languages are complete.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
