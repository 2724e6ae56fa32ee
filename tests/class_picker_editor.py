"""The real editor as the tests of the class picker use it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect

# The first answer of a server that has just begun may take its time.
expect.set_options(timeout=20_000)

FIELD = "input[aria-label='{}']"
# What the picker asks for, and the classes of an answer.
CLASSES = "**/robust_synthesis/classes"
THOUSAND = [[f"thing {index}", f"res {index}", "shared name"] for index in range(1000)]


class Editor:
    """The real editor, with a classifier and a node that wants a class."""

    def __init__(self, page: Page, vue_nodes: bool) -> None:
        self.page = page
        self.vue_nodes = vue_nodes

    def build(self, nodes: list[str], links: list[tuple[int, str, int, str]], zoom: float = 1) -> None:
        """The nodes in a row, their ids from 1, and links from one's output to another's input."""
        self.page.evaluate(
            """([types, links, zoom]) => {
                app.graph.clear()
                const nodes = types.map((type, index) => {
                    const node = LiteGraph.createNode(type)
                    app.graph.add(node)
                    node.pos = [20 + index * 330, 60]
                    return node
                })
                for (const [from, output, to, input] of links) {
                    const [origin, target] = [nodes[from - 1], nodes[to - 1]]
                    const slot = origin.outputs.findIndex(({ name }) => !output || name === output)
                    origin.connect(slot, target, target.inputs.findIndex(({ name }) => name === input))
                }
                app.canvas.ds.scale = zoom
                app.canvas.ds.offset = [0, 0]
                app.canvas.setDirty(true, true)
            }""",
            [nodes, links, zoom],
        )
        self.settle()

    def settle(self) -> None:
        """Wait until what changed has been drawn."""
        self.page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(done), 150))")

    def id_of(self, node: str) -> int:
        found: int = self.page.evaluate(
            "(type) => Number(app.canvas.graph.nodes.find(({ type: own }) => own === type).id)", node
        )
        return found

    def open(self, node: str, widget: str = "target_class") -> Locator:
        """Click into the field of that node."""
        if self.vue_nodes:
            field = self.page.locator(f"[data-node-id='{self.id_of(node)}'] {FIELD.format(widget)}")
            field.click()
            return field
        self.page.mouse.click(*self.middle(node, widget))
        return self.page.locator(f"body > {FIELD.format(widget)}")

    def middle(self, node: str, widget: str) -> tuple[float, float]:
        x, y = self.page.evaluate(
            """([type, name]) => {
                const node = app.canvas.graph.nodes.find((node) => node.type === type)
                const widget = node.widgets.find((widget) => widget.name === name)
                const { left, top } = app.canvas.canvas.getBoundingClientRect()
                const { scale, offset } = app.canvas.ds
                const at = [node.pos[0] + node.size[0] / 2 + offset[0], node.pos[1] + widget.y + 10 + offset[1]]
                return [left + at[0] * scale, top + at[1] * scale]
            }""",
            [node, widget],
        )
        return x, y

    def choose(self, classifier: str) -> None:
        self.page.evaluate(
            "(name) => app.graph.nodes.find((node) => node.comfyClass === 'RobustLoadClassifier')"
            ".widgets[0].value = name",
            classifier,
        )

    def value(self, node: str, widget: str = "target_class") -> Any:
        return self.page.evaluate(
            "([type, name]) => app.graph.nodes.find((node) => node.type === type)"
            ".widgets.find((widget) => widget.name === name).value",
            [node, widget],
        )

    def prompt(self, node: str) -> dict[str, Any]:
        inputs: dict[str, Any] = self.page.evaluate(
            "async (type) => Object.values((await app.graphToPrompt()).output)"
            ".find((node) => node.class_type === type).inputs",
            node,
        )
        return inputs

    @property
    def options(self) -> Locator:
        return self.page.get_by_role("listbox", name="Classes").get_by_role("option")

    @property
    def note(self) -> Locator:
        return self.page.locator(".robust-classes-note")

    def names(self) -> list[str]:
        return self.page.locator(".robust-classes li .name").all_text_contents()
