"""ComfyUI's real web editor in a headless Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from .errors import ToolError
from .server import ComfyServer

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# What the front end itself complains of on a fresh profile: it asks for files that no user has yet.
_CORE_REQUESTS = ("/api/userdata", "/user.css")
_CORE_WORDS = "ComfyApp graph accessed before initialization"
_LOADING_FAILED = "Failed to load resource"
_READY = """() => Boolean(window.app?.vueAppReady && window.app.canvas?.graph
    && window.LiteGraph.registered_node_types["RobustTranslate"])"""


def find_chromium() -> str | None:
    """The system's Chromium or Chrome, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser.

    Raises:
        ToolError: there is none on this machine.
    """
    executable = find_chromium()
    if executable is None:
        raise ToolError("There is no Chromium or Chrome here. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def open_editor(page: Page, url: str, *, vue_nodes: bool = False) -> None:
    """Open the editor of the server at `url` in one of its node renderers, and wait until it is ready."""
    # A first visit would be greeted with the template browser, which lies over the graph.
    settings = {"Comfy.VueNodes.Enabled": vue_nodes, "Comfy.TutorialCompleted": True}
    page.request.post(f"{url}/settings", data=settings)
    # Other work may keep the cores busy.
    page.set_default_timeout(90_000)
    page.goto(url)
    page.wait_for_function(_READY)
    # What it loads last takes the focus from a field that was clicked before.
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise((done) => requestIdleCallback(done))")


@contextlib.contextmanager
def editor_of_a_server(log: Path) -> Iterator[tuple[Page, str]]:
    """The editor of a new server with the pack in it, and the server's address."""
    with tempfile.TemporaryDirectory() as base, ComfyServer.start(Path(base), log) as server, chromium() as browser:
        page = browser.new_page()
        open_editor(page, server.url)
        yield page, server.url


def complaints_of(page: Page, url: str) -> list[str]:
    """What goes wrong from now on in the page and its scripts, without what is not the pack's affair; it grows."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        text, place = message.text, message.location["url"]
        own_file = place.startswith(url) and not any(part in place for part in _CORE_REQUESTS)
        # Requests to other machines are the front end's as well; the pack makes none.
        elsewhere = "Content Security Policy" in text or (_LOADING_FAILED in text and not own_file)
        if message.type == "error" and text != _CORE_WORDS and not elsewhere:
            complaints.append(f"{text} ({place})")

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def load_graph(page: Page, graph: dict[str, Any]) -> None:
    """Open a saved graph in the editor."""
    page.evaluate("(graph) => app.loadGraphData(graph)", graph)
    page.wait_for_function("(count) => app.graph.nodes.length === count", arg=len(graph["nodes"]))
    # Loading shrinks a node whose preset unfolds widgets.
    sizes = [[node["id"], node["size"]] for node in graph["nodes"]]
    page.evaluate("(sizes) => sizes.forEach(([id, size]) => app.graph.getNodeById(id).setSize(size))", sizes)


def saved_graph(page: Page) -> dict[str, Any]:
    """The graph in the editor, as its Save command would write it."""
    graph: dict[str, Any] = page.evaluate(
        "async () => JSON.parse(JSON.stringify((await app.graphToPrompt()).workflow))"
    )
    return graph
