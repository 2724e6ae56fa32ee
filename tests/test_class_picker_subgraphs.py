"""The list of classes on subgraphs and inside of them, in the real editor."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.class_picker_editor import FIELD, Editor


# The canvas asks for a promoted text in a dialog of its own.
@pytest.mark.parametrize("opened", [True], indirect=True, ids=["vue"])
def test_a_class_may_be_chosen_on_a_subgraph(seeded: Editor) -> None:
    seeded.page.evaluate(
        """() => {
            const seed = app.graph.nodes.find((node) => node.type === 'RobustClassSeed')
            const { subgraph, node } = app.graph.convertToSubgraph(new Set([seed]))
            subgraph.addInput('target_class', 'STRING').connect(
                subgraph.nodes[0].inputs.find(({ name }) => name === 'target_class'), subgraph.nodes[0])
            node.title = 'Inside'
        }"""
    )
    seeded.settle()
    seeded.page.locator(f"{FIELD.format('target_class')}:visible").click()
    expect(seeded.options).to_have_count(39)


# One class list for each of two instances of a subgraph, which share the node inside.
TWO_INSTANCES = """() => {
    app.graph.clear()
    const create = (type, x, y) => {
        const node = app.graph.add(LiteGraph.createNode(type))
        node.pos = [x, y]
        return node
    }
    const connect = (from, to) => from.connect(0, to, to.inputs.findIndex(({ name }) => name === "classifier"))
    const loaders = [0, 400].map((y) => create("RobustLoadClassifier", 20, 60 + y))
    loaders[0].widgets[0].value = "seasons"
    loaders[1].widgets[0].value = "painters"
    const seed = create("RobustClassSeed", 400, 60)
    connect(loaders[0], seed)
    const { subgraph, node } = app.graph.convertToSubgraph(new Set([seed]))
    const [inner] = subgraph.nodes
    const slot = inner.inputs.find(({ name }) => name === "target_class")
    subgraph.addInput("target_class", "STRING").connect(slot, inner)
    const second = app.graph.add(LiteGraph.createNode(subgraph.id))
    node.pos = [400, 60]
    second.pos = [400, 460]
    connect(loaders[1], second)
    return [node.id, second.id].map(Number)
}"""


@pytest.mark.parametrize("opened", [True], indirect=True, ids=["vue"])
def test_each_instance_of_a_subgraph_lists_the_classes_of_its_own_classifier(editor: Editor) -> None:
    instances = editor.page.evaluate(TWO_INSTANCES)
    editor.settle()
    for node, classes in zip(instances, (2, 8), strict=True):
        editor.page.locator(f"[data-node-id='{node}'] {FIELD.format('target_class')}").click()
        expect(editor.options).to_have_count(classes)
        editor.page.keyboard.press("Escape")
        editor.page.evaluate("() => document.activeElement?.blur()")


def test_inside_a_subgraph_the_instance_that_was_opened_counts(editor: Editor) -> None:
    instances = editor.page.evaluate(TWO_INSTANCES.replace("subgraph.addInput", "false && subgraph.addInput"))
    for node, classes in zip(instances, (2, 8), strict=True):
        editor.page.evaluate(
            """(id) => {
                const node = app.rootGraph.getNodeById(id)
                app.canvas.openSubgraph(node.subgraph, node)
                node.subgraph.nodes[0].pos = [400, 60]
                app.canvas.ds.scale = 1
                app.canvas.ds.offset = [0, 0]
            }""",
            node,
        )
        editor.settle()
        editor.open("RobustClassSeed")
        expect(editor.options).to_have_count(classes)
        editor.page.keyboard.press("Escape")
        editor.page.keyboard.press("Escape")
        editor.page.evaluate("() => { document.activeElement?.blur(); app.canvas.setGraph(app.rootGraph) }")
        editor.settle()
