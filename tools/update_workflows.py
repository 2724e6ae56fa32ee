"""Updates the example workflows: `python -m tools.update_workflows`, or with names only some of them.

Each file of `workflows/` is opened in ComfyUI's real editor, saved again as the editor saves it, and run; its
thumbnail shows what came out. Run this whenever a node, an example picture or a bundled classifier changes. A new
example is a file that the editor has saved there.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps
from playwright.sync_api import Page

from robust_synthesis.synthesis.figures import DARK, image_grid

from .client import ComfyClient, Prompt
from .editor import editor_of_a_server, load_graph, saved_graph
from .live_session import filmstrip
from .paths import LOGS, ROOT
from .workflow import convert, read

WORKFLOWS = ROOT / "workflows"
BEFORE = {
    "translate": "summer",
    "style": "photo",
    "sketch": "church-sketch",
    "inpaint": "mountain-hole",
    "outpaint": "mountain",
    "upsample": "spaniel",
    "paint": "mountain",
    "horse-to-zebra": "pony",
    "class-mask": "pony-photo",
}
"""The input picture that a thumbnail shows in the corner of the result."""
STAND_IN: dict[str, str | int] = {
    "classifier": "canvas",
    "target_class": "tulip",
    "preset": "generate",
    "method": "automatic",
    "width": 96,
    "height": 96,
}
"""What the thumbnail of an example that needs a download is made with."""
MADE_OF_TEXT = ("RobustTextClasses",)
SIDE, GUTTER, FOOTER = 512, 4, 90
WIDE = 1.55
"""A picture of this ratio or more is shown whole: a sheet, or two pictures beside each other."""
INSET = 0.3
"""The width of the picture in the corner, as a fraction of the thumbnail's."""


def save(page: Page, path: Path) -> dict[str, Any]:
    """Open a workflow in the editor and save it again; its graph."""
    load_graph(page, read(path))
    graph = saved_graph(page)
    # Without a stored viewport the editor shows the whole graph, whatever the size of the window.
    graph["extra"].pop("ds", None)
    path.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")
    return graph


def _without_texts(prompt: Prompt) -> Prompt:
    """A prompt whose nodes take the classifier itself in place of Classes from Text, which needs a CLIP's."""
    sources = {key: node["inputs"]["classifier"] for key, node in prompt.items() if node["class_type"] in MADE_OF_TEXT}
    kept = {key: node for key, node in prompt.items() if key not in sources}
    for node in kept.values():
        wired = node["inputs"].get("classifier")
        if isinstance(wired, list) and wired[0] in sources:
            node["inputs"]["classifier"] = sources[wired[0]]
    return kept


def thumbnail(name: str, graph: dict[str, Any], client: ComfyClient) -> Image.Image:
    """A square of what a workflow saves, its input picture in the corner.

    One that needs a download is run with a bundled classifier, and says so; the Live Canvas is painted on.
    """
    before = Image.open(WORKFLOWS / "assets" / f"{BEFORE[name]}.png") if name in BEFORE else None
    downloads = [model["name"] for node in graph["nodes"] for model in node["properties"].get("models", [])]
    if name == "live":
        return _square([filmstrip()[-1][1]])
    prompt = convert(graph, client.object_info())
    if downloads:
        prompt = _without_texts(prompt)
    for node in prompt.values() if downloads else []:
        # Not what is wired.
        own = {name: value for name, value in STAND_IN.items() if type(node["inputs"].get(name)) is type(value)}
        node["inputs"] |= own
    files = client.run(prompt).images()
    # Further ones repeat themselves.
    pictures = [Image.open(io.BytesIO(client.view(file))) for file in files[: 1 if before else 4]]
    made = _square([picture.convert("RGB") for picture in pictures])
    if before is not None:
        small = ImageOps.fit(before.convert("RGB"), (round(INSET * SIDE),) * 2, Image.Resampling.LANCZOS)
        framed = ImageOps.expand(small, GUTTER, "white")
        made.paste(framed, (0, SIDE - framed.height))
    if downloads:
        stand_in = f"here: {STAND_IN['target_class']} by {STAND_IN['classifier']}"
        words = f"needs a download: {', '.join(downloads)}\n{stand_in}"
        draw = ImageDraw.Draw(made)
        draw.rectangle((0, SIDE - FOOTER, SIDE, SIDE), "#202428")
        middle = (SIDE / 2, SIDE - FOOTER / 2)
        draw.multiline_text(middle, words, "white", ImageFont.load_default(22), "mm", align="center")
    return made


def _square(pictures: Sequence[Image.Image]) -> Image.Image:
    """One picture, four, or two wide ones below each other; what is square and fills it is cropped."""
    wide = pictures[0].width > WIDE * pictures[0].height
    columns, rows = (1, min(2, len(pictures))) if wide else ((2, 2) if len(pictures) == 4 else (1, 1))
    size = ((SIDE - GUTTER * (columns - 1)) // columns, (SIDE - GUTTER * (rows - 1)) // rows)
    if wide and rows == 1:
        # Around the sheet of features it is as dark as the sheet.
        return ImageOps.pad(pictures[0], size, Image.Resampling.LANCZOS, DARK)
    tiles = [ImageOps.fit(picture, size, Image.Resampling.LANCZOS) for picture in pictures]
    grid = [tiles[row * columns : (row + 1) * columns] for row in range(rows)]
    return ImageOps.crop(image_grid(grid, gap=GUTTER), GUTTER)


def main() -> None:
    parser = argparse.ArgumentParser(description="Save the example workflows again and remake their thumbnails.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="as `generate`; all if there is none")
    names = parser.parse_args().names or [path.stem for path in sorted(WORKFLOWS.glob("*.json"))]
    with editor_of_a_server(LOGS / "update_workflows.log") as (page, url):
        for name in names:
            graph = save(page, WORKFLOWS / f"{name}.json")
            made = thumbnail(name, graph, ComfyClient(url))
            made.save(WORKFLOWS / f"{name}.jpg", quality=85, optimize=True)
            print(WORKFLOWS / f"{name}.json", flush=True)


if __name__ == "__main__":
    main()
