"""The dialog of the Live Canvas as its tests use it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.class_picker_editor import Editor
from tools.client import ComfyClient
from tools.server import ComfyServer

Pixels = NDArray[np.uint8]
LIVE = "**/robust_synthesis/live/**"
OPEN = "**/robust_synthesis/live/open"
CLOSE = "**/robust_synthesis/live/*/close"
SIDE = 256
PHOTO = "live_test.png"

_BUSY = "() => document.querySelector('dialog.robust-live .stage')?.ariaBusy !== 'true'"


class LiveCanvas:
    """A node Live Canvas in the editor, with a classifier, and its dialog."""

    def __init__(self, editor: Editor, server: ComfyServer, complaints: list[str]) -> None:
        self.editor, self.page, self.server, self.complaints = editor, editor.page, server, complaints
        self.requests: list[str] = []
        self.page.on("request", self._note)

    def close(self) -> None:
        """Leave nothing behind for the next test."""
        self.page.remove_listener("request", self._note)
        self.page.unroute_all()
        if self.root.count():
            self.done()

    def forgive_failed_requests(self) -> None:
        """The browser itself complains of the requests that a test has made fail."""
        self.complaints[:] = [line for line in self.complaints if not line.startswith("Failed to load resource")]

    def _note(self, request: Any) -> None:
        if "/robust_synthesis/live/" in request.url:
            self.requests.append(request.url.split("/live/")[1].split("/")[-1])

    def build(self, *, photo: bool = False, nodes: int = 1, side: int = SIDE) -> None:
        """A classifier, Live Canvases, and where asked for a photo that is wired into the first."""
        types = ["RobustLoadClassifier", *["RobustCanvas"] * nodes, "PreviewImage"]
        links = [(1, "classifier", 2 + index, "classifier") for index in range(nodes)]
        links.append((2, "image", 2 + nodes, "images"))
        if photo:
            make_photo(self.server.base / "input" / PHOTO)
            types.append("LoadImage")
            links.append((3 + nodes, "", 2, "image"))
        self.editor.build(types, links)
        self.editor.choose("canvas")
        self.page.evaluate(
            """([side, photo]) => {
                for (const node of app.graph.nodes) {
                    if (node.type === "LoadImage") node.widgets.find(({ name }) => name === "image").value = photo
                    if (node.type !== "RobustCanvas") continue
                    for (const widget of node.widgets) {
                        if (["width", "height"].includes(widget.name)) widget.value = side
                        // A new node with the number of an old one finds the old one's value.
                        if (widget.name === "painting") widget.value = ""
                    }
                }
            }""",
            [side, PHOTO],
        )

    @property
    def root(self) -> Locator:
        return self.page.locator("dialog.robust-live")

    @property
    def said(self) -> Locator:
        return self.root.locator(".bottom [role=status]")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def open(self, index: int = 0) -> None:
        """Press Open on the n-th Live Canvas."""
        if self.editor.vue_nodes:
            ids = self.page.evaluate(
                "() => app.graph.nodes.filter(({ type }) => type === 'RobustCanvas').map(({ id }) => Number(id)).sort()"
            )
            node = self.page.locator(f"[data-node-id='{ids[index]}']")
            node.get_by_role("button", name="Open", exact=True).click()
        else:
            self.page.mouse.click(*self._button_on_canvas(index))
        expect(self.root).to_be_visible()

    def _button_on_canvas(self, index: int) -> tuple[float, float]:
        x, y = self.page.evaluate(
            """(index) => {
                // A click brings a node to the front, which changes the order of the nodes.
                const canvases = app.graph.nodes.filter(({ type }) => type === "RobustCanvas")
                const node = canvases.sort((one, other) => one.id - other.id)[index]
                const widget = node.widgets.find(({ name }) => name === "Open")
                const { left, top } = app.canvas.canvas.getBoundingClientRect()
                const { scale, offset } = app.canvas.ds
                const at = [node.pos[0] + node.size[0] / 2 + offset[0], node.pos[1] + widget.y + 10 + offset[1]]
                return [left + at[0] * scale, top + at[1] * scale]
            }""",
            index,
        )
        return x, y

    def blank(self) -> None:
        """Begin with a blank canvas."""
        self.button("Blank canvas").click()
        self.shown()

    def shown(self) -> None:
        """Wait until the picture is there and nothing is under way."""
        self.root.locator(".sheet").wait_for()
        self.root.locator(".right .tile").first.wait_for(state="attached")
        self.idle()

    def idle(self) -> None:
        """Wait until all that was painted has its detail."""
        self.page.wait_for_function(_BUSY, timeout=120_000)

    def choose(self, name: str, size: int = 64) -> None:
        """Take the class brush of a class."""
        self.root.get_by_role("tab", name="Classes").click()
        self.root.locator(f".right .tile[data-class='{name}']").first.click()
        self.page.evaluate(
            """async (size) => {
                const { settings } = await import("/extensions/robust-synthesis/js/live/settings.js")
                // A selection tool that was in the hand would stay there.
                settings.choose("class")
                settings.change({ size, softness: 0.5, strength: 1, mirrored: false })
            }""",
            size,
        )

    def colour(self, colour: str, size: int = 64) -> None:
        """Take the colour brush."""
        self.choose("sea", size)
        self.page.evaluate(
            """async (colour) => {
                const { settings } = await import("/extensions/robust-synthesis/js/live/settings.js")
                settings.choose("colour")
                settings.change({ colour, softness: 0 })
            }""",
            colour,
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place of the picture, from 0 to 1, in the window."""
        box = self.root.locator("canvas.picture").bounding_box()
        assert box
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def press(self, x: float, y: float, to: tuple[float, float] | None = None, hold: int = 400) -> None:
        """Press on the picture, move, and hold for so many milliseconds; not lifted yet."""
        self.page.mouse.move(*self.at(x, y))
        self.page.mouse.down()
        if to:
            self.page.mouse.move(*self.at(*to), steps=6)
        self.page.wait_for_timeout(hold)

    def paint(self, x: float, y: float, to: tuple[float, float] | None = None, hold: int = 400) -> None:
        """A whole stroke, until its detail is done."""
        self.press(x, y, to, hold)
        self.page.mouse.up()
        self.idle()

    def pixels(self) -> Pixels:
        """The picture in the dialog, `[H, W, 3]`."""
        data = self.page.evaluate("() => document.querySelector('.robust-live canvas.picture').toDataURL('image/png')")
        return read_pixels(base64.b64decode(data.split(",")[1]))

    def done(self) -> None:
        self.button("Done").click()
        expect(self.root).to_have_count(0, timeout=60_000)

    def painting(self, index: int = 0) -> str:
        """The file that the n-th Live Canvas names."""
        name: str = self.page.evaluate(
            "(index) => app.graph.nodes.filter(({ type }) => type === 'RobustCanvas')"
            ".sort((one, other) => one.id - other.id)[index].widgets"
            ".find(({ name }) => name === 'painting').value",
            index,
        )
        return name

    def queued(self) -> Pixels:
        """What the graph gives."""
        prompt = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        client = ComfyClient(self.server.url)
        (file,) = client.run(prompt).images("temp")
        return read_pixels(client.view(file))


def read_pixels(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def make_photo(path: Path, shift: int = 0, side: int = SIDE) -> Pixels:
    """A picture with something in each of its pixels."""
    y, x = np.mgrid[:side, :side]
    channels = [(x + shift) % 256, (y * 2 + shift) % 256, (x + y) // 2 % 256]
    pixels = np.stack(channels, axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def changed(one: Pixels, other: Pixels) -> NDArray[np.bool_]:
    """Which pixels differ."""
    found: NDArray[np.bool_] = np.any(one != other, axis=2)
    return found


def drop(page: Page, path: Path) -> None:
    """Drop a picture on the dialog."""
    transfer = page.evaluate_handle(
        """async ([data, name]) => {
            const blob = await (await fetch(data)).blob()
            const transfer = new DataTransfer()
            transfer.items.add(new File([blob], name, { type: "image/png" }))
            return transfer
        }""",
        [f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}", path.name],
    )
    page.dispatch_event("dialog.robust-live .stage", "drop", {"dataTransfer": transfer})
