"""Makes the example workflows: `python -m tools.save_workflows`.

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
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Page

from .client import ComfyClient, Result
from .editor import chromium, open_editor, saved_graph
from .errors import ToolError
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
    for (const { key, type, title, place, size, values } of nodes) {
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


@dataclass(frozen=True)
class Node:
    """One node of an example: what it is, where it lies, and what goes in."""

    key: str
    type: str
    place: tuple[int, int]
    size: tuple[int, int]
    title: str = ""
    values: dict[str, str | int | float | bool] = field(default_factory=dict)
    inputs: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A titled frame around some nodes."""

    title: str
    place: tuple[int, int]
    size: tuple[int, int]
    color: str


@dataclass(frozen=True)
class Example:
    """A workflow, and the input picture that its thumbnail shows beside the result."""

    name: str
    nodes: Sequence[Node]
    groups: Sequence[Group]
    before: str = ""


_CHOOSE, _WORK, _LOOK = "#3f789e", "#88A", "#8A8"


def _note(text: str) -> Node:
    return Node("note", "MarkdownNote", (0, 0), (400, 800), "Read me first", {"text": text.strip()})


_GENERATE = Example(
    "generate",
    [
        _note(
            """
## Pictures out of nothing but a class

A classifier knows what a church looks like. **Class-Conditional Seed** draws blurry blobs in a church's
usual colours; **Translate to Class** then changes the pixels, step by step, until the classifier is
convinced. No diffusion model, no prompt, no download.

### Try this
1. Press **Run**: four churches, in a second or two even without a graphics card.
2. For four others, change the **seed** in *Class-Conditional Seed* (or set *control after generate* to
   *randomize*).
3. Type another class into **What to make**. It feeds both nodes. The *canvas* classifier knows buildings,
   cassette player, chain saw, church, english springer, forest, french horn, garbage truck, gas pump,
   glacier, golf ball, mountain, parachute, sea, street and tench (a fish).
4. Mix classes: **sea:0.7, mountain:0.3**.

### What to expect
Small, soft, painterly pictures: impressions rather than photos. The classifier sees 96 x 96 pixels, so a
larger width and height give smoother pictures, not more detail. The preview on the right is merely
enlarged four times.
"""
        ),
        Node("class", "PrimitiveString", (450, 40), (280, 60), "What to make", {"value": "church"}),
        Node("load", "RobustLoadClassifier", (450, 190), (280, 80), values={"classifier": "canvas"}),
        Node(
            "seed",
            "RobustClassSeed",
            (790, 40),
            (300, 240),
            values={
                "width": 96,
                "height": 96,
                "batch_size": 4,
                "seed": 90,
                "control_after_generate": "fixed",
                "method": "class gaussian",
            },
            inputs={"classifier": ("load", 0), "target_class": ("class", 0)},
        ),
        Node(
            "translate",
            "RobustTranslate",
            (790, 350),
            (300, 430),
            values={"preset": "generate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("load", 0), "image": ("seed", 0), "target_class": ("class", 0)},
        ),
        Node(
            "enlarge",
            "ImageScaleBy",
            (1150, 40),
            (280, 90),
            values={"upscale_method": "lanczos", "scale_by": 4},
            inputs={"image": ("translate", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1150, 220),
            (280, 560),
            values={"filename_prefix": "robust/generate"},
            inputs={"images": ("translate", 0)},
        ),
        Node("look", "PreviewImage", (1460, 40), (540, 740), "Enlarged", inputs={"images": ("enlarge", 0)}),
    ],
    [
        Group("1  Choose a class", (430, -40), (320, 860), _CHOOSE),
        Group("2  Start blurry, then climb", (770, -40), (340, 860), _WORK),
        Group("3  Look", (1130, -40), (890, 860), _LOOK),
    ],
)


def _from_picture(
    name: str,
    note: str,
    classifier: str,
    picture: str,
    target: str,
    preset: str,
    *,
    masked: bool,
    classified: bool = False,
) -> Example:
    """A picture goes in, its translation comes out, and both are shown side by side."""
    into = {"classifier": ("load", 0), "image": ("picture", 0)} | ({"mask": ("picture", 1)} if masked else {})
    nodes = [
        _note(note),
        Node("load", "RobustLoadClassifier", (450, 40), (300, 80), values={"classifier": classifier}),
        Node("picture", "LoadImage", (450, 190), (300, 590), values={"image": f"robust_{picture}.png"}),
        Node(
            "translate",
            "RobustTranslate",
            (810, 40),
            (300, 740),
            values={
                "target_class": target,
                "preset": preset,
                "seed": 0,
                "control_after_generate": "fixed",
            },
            inputs=into,
        ),
        Node(
            "beside",
            "ImageStitch",
            (1170, 40),
            (300, 150),
            values={"direction": "right", "spacing_width": 8},
            inputs={"image1": ("picture", 0), "image2": ("translate", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1170, 270),
            (300, 510),
            values={"filename_prefix": f"robust/{name}"},
            inputs={"images": ("translate", 0)},
        ),
        Node(
            "look",
            "PreviewImage",
            (1500, 40),
            (520, 270 if classified else 740),
            "Before and after",
            inputs={"images": ("beside", 0)},
        ),
    ]
    if classified:
        nodes += [
            Node(
                "classify",
                "RobustClassify",
                (1500, 380),
                (520, 90),
                values={"top_k": 4},
                inputs={"classifier": ("load", 0), "image": ("translate", 0)},
            ),
            Node(
                "chart",
                "PreviewImage",
                (1500, 560),
                (520, 225),
                "What the classifier sees now",
                inputs={"images": ("classify", 2)},
            ),
        ]
    groups = [
        Group("1  Choose", (430, -40), (340, 860), _CHOOSE),
        Group("2  Climb", (790, -40), (340, 860), _WORK),
        Group("3  Look", (1150, -40), (890, 860), _LOOK),
    ]
    return Example(name, nodes, groups, f"{picture}.png")


_TRANSLATE = _from_picture(
    "translate",
    """
## Summer becomes winter

The *seasons* classifier has learned to tell summer from winter in photos of one valley. **Translate to
Class** changes a summer picture, a little at every step, until the classifier sees winter. The
composition stays.

### Try this
1. Press **Run**.
2. Load a landscape of your own, of any size: the result keeps its size and its fine detail.
3. Winter to summer: write **summer** into **target_class**.
4. Change only a part: right-click *Load Image*, **Open in Mask Editor**, and paint where the picture may
   change. Outside of it, it stays as it is, bit for bit. With nothing painted, all of it may change.
5. Too much or too little? Set **preset** to *custom* and change **epsilon**, how far the picture may go
   (linf keeps each pixel on its own leash, l2 all of them together).

### What to expect
Colours, light and texture shift; nothing is moved or added. No snow falls where there was a tree: green turns
pale and cold. The seed changes nothing here, because this preset has no random part.
""",
    "seasons",
    "summer",
    "winter",
    "translate",
    masked=True,
)

_STYLE = _from_picture(
    "style",
    """
## A photo becomes a painting

The *styles* classifier tells four kinds of pictures apart: photo, art painting, cartoon and sketch.
**Translate to Class** changes a photo until it looks like a painting to it.

### Try this
1. Press **Run**.
2. Load a picture of your own, of any size.
3. Write another style into **target_class**: **cartoon**, **sketch**, **photo**, or a mix: `cartoon:0.6,
   sketch:0.4`.
4. Change only a part: right-click *Load Image*, **Open in Mask Editor**, and paint where the style may
   change.
5. Bolder or gentler: set **preset** to *custom* and change **epsilon** and **steps**.

### What to expect
A change of colour, contrast and stroke on top of the picture you gave, not a new painting of it.
**Classify Image** shows, as bars, what the classifier now sees.
""",
    "styles",
    "photo",
    "art painting",
    "translate",
    masked=True,
    classified=True,
)

_SKETCH = _from_picture(
    "sketch",
    """
## A drawing becomes a picture

A simple drawing is enough: with the preset *sketch*, **Translate to Class** blends a little photo-like
noise into it and then climbs to the class, along your lines.

### Try this
1. Press **Run**.
2. Change the **seed** for another version of the same drawing.
3. The other drawing: choose **robust_golf-ball-sketch.png** in *Load Image*, and write **golf ball** into
   **target_class**.
4. Your own: draw it in any program, large and simple, with a few plain colours, and load it. The *canvas*
   classifier knows buildings, cassette player, chain saw, church, english springer, forest, french horn,
   garbage truck, gas pump, glacier, golf ball, mountain, parachute, sea, street and tench (a fish).

### What to expect
A rough, colourful picture that follows your lines. It works best where the drawing has the layout of a
typical photo of the class: the thing in the middle, sky above, ground below.
""",
    "canvas",
    "church-sketch",
    "church",
    "sketch",
    masked=False,
)

EXAMPLES = (_GENERATE, _TRANSLATE, _STYLE, _SKETCH)


def main() -> None:
    """Write every example's workflow and thumbnail."""
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer.start(Path(base), LOGS / "save_workflows.log") as server,
        chromium() as browser,
    ):
        page = browser.new_page()
        open_editor(page, server.url)
        for example in EXAMPLES:
            _save(example, page, ComfyClient(server.url))
            print(WORKFLOWS / f"{example.name}.json")


def _save(example: Example, page: Page, client: ComfyClient) -> None:
    nodes = [asdict(node) for node in example.nodes]
    groups = [asdict(group) for group in example.groups]
    page.evaluate(_BUILD, [str(uuid.uuid5(_NAMESPACE, example.name)), nodes, groups])
    graph = saved_graph(page)
    # Without a stored viewport the editor shows the whole graph, whatever the size of the window.
    graph["extra"].pop("ds", None)
    result = client.run(convert(graph, client.object_info()))
    place = WORKFLOWS / f"{example.name}.json"
    place.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")
    _thumbnail(example, result, client).save(place.with_suffix(".jpg"), quality=85, optimize=True)


def _thumbnail(example: Example, result: Result, client: ComfyClient) -> Image.Image:
    made = [Image.open(io.BytesIO(client.view(file))).convert("RGB") for file in result.images()]
    if not example.before:
        side = (512 - _GUTTER) // 2
        return _sheet([picture.resize((side, side), Image.Resampling.LANCZOS) for picture in made], 2)
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
        main()
    except ToolError as error:
        sys.exit(str(error))
