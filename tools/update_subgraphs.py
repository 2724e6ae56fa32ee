"""Makes the subgraph blueprints: `python -m tools.update_subgraphs`.

A blueprint is a node for a beginner in ComfyUI's node library, with others inside. Each is built and saved by
ComfyUI's real editor, from the table below. Run this whenever a node in one changes.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from playwright.sync_api import Page

from .editor import editor_of_a_server, saved_graph
from .paths import LOGS, ROOT

SUBGRAPHS = ROOT / "subgraphs"
CATEGORY = "Robust Synthesis"
NAMESPACE = uuid.UUID("6f1d3a52-30c5-4b0e-9f0e-2d5b6a7c8e90")
"""Ids derive from it and the name, so that a blueprint that is made again is the same file."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Blueprint:
    """What is in a blueprint's node."""

    description: str
    aliases: tuple[str, ...]
    nodes: dict[str, dict[str, Any]]
    """Types of the nodes, from left to right, and the values of their widgets."""
    links: tuple[tuple[str, str, str], ...]
    """From the first output of a node to an input of another: (type, type, name)."""
    inputs: dict[str, tuple[str, ...]]
    """Names of the inputs, and the nodes that have each."""


def _on_a_photo(node: str, classifier: str, values: dict[str, Any], description: str, *aliases: str) -> Blueprint:
    return Blueprint(
        description=description,
        aliases=aliases,
        nodes={"RobustLoadClassifier": {"classifier": classifier}, node: values},
        links=(("RobustLoadClassifier", node, "classifier"),),
        inputs=dict.fromkeys(("image", "mask", "target_class"), (node,)),
    )


_FIXED = {"control_after_generate": "fixed"}
"""Nothing is random there."""
_SEED, _TRANSLATE = "RobustClassSeed", "RobustTranslate"
BLUEPRINTS = {
    "Class to Image (Robust Synthesis)": Blueprint(
        description="Makes pictures of a class that the classifier knows: choose one from the list of target_class, or "
        "mix some (sea:0.7, mountain:0.3). No prompt, no diffusion model, no download.",
        aliases=("robust generate", "text to image", "class to image"),
        nodes={
            "RobustLoadClassifier": {"classifier": "canvas-ensemble"},
            _SEED: {"target_class": "tulip", "width": 192, "height": 192, "batch_size": 1, "seed": 102},
            _TRANSLATE: {"target_class": "tulip", "preset": "generate", **_FIXED},
        },
        links=(
            ("RobustLoadClassifier", _SEED, "classifier"),
            ("RobustLoadClassifier", _TRANSLATE, "classifier"),
            (_SEED, _TRANSLATE, "image"),
        ),
        inputs={
            "target_class": (_SEED, _TRANSLATE),
            "width": (_SEED,),
            "height": (_SEED,),
            "batch_size": (_SEED,),
            "seed": (_SEED,),
        },
    ),
    "Photo to Style (Robust Synthesis)": _on_a_photo(
        _TRANSLATE,
        "painters",
        {"target_class": "van gogh", "preset": "style", **_FIXED},
        "Turns a photo into a painting: choose a style from the list of target_class. With a mask only what is painted "
        "there changes.",
        "style transfer",
        "robust style",
    ),
    "Object to Object (Robust Synthesis)": _on_a_photo(
        _TRANSLATE,
        "canvas",
        {"target_class": "zebra", "preset": "repaint", **_FIXED},
        "Turns one thing in a photo into another, a horse into a zebra: paint a mask over it, and choose from the list "
        "of target_class. Outside of the mask every pixel stays as it is.",
        "horse to zebra",
        "robust translate",
    ),
    "Fill (Robust Synthesis)": _on_a_photo(
        "RobustInpaint",
        "canvas",
        {"target_class": "", "preset": "inpaint", **_FIXED},
        "Fills what the mask covers from what is around it. target_class says what the photo shows; empty: the "
        "classifier guesses. Outside of the mask every pixel stays as it is.",
        "robust inpaint",
        "inpainting",
        "remove object",
    ),
}
_BUILD = """([name, blueprint]) => {
    const widgetOf = (node, name) => node.widgets.find((widget) => widget.name === name)
    app.graph.clear()
    const nodes = Object.fromEntries(Object.entries(blueprint.nodes).map(([type, values], index) => {
        const node = LiteGraph.createNode(type)
        app.graph.add(node)
        node.pos = [index * 340, 0]
        for (const [key, value] of Object.entries(values)) widgetOf(node, key).value = value
        return [type, node]
    }))
    const slotOf = (node, name) => node.inputs.findIndex((input) => input.name === name)
    for (const [from, to, name] of blueprint.links) nodes[from].connect(0, nodes[to], slotOf(nodes[to], name))
    const { subgraph, node } = app.graph.convertToSubgraph(new Set(Object.values(nodes)))
    // The editor promotes every seed.
    for (const input of [...subgraph.inputs]) subgraph.removeInput(input)
    const inside = (type) => subgraph.nodes.find((one) => one.type === type)
    for (const [key, types] of Object.entries(blueprint.inputs)) {
        const slots = types.map((type) => [inside(type).inputs[slotOf(inside(type), key)], inside(type)])
        const input = subgraph.addInput(key, slots[0][0].type)
        for (const [slot, owner] of slots) input.connect(slot, owner)
        const [inner, outer] = [inside(types[0]), node].map((one) => widgetOf(one, key))
        if (inner) outer.value = inner.value
    }
    const last = inside(Object.keys(blueprint.nodes).at(-1))
    subgraph.addOutput("image", "IMAGE").connect(last.outputs[0], last)
    subgraph.inputNode.pos = [-220, 0]
    subgraph.outputNode.pos = [subgraph.nodes.length * 340, 0]
    subgraph.name = node.title = name
    node.pos = [0, 0]
    node.setSize([300, node.computeSize()[1]])
}"""


def make(page: Page, name: str) -> None:
    """Build a blueprint in the editor, and save it."""
    blueprint = BLUEPRINTS[name]
    page.evaluate(_BUILD, [name, asdict(blueprint)])
    graph = saved_graph(page)
    (subgraph,) = graph["definitions"]["subgraphs"]
    subgraph |= {"category": CATEGORY, "description": blueprint.description}
    graph["extra"] = {"BlueprintSearchAliases": list(blueprint.aliases)}
    text = json.dumps(graph, indent=2, ensure_ascii=False) + "\n"
    found = list(dict.fromkeys(_UUID.findall(text)))
    fixed = {old: str(uuid.uuid5(NAMESPACE, f"{name} {number}")) for number, old in enumerate(found)}
    text = _UUID.sub(lambda match: fixed[match[0]], text)
    (SUBGRAPHS / f"{name}.json").write_text(text, "utf-8", newline="\n")


def main() -> None:
    SUBGRAPHS.mkdir(exist_ok=True)
    with editor_of_a_server(LOGS / "update_subgraphs.log") as (page, _):
        for name in BLUEPRINTS:
            make(page, name)
            print(SUBGRAPHS / f"{name}.json", flush=True)


if __name__ == "__main__":
    main()
