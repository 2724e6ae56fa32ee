"""Workflow files: reading them, turning a saved graph into a prompt, and changing single inputs of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api

from .client import Prompt, describe
from .errors import ToolError

_DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", _DYNAMIC_COMBO}


def read(path: Path) -> dict[str, Any]:
    """A workflow file, as a graph or in API format.

    Raises:
        ToolError: there is no such file, or it holds no workflow.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ToolError(f"Cannot read the workflow {path}: {error.strerror}") from None
    except ValueError as error:
        raise ToolError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ToolError(f"{path} holds no workflow.")
    return content


def convert(workflow: dict[str, Any], object_info: dict[str, Any]) -> Prompt:
    """The prompt that the front end would send for a saved graph; a prompt comes back as it is.

    Raises:
        ToolError: this is neither.
    """
    # The official client's converter: it gave what the front end gives for dynamic combos, seed controls,
    # bypassed and muted nodes, reroutes, primitives and subgraphs alike.
    try:
        prompt: Prompt = convert_ui_to_api(workflow, object_info)
    except WorkflowConversionError as error:
        raise ToolError(f"This is no workflow that ComfyUI can run: {error}") from None
    return prompt


def set_input(prompt: Prompt, object_info: dict[str, Any], assignment: str, pictures: Path) -> None:
    """Change one input of a prompt in place.

    Args:
        prompt: the prompt to change.
        object_info: the server's node types.
        assignment: `NODE.INPUT=VALUE`, where NODE is a node's id, title or type.
        pictures: the server's input folder; where VALUE is the path of a picture, it is copied there.

    Raises:
        ToolError: there is no such node or input, several nodes match, or the value does not fit.
    """
    target, equals, text = assignment.partition("=")
    if not equals or "." not in target:
        raise ToolError(f"--set {assignment}: write it as NODE.INPUT=VALUE")
    node, name = _find(prompt, target)
    entry = prompt[node]
    if entry["class_type"] not in object_info:
        raise ToolError(f"--set {assignment}: the server has no node type {entry['class_type']!r}.")
    schema = object_info[entry["class_type"]]["input"]
    widgets = {key: spec for key, spec in _complete(entry["inputs"], schema).items() if _is_widget(spec)}
    if name not in widgets:
        known = ", ".join(widgets) or "none"
        raise ToolError(f"--set {assignment}: {describe(prompt, node)} has no input {name!r} to set. It has: {known}")
    value = _parse(text, widgets[name], assignment)
    if widgets[name][1].get("image_upload") and Path(text).is_file():
        shutil.copy(text, pictures)
        value = Path(text).name
    entry["inputs"][name] = value
    # Another choice brings other inputs with it.
    valid = _complete(entry["inputs"], schema)
    for stale in [key for key in entry["inputs"] if "." in key and key not in valid]:
        del entry["inputs"][stale]


def _find(prompt: Prompt, target: str) -> tuple[str, str]:
    # Titles and names of inputs may both hold dots, so every dot may be the one between them.
    titles = {key: entry.get("_meta", {}).get("title") for key, entry in prompt.items()}
    types = {key: entry["class_type"] for key, entry in prompt.items()}
    for dot in re.finditer(r"\.", target):
        node, name = target[: dot.start()], target[dot.end() :]
        if node in prompt:
            return node, name
        for names in (titles, types):
            matches = [key for key, called in names.items() if called == node]
            if len(matches) > 1:
                raise ToolError(f"--set {target}: {node!r} could be any of {', '.join(matches)}; use the id.")
            if matches:
                return matches[0], name
    nodes = "\n".join(f"  {describe(prompt, node)}, {entry['class_type']}" for node, entry in prompt.items())
    raise ToolError(f"--set {target}: there is no such node. The workflow has:\n{nodes}")


def _complete(inputs: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> dict[str, list[Any]]:
    """All inputs of a node with the choices made in it; those without a value get their default."""
    found: dict[str, list[Any]] = {}
    for section in ("required", "optional"):
        for name, spec in schema.get(section, {}).items():
            key = prefix + name
            kind, options = spec[0], spec[1] if len(spec) > 1 else {}
            found[key] = [kind, options]
            if kind == _DYNAMIC_COMBO:
                choices = {choice["key"]: choice["inputs"] for choice in options["options"]}
                chosen = inputs.setdefault(key, next(iter(choices)))
                if chosen not in choices:
                    raise ToolError(f"{key} cannot be {chosen!r}. It can be: {', '.join(choices)}")
                found |= _complete(inputs, choices[chosen], f"{key}.")
            elif "default" in options:
                inputs.setdefault(key, options["default"])
            elif section == "required" and kind == "COMBO":
                inputs.setdefault(key, options["options"][0])
    return found


def _is_widget(spec: list[Any]) -> bool:
    return isinstance(spec[0], list) or spec[0] in _WIDGETS


def _parse(text: str, spec: list[Any], assignment: str) -> object:
    try:
        if spec[0] == "INT":
            return int(text)
        if spec[0] == "FLOAT":
            return float(text)
        if spec[0] == "BOOLEAN":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise ToolError(f"--set {assignment}: {text!r} is no {spec[0]}") from None
    return text
