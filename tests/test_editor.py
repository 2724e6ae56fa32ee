"""The pack in ComfyUI's real editor, in headless Chromium, with both of its node renderers."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tools.client import ComfyClient
from tools.editor import saved_graph
from tools.paths import ROOT
from tools.server import ComfyServer

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
LARGE_EXAMPLES = {"everything", "own-seeds", "paint", "refine"}
NODES = {
    "RobustLoadClassifier": "Load Robust Classifier",
    "RobustClassSeed": "Class-Conditional Seed",
    "RobustTranslate": "Translate to Class",
    "RobustInpaint": "Masked Inpaint",
    "RobustUpsample": "Upsample",
    "RobustCanvas": "Live Canvas",
    "RobustActivationPaint": "Activation Paint",
    "RobustFeatures": "Find Features",
    "RobustClassify": "Classify Image",
    "RobustClassMask": "Class Mask",
    "RobustTextClasses": "Classes from Text",
    "RobustFitSeeds": "Fit Class Seeds",
    "RobustSaveClassifier": "Save Robust Classifier",
    "RobustCombineClassifiers": "Combine Classifiers",
    "RobustTrainClassifier": "Train Robust Classifier",
}
LENGTHS = {"steps", "step_size", "epsilon", "norm", "final_step", "jitter"}
MASKED = {"feather", "penalty", "detail_steps"}
# The widgets that a choice of preset unfolds.
SETTINGS: dict[str, dict[str, set[str]]] = {
    "RobustTranslate": {"generate": set(), "sketch": set(), "custom": LENGTHS | {"objective", "noise", "detail_steps"}},
    "RobustInpaint": {"inpaint": {"fill"}, "paper": set(), "custom": LENGTHS | MASKED | {"objective", "fill"}},
    "RobustUpsample": {"upsample": set(), "paper": set(), "custom": LENGTHS | {"objective", "consistent"}},
    "RobustActivationPaint": {"paint": set(), "paper": set(), "custom": LENGTHS | MASKED},
}


def load(page: Page, graph: dict[str, Any]) -> None:
    page.evaluate("(graph) => app.loadGraphData(graph)", graph)
    page.wait_for_function("(count) => app.graph.nodes.length === count", arg=len(graph["nodes"]))


def test_the_nodes_are_registered_under_their_names(page: Page) -> None:
    titles = page.evaluate("(types) => types.map((type) => LiteGraph.registered_node_types[type]?.title)", list(NODES))
    assert titles == list(NODES.values())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Translate to Class", "Translate to Class"),
        ("sketch to image", "Translate to Class"),
        ("robust inpaint", "Masked Inpaint"),
        ("outpaint", "Masked Inpaint"),
        ("robust upscale", "Upsample"),
        ("feature painting", "Activation Paint"),
        ("own seeds", "Fit Class Seeds"),
    ],
)
def test_the_node_search_finds_a_node(page: Page, words: str, found: str) -> None:
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    expect(page.get_by_role("listbox").first).to_be_visible()
    page.keyboard.type(words)
    page.get_by_text(found, exact=True).first.wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_workflow_is_saved_as_it_was_loaded(page: Page, path: Path) -> None:
    graph = json.loads(path.read_text("utf-8"))
    load(page, graph)
    assert page.evaluate("() => app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type)") == []
    again = saved_graph(page)
    assert summary(again) == summary(graph)
    assert sorted(again["links"]) == sorted(graph["links"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_opens_large_enough_to_be_read(page: Page, path: Path) -> None:
    usual = page.viewport_size
    assert usual is not None
    page.set_viewport_size({"width": 1440, "height": 900})
    # So that the graph's own zoom is not this one.
    page.evaluate("() => { app.canvas.ds.scale = 0.1 }")
    load(page, json.loads(path.read_text("utf-8")))
    page.wait_for_function("() => app.canvas.ds.scale > 0.1")
    assert page.evaluate("() => app.canvas.ds.scale") >= (0.55 if path.stem in LARGE_EXAMPLES else 0.7)
    # Below a threshold the classic renderer draws no text.
    assert not page.evaluate("() => app.canvas.low_quality")
    page.set_viewport_size(usual)


def summary(graph: dict[str, Any]) -> dict[int, list[Any]]:
    nodes = graph["nodes"]
    return {node["id"]: [node["type"], node.get("title"), node.get("widgets_values") or []] for node in nodes}


@pytest.mark.parametrize("node", SETTINGS)
def test_only_the_custom_preset_shows_settings(page: Page, node: str) -> None:
    names = """([type, preset]) => {
        const node = app.graph.nodes.find((node) => node.type === type)
            ?? app.graph.add(LiteGraph.createNode(type))
        node.widgets.find((widget) => widget.name === "preset").value = preset
        return node.widgets.map((widget) => widget.name)
    }"""
    page.evaluate("() => app.graph.clear()")
    for preset, unfolded in SETTINGS[node].items():
        shown = page.evaluate(names, [node, preset])
        assert {name for name in shown if name.startswith("preset.")} == {f"preset.{name}" for name in unfolded}


def test_a_workflow_keeps_the_old_name_of_no_limit(page: Page) -> None:
    page.evaluate(
        """() => {
            app.graph.clear()
            const node = app.graph.add(LiteGraph.createNode("RobustTranslate"))
            const widget = (name) => node.widgets.find((widget) => widget.name === name)
            widget("preset").value = "custom"
            widget("preset.norm").value = "free"
        }"""
    )
    load(page, saved_graph(page))
    prompt = page.evaluate("async () => Object.values((await app.graphToPrompt()).output)[0].inputs")
    assert prompt["preset"] == "custom"
    assert prompt["preset.norm"] == "free"


def test_a_preset_on_a_subgraph_is_the_one_inside(page: Page, server: ComfyServer) -> None:
    page.evaluate(
        """() => {
            app.graph.clear()
            const [load, seed, translate, look] = [
                "RobustLoadClassifier", "RobustClassSeed", "RobustTranslate", "PreviewImage",
            ].map((type) => app.graph.add(LiteGraph.createNode(type)))
            const connect = (from, to, input) =>
                from.connect(0, to, to.inputs.findIndex(({ name }) => name === input))
            load.widgets[0].value = "canvas"
            for (const name of ["width", "height"]) seed.widgets.find((widget) => widget.name === name).value = 32
            connect(load, seed, "classifier")
            connect(load, translate, "classifier")
            connect(seed, translate, "image")
            connect(translate, look, "images")
            const { subgraph, node } = app.graph.convertToSubgraph(new Set([translate]))
            const [inner] = subgraph.nodes
            const slot = inner.inputs.find(({ name }) => name === "preset")
            subgraph.addInput("preset", slot.type).connect(slot, inner)
            node.title = "Outside"
        }"""
    )
    client = ComfyClient(server.url)
    # Custom runs with all of its own inputs left out.
    for preset in ("refine", "custom"):
        page.evaluate(
            """(preset) => {
                const node = app.graph.nodes.find(({ title }) => title === "Outside")
                node.widgets.find(({ name }) => name === "preset").value = preset
            }""",
            preset,
        )
        prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
        (inputs,) = (node["inputs"] for node in prompt.values() if node["class_type"] == "RobustTranslate")
        assert inputs["preset"] == preset
        assert client.run(prompt).images("temp")


def test_refreshing_lists_a_new_preset_in_old_and_new_nodes(page: Page, server: ComfyServer) -> None:
    names = "(node) => node.widgets.find(({ name }) => name === 'preset').options.values"
    page.evaluate("() => { app.graph.clear(); app.graph.add(LiteGraph.createNode('RobustTranslate')) }")
    file = server.base / "user" / "default" / "robust_synthesis" / "presets" / "editor.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    preset = {"steps": 3, "step_size": 1.0, "objective": "logit"}
    file.write_text(json.dumps({"translate": {"gentle": preset}}), encoding="utf-8")
    try:
        page.evaluate("() => app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')")
        page.wait_for_function(f"() => ({names})(app.graph.nodes[0]).includes('gentle')")
        page.evaluate("() => app.graph.add(LiteGraph.createNode('RobustTranslate'))")
        for index in range(2):
            assert page.evaluate(f"(index) => ({names})(app.graph.nodes[index])", index)[-2:] == ["gentle", "custom"]
        page.evaluate("() => { app.graph.nodes[0].widgets.find(({ name }) => name === 'preset').value = 'gentle' }")
    finally:
        file.unlink()
    page.evaluate("() => app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')")
    page.wait_for_function(f"() => !({names})(app.graph.nodes[0]).includes('gentle')")


def test_a_template_is_opened_by_clicking_and_runs(page: Page, server: ComfyServer) -> None:
    client = ComfyClient(server.url)
    page.evaluate("() => app.graph.clear()")
    done = set(client.history())
    page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    # While it loads, the browser of templates builds its lists anew: a click by mouse may be lost in between.
    page.get_by_text("robust-synthesis", exact=True).first.dispatch_event("click")
    for path in WORKFLOWS:
        page.get_by_test_id(f"template-workflow-{path.stem}").wait_for()
    page.get_by_test_id("template-workflow-generate").dispatch_event("click")
    page.wait_for_function("() => app.graph.nodes.some((node) => node.type === 'RobustClassSeed')")
    page.get_by_test_id("queue-button").click()
    page.wait_for_function(
        "() => Object.values(app.nodeOutputs).some((output) => output.images?.length === 4)", timeout=120_000
    )
    # The server writes its record a moment after the last picture.
    for _ in range(50):
        made = [client.history()[key] for key in set(client.history()) - done]
        if made:
            break
        page.wait_for_timeout(100)
    assert [record["status"]["status_str"] for record in made] == ["success"]


@pytest.mark.parametrize("node", NODES)
def test_a_node_has_a_help_page(server: ComfyServer, node: str) -> None:
    with urllib.request.urlopen(f"{server.url}/extensions/robust-synthesis/docs/{node}.md") as answer:
        assert answer.read().startswith(b"#")
