"""Makes the example workflows: `python -m tools.save_workflows`, or with names only some of them.

Each graph is put together in ComfyUI's real editor, saved as the editor saves it, and run; its thumbnail
shows what came out. Run this again whenever a node, an example picture or a bundled classifier changes.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps
from playwright.sync_api import Page

from robust_synthesis.models.catalog import hub_classifiers
from robust_synthesis.synthesis import photo_noise

from .client import ComfyClient, Result
from .editor import chromium, open_editor, saved_graph
from .errors import ToolError
from .examples import EXAMPLES
from .examples.graph import Example
from .paths import LOGS, ROOT
from .server import ComfyServer
from .workflow import convert

WORKFLOWS = ROOT / "workflows"
ASSETS = WORKFLOWS / "assets"
_NAMESPACE = uuid.UUID("6d0a54c2-6f0e-4f0b-9a44-0f4c6f5d2a11")
_GUTTER = 4

# Coordinates leave room for the Vue renderer, whose nodes are taller than the canvas renderer's.
_BUILD = """([id, nodes, groups]) => {
    app.graph.clear()
    app.graph.id = id
    const made = {}
    for (const { key, type, title, place, size, values, muted, model } of nodes) {
        const node = LiteGraph.createNode(type)
        if (title) node.title = title
        app.graph.add(node)
        for (const [name, value] of Object.entries(values)) {
            const widget = node.widgets.find((widget) => widget.name === name)
            widget.value = value
            widget.callback?.(value)
        }
        node.pos = place
        node.setSize(size)
        if (type.startsWith("Robust")) node.properties.cnr_id = "robust-synthesis"
        if (model) node.properties.models = [model]
        if (muted) node.mode = LiteGraph.NEVER
        made[key] = node
    }
    for (const { key, inputs } of nodes)
        for (const [name, [source, output]] of Object.entries(inputs))
            made[source].connect(output, made[key], made[key].findInputSlot(name))
    for (const { title, place, size, color } of groups) {
        const group = new LiteGraph.LGraphGroup(title)
        group.pos = place
        group.size = size
        group.color = color
        app.graph.add(group)
    }
}"""


def main(names: Sequence[str]) -> None:
    """Write the workflow and the thumbnail of every example, or of those that are named."""
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer.start(Path(base), LOGS / "save_workflows.log") as server,
        chromium() as browser,
    ):
        page = browser.new_page()
        open_editor(page, server.url)
        for example in [example for example in EXAMPLES if not names or example.name in names]:
            _save(example, page, ComfyClient(server.url))
            print(WORKFLOWS / f"{example.name}.json")


def _save(example: Example, page: Page, client: ComfyClient) -> None:
    nodes = [{**asdict(node), "model": _model(node.model)} for node in example.nodes]
    groups = [asdict(group) for group in example.groups]
    page.evaluate(_BUILD, [str(uuid.uuid5(_NAMESPACE, example.name)), nodes, groups])
    graph = saved_graph(page)
    # Without a stored viewport the editor shows the whole graph, whatever the size of the window.
    graph["extra"].pop("ds", None)
    place = WORKFLOWS / f"{example.name}.json"
    place.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")
    if example.needs:
        thumbnail = _start(example)
    else:
        thumbnail = _thumbnail(example, client.run(convert(graph, client.object_info())), client)
    thumbnail.save(place.with_suffix(".jpg"), quality=85, optimize=True)


def _model(name: str) -> dict[str, str] | None:
    if not name:
        return None
    file = hub_classifiers()[name]
    return {"name": file.filename, "url": file.url, "directory": "robust_classifiers"}


def _start(example: Example) -> Image.Image:
    """Where an example starts that cannot run here, and what it needs."""
    if example.before:
        start = Image.open(ASSETS / example.before).convert("RGB")
    else:
        noise = (photo_noise(224, 224, range(1, 5)) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        start = _sheet([Image.fromarray(picture) for picture in noise], 2)
    start = ImageOps.fit(start, (512, 420), Image.Resampling.LANCZOS)
    card = Image.new("RGB", (512, 480), "#202428")
    card.paste(start)
    words = ImageDraw.Draw(card)
    words.text((256, 450), f"needs {example.needs}", "white", ImageFont.load_default(18), anchor="mm")
    return card


def _thumbnail(example: Example, result: Result, client: ComfyClient) -> Image.Image:
    made = [Image.open(io.BytesIO(client.view(file))).convert("RGB") for file in result.images()]
    if not example.before and len(made) == 1:
        return ImageOps.contain(made[0], (640, 640), Image.Resampling.LANCZOS)
    if not example.before and made[0].width > 1.5 * made[0].height:
        height = round(320 * made[0].height / made[0].width)
        return _sheet([picture.resize((320, height), Image.Resampling.LANCZOS) for picture in made[:4]], 2)
    if not example.before:
        side = (512 - _GUTTER) // 2
        return _sheet([ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS) for picture in made[:4]], 2)
    before = Image.open(ASSETS / example.before).convert("RGB")
    width = (640 - _GUTTER) // 2
    height = min(round(width * before.height / before.width), 480)
    return _sheet([ImageOps.fit(p, (width, height), Image.Resampling.LANCZOS) for p in (before, made[0])], 2)


def _sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    width, height = (side + _GUTTER for side in pictures[0].size)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width - _GUTTER, rows * height - _GUTTER), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ToolError as error:
        sys.exit(str(error))
