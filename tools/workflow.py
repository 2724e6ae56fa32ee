"""Workflow files: reading them, setting single inputs, and turning a saved graph into a prompt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from comfy_cli.cql.engine import Graph
from comfy_cli.workflow_ops import set_widget
from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api, is_api_format

from .client import Prompt
from .errors import ToolError


def read(path: Path) -> dict[str, Any]:
    """A workflow file, as a graph or in API format.

    Raises:
        ToolError: there is no such file, or it holds no workflow.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ToolError(f"Cannot read the workflow {path}: {error}") from None
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


def set_input(workflow: dict[str, Any], object_info: dict[str, Any], assignment: str, pictures: Path) -> None:
    """Change one input of a saved graph in place.

    Args:
        workflow: the graph to change.
        object_info: the server's node types.
        assignment: `NODE.INPUT=VALUE`, where NODE is a node's id, title or type.
        pictures: the server's input folder; where VALUE is the path of a picture, it is copied there.

    Raises:
        ToolError: there is no such node or input, several nodes match, or the value does not fit.
    """
    if is_api_format(workflow):
        raise ToolError("--set needs a workflow as the editor saves it, not one in API format.")
    target, equals, text = assignment.partition("=")
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    # Titles and names of inputs may both hold dots, so every dot may be the one between them.
    splits = [(target[:at], target[at + 1 :]) for at, letter in enumerate(target) if letter == "."]
    found = [
        (key, name)
        for address, name in splits
        for key, node in nodes.items()
        if address in (key, node.get("title"), node["type"])
    ]
    if not equals or len(found) != 1:
        listed = "\n".join(f"  {key}: {node.get('title', '')} {node['type']}" for key, node in nodes.items())
        wrong = "several nodes match; use the id" if len(found) > 1 else "write it as NODE.INPUT=VALUE"
        raise ToolError(f"--set {assignment}: {wrong}. The nodes are:\n{listed}")
    ((key, name),) = found
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if Path(text).is_file():
        shutil.copy(text, pictures)
        value = Path(text).name
    try:
        # It knows what a node's choices unfold, and what fits them.
        set_widget(workflow, Graph.from_object_info(object_info), nodes[key]["id"], name, value)
    except ValueError as error:
        raise ToolError(f"--set {assignment}: {error}") from None
