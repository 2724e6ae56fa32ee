"""Updates the example workflows: `python -m tools.update_workflows`, or with names only some of them.

Each file of `workflows/` is opened in ComfyUI's real editor, saved again as the editor saves it, and run; its
thumbnail shows what came out. Run this whenever a node, an example picture or a bundled classifier changes. A new
example is a file that the editor has saved there.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps
from playwright.sync_api import Page
from torchvision.transforms.functional import to_pil_image

from robust_synthesis.synthesis import photo_noise
from robust_synthesis.synthesis.figures import image_grid

from .client import ComfyClient
from .editor import chromium, load_graph, open_editor, saved_graph
from .paths import LOGS, ROOT
from .server import ComfyServer
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
    "horse-to-zebra": "horse",
}
"""The input picture that a thumbnail shows beside the result."""
WIDTH, GUTTER, FOOTER = 640, 4, 60


def save(page: Page, path: Path) -> dict[str, Any]:
    """Open a workflow in the editor and save it again; its graph."""
    load_graph(page, read(path))
    graph = saved_graph(page)
    # Without a stored viewport the editor shows the whole graph, whatever the size of the window.
    graph["extra"].pop("ds", None)
    path.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")
    return graph


def thumbnail(name: str, graph: dict[str, Any], client: ComfyClient) -> Image.Image:
    """What a workflow saves, beside its input picture; one that needs a download is not run, and says so instead."""
    pictures = [Image.open(WORKFLOWS / "assets" / f"{BEFORE[name]}.png")] if name in BEFORE else []
    downloads = [model["name"] for node in graph["nodes"] for model in node["properties"].get("models", [])]
    if downloads:
        pictures = pictures or [to_pil_image(noise) for noise in photo_noise(224, 224, range(1, 5))]
    else:
        files = client.run(convert(graph, client.object_info())).images()
        # Further ones repeat themselves.
        pictures += [Image.open(io.BytesIO(client.view(file))) for file in files[: 1 if pictures else 4]]
    columns = min(len(pictures), 2)
    side = (WIDTH - GUTTER * (columns - 1)) // columns
    size = (side, round(side * pictures[0].height / pictures[0].width))
    tiles = [ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS) for picture in pictures]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    made = ImageOps.crop(image_grid(rows, gap=GUTTER), GUTTER)
    if downloads:
        made = ImageOps.expand(made, (0, 0, 0, FOOTER), "#202428")
        words, font = f"needs a download: {', '.join(downloads)}", ImageFont.load_default(22)
        ImageDraw.Draw(made).text((WIDTH / 2, made.height - FOOTER / 2), words, "white", font, anchor="mm")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Save the example workflows again and remake their thumbnails.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="as `generate`; all if there is none")
    names = parser.parse_args().names or [path.stem for path in sorted(WORKFLOWS.glob("*.json"))]
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer.start(Path(base), LOGS / "update_workflows.log") as server,
        chromium() as browser,
    ):
        page = browser.new_page()
        open_editor(page, server.url)
        for name in names:
            graph = save(page, WORKFLOWS / f"{name}.json")
            made = thumbnail(name, graph, ComfyClient(server.url))
            made.save(WORKFLOWS / f"{name}.jpg", quality=85, optimize=True)
            print(WORKFLOWS / f"{name}.json", flush=True)


if __name__ == "__main__":
    main()
