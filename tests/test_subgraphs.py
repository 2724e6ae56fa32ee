"""The subgraph blueprints: listed by the real server, added in the real editor, and run."""

from __future__ import annotations

import io
import json
import urllib.request
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import expect
from torchvision.transforms.functional import to_tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from tests.class_picker_editor import FIELD, Editor
from tools.client import ComfyClient
from tools.paths import ROOT
from tools.server import PACK, ComfyServer

BLUEPRINTS = {path.stem: path for path in sorted((ROOT / "subgraphs").glob("*.json"))}
GENERATE, STYLE, OBJECT, FILL = (
    f"{name} (Robust Synthesis)" for name in ("Class to Image", "Photo to Style", "Object to Object", "Fill")
)
INPUTS = {
    GENERATE: ["target_class", "width", "height", "batch_size", "seed"],
    **{name: ["image", "mask", "target_class"] for name in (STYLE, OBJECT, FILL)},
}
# Wires a small photo and its mask, where the node wants one, and saves what comes out and what went in.
RUN = """async ([photo, values]) => {
    const [node] = app.graph.nodes
    const create = (type) => {
        const made = LiteGraph.createNode(type)
        app.graph.add(made)
        return made
    }
    const save = (source, prefix) => {
        const made = create("SaveImage")
        made.widgets[0].value = prefix
        source.connect(0, made, 0)
    }
    for (const [name, value] of Object.entries(values)) node.widgets.find((one) => one.name === name).value = value
    save(node, "made")
    if (photo) {
        const [load, scale] = ["LoadImage", "ImageScale"].map(create)
        load.widgets[0].value = photo
        for (const [name, value] of [["width", 128], ["height", 96]])
            scale.widgets.find((one) => one.name === name).value = value
        load.connect(0, scale, 0)
        for (const [source, output, name] of [[scale, 0, "image"], [load, 1, "mask"]])
            source.connect(output, node, node.inputs.findIndex((input) => input.name === name))
        save(scale, "photo")
    }
    return (await app.graphToPrompt()).output
}"""


def add(editor: Editor, name: str) -> None:
    """Add a blueprint as a user does, from the search for nodes."""
    editor.page.evaluate("() => { app.graph.clear(); app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0] }")
    editor.page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    expect(editor.page.get_by_role("listbox").first).to_be_visible()
    editor.page.keyboard.type(name)
    editor.page.get_by_test_id("result-item").filter(has_text=name).click()
    editor.page.wait_for_function("() => app.graph.nodes.length === 1")
    expect(editor.page.get_by_role("dialog")).to_have_count(0)
    # It follows the pointer until it is put down.
    editor.settle()
    editor.page.mouse.move(880, 480)
    editor.page.mouse.click(900, 500)
    editor.page.wait_for_function("() => app.canvas.state.ghostNodeId == null")
    editor.settle()


def open_blueprint(editor: Editor, name: str) -> None:
    editor.page.evaluate("(graph) => app.loadGraphData(graph)", json.loads(BLUEPRINTS[name].read_text("utf-8")))
    editor.page.wait_for_function("(title) => app.graph.nodes[0]?.title === title", arg=name)
    editor.settle()
    assert (names(editor, "inputs"), names(editor, "outputs")) == (INPUTS[name], ["image"])


def names(editor: Editor, what: str) -> list[str]:
    found: list[str] = editor.page.evaluate("(what) => app.graph.nodes[0][what].map(({ name }) => name)", what)
    return found


def run(editor: Editor, server: ComfyServer, photo: str = "", **values: Any) -> list[torch.Tensor]:
    """What the blueprint in the editor makes, `[3, H, W]` in [0, 1], and after it the photo that went in."""
    client = ComfyClient(server.url)
    result = client.run(editor.page.evaluate(RUN, [photo, values]))
    files = sorted(result.images(), key=lambda file: file.name)
    return [to_tensor(Image.open(io.BytesIO(client.view(file))).convert("RGB")) for file in files]


def confidence(classifier: RobustClassifier, image: torch.Tensor, label: str) -> float:
    return float(classifier(image[None]).softmax(1)[0, classifier.labels.index(label)])


def test_the_server_serves_the_blueprints(server: ComfyServer) -> None:
    def get(path: str) -> Any:
        request = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(server.url + path)
        return json.loads(request.read())

    served = get("/global_subgraphs")
    ours = {entry["name"]: key for key, entry in served.items() if entry["info"]["node_pack"].endswith(PACK)}
    assert ours.keys() == BLUEPRINTS.keys() == INPUTS.keys()
    for name, key in ours.items():
        assert get(f"/global_subgraphs/{key}")["data"] == BLUEPRINTS[name].read_text("utf-8")


def test_one_is_added_from_the_search(editor: Editor) -> None:
    add(editor, OBJECT)
    assert (names(editor, "inputs"), names(editor, "outputs")) == (INPUTS[OBJECT], ["image"])
    if editor.vue_nodes:
        editor.page.locator(f"{FIELD.format('target_class')}:visible").click()
        expect(editor.options).to_have_count(39)


@pytest.mark.parametrize("opened", [False], indirect=True, ids=["canvas"])
def test_each_runs_offline_and_does_what_it_says(editor: Editor, server: ComfyServer, canvas: RobustClassifier) -> None:
    painters = load_classifier(bundled_classifiers()["painters"])
    open_blueprint(editor, GENERATE)
    two = run(editor, server, target_class="sea", width=96, height=96, batch_size=2)
    assert [image.shape for image in two] == [(3, 96, 96)] * 2
    assert min(confidence(canvas, image, "sea") for image in two) > 0.5
    open_blueprint(editor, STYLE)
    made, photo = run(editor, server, "robust_photo.png", target_class="ukiyo-e")
    assert confidence(painters, made, "ukiyo_e") > confidence(painters, photo, "ukiyo_e") + 0.2
    open_blueprint(editor, OBJECT)
    made, photo = run(editor, server, "robust_pony.png")
    assert confidence(canvas, made, "zebra") > confidence(canvas, photo, "zebra") + 0.2
    unchanged = (made == photo).all(0).float().mean()
    assert 0.2 < unchanged < 0.95
    open_blueprint(editor, FILL)
    made, photo = run(editor, server, "robust_mountain-hole.png")
    unchanged = (made == photo).all(0).float().mean()
    assert 0.5 < unchanged < 0.99
