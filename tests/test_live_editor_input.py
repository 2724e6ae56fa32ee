"""What reaches the dialog of the Live Canvas beside a mouse: pen, fingers, clipboard, long lists, a hidden page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.class_picker_editor import CLASSES, THOUSAND
from tests.live_dialog import SIDE, LiveCanvas, changed, make_photo
from tools.editor import load_graph, saved_graph

# The dialog is the same in both renderers of the nodes.
pytestmark = pytest.mark.parametrize("opened", [True], indirect=True, ids=["vue"])

PASTE = """async ([data, where]) => {
    const blob = await (await fetch(data)).blob()
    const clipboardData = new DataTransfer()
    clipboardData.items.add(new File([blob], "image.png", { type: "image/png" }))
    const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true })
    document.querySelector(where).dispatchEvent(event)
}"""
# The lowest contrast of a text to what is behind it, of all that is written in the dialog, and the text.
CONTRAST = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
    const paint = (colour, under) => {
        context.fillStyle = under
        context.fillRect(0, 0, 1, 1)
        context.fillStyle = colour
        context.fillRect(0, 0, 1, 1)
        const [red, green, blue] = context.getImageData(0, 0, 1, 1).data
        return `rgb(${red} ${green} ${blue})`
    }
    const luminance = (colour) => {
        const parts = colour.match(/\\d+/g).map((part) => part / 255)
        const linear = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }
    const behind = (node) => (node ? paint(getComputedStyle(node).backgroundColor, behind(node.parentElement)) : "#fff")
    const isSeen = (node) => node.checkVisibility() && !node.disabled && !node.closest(":disabled")
    const written = [...document.querySelectorAll("dialog.robust-live *")].filter((node) =>
        isSeen(node) && [...node.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim()))
    const ratios = written.map((node) => {
        const under = behind(node)
        const lights = [luminance(paint(getComputedStyle(node).color, under)), luminance(paint(under, under))]
        return [(Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05), node.textContent]
    })
    return ratios.sort(([one], [other]) => one - other)[0]
}"""


@pytest.fixture
def pen(live_blank: LiveCanvas) -> Iterator[Callable[..., None]]:
    """Moves a pen: `pen("mousePressed", x, y, force)`, x and y of the picture from 0 to 1."""
    devtools = live_blank.page.context.new_cdp_session(live_blank.page)

    def move(kind: str, x: float, y: float, force: float) -> None:
        left, top = live_blank.at(x, y)
        event = {"type": kind, "x": left, "y": top, "button": "left", "buttons": 1, "clickCount": 1}
        devtools.send("Input.dispatchMouseEvent", {**event, "force": force, "pointerType": "pen"})

    yield move
    devtools.detach()


def test_a_pen_paints_as_wide_as_it_is_pressed(live_blank: LiveCanvas, pen: Callable[..., None]) -> None:
    live_blank.colour("#ff0000", size=60)
    widths = []
    for x, force in ((0.25, 0.1), (0.75, 1.0)):
        before = live_blank.pixels()
        pen("mousePressed", x, 0.3, force)
        for step in range(1, 5):
            pen("mouseMoved", x, 0.3 + step / 10, force)
        pen("mouseReleased", x, 0.7, 0)
        live_blank.idle()
        widths.append(int(changed(before, live_blank.pixels())[SIDE // 2].sum()))
    # A fifth of the size is left without pressure.
    assert widths == [pytest.approx(60 * 0.28, abs=3), pytest.approx(60, abs=3)]


@pytest.mark.parametrize("third", [False, True])
def test_two_fingers_zoom_and_paint_nothing(live_blank: LiveCanvas, third: bool) -> None:
    page, before = live_blank.page, live_blank.pixels()
    live_blank.choose("sea")
    percent = live_blank.root.locator(".percent")
    fitted = int(percent.inner_text().rstrip(" %"))
    middle = live_blank.at(0.5, 0.5)
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": middle[0] + side, "y": middle[1], "id": number} for number, side in enumerate(apart)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -40)
    touch("touchStart", -40, 40)
    for apart in (50, 60, 70, 80):
        touch("touchMove", -apart, apart)
    if third:
        # The ball of the hand.
        touch("touchStart", -80, 80, 120)
    touch("touchEnd")
    devtools.detach()
    live_blank.idle()
    assert int(percent.inner_text().rstrip(" %")) == pytest.approx(2 * fitted, rel=0.1)
    assert not changed(before, live_blank.pixels()).any()
    # The first finger alone may have begun one, which the second took back.
    assert live_blank.requests.count("stroke") == live_blank.requests.count("cancel")
    page.keyboard.press("f")


def test_a_picture_is_pasted_in(live_blank: LiveCanvas, tmp_path: Path) -> None:
    page = live_blank.page
    nodes = page.evaluate("() => app.graph.nodes.length")
    for where, side in (("dialog.robust-live .stage", 128), ("body", 96)):
        pixels = make_photo(tmp_path / "pasted.png", side=side)
        data = base64.b64encode((tmp_path / "pasted.png").read_bytes()).decode()
        page.evaluate(PASTE, [f"data:image/png;base64,{data}", where])
        page.wait_for_function(f"() => document.querySelector('.robust-live canvas.picture').width === {side}")
        live_blank.idle()
        assert not changed(pixels, live_blank.pixels()).any()
    assert page.evaluate("() => app.graph.nodes.length") == nodes


def hide(page: Page, hidden: bool) -> None:
    """The page goes into the background, as for its scripts."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true })
            document.dispatchEvent(new Event("visibilitychange"))
        }""",
        hidden,
    )


def test_a_page_in_the_background_asks_for_nothing(live_blank: LiveCanvas) -> None:
    page, before = live_blank.page, live_blank.pixels()
    live_blank.choose("church", size=100)
    under_way: list[Route] = []
    page.route("**/points", lambda route: under_way.append(route))
    with page.expect_request("**/points"):
        live_blank.press(0.5, 0.5)
    hide(page, True)
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/points")):
        under_way[0].continue_()
    page.unroute("**/points")
    live_blank.requests.clear()
    # Long enough for several requests of a page that is seen.
    page.wait_for_timeout(800)
    asked = list(live_blank.requests)
    hide(page, False)
    assert asked == []
    page.wait_for_function("() => document.querySelector('.robust-live').dataset.state === 'live'")
    page.mouse.up()
    live_blank.idle()
    assert live_blank.requests
    assert changed(before, live_blank.pixels()).any()


def test_fifty_strokes_are_undone_and_redone(live_blank: LiveCanvas) -> None:
    page, before = live_blank.page, live_blank.pixels()
    live_blank.colour("#ff0000", size=20)
    for number in range(50):
        page.mouse.click(*live_blank.at(0.1 + 0.08 * (number % 10), 0.2 + 0.15 * (number // 10)))
    live_blank.idle()
    painted = live_blank.pixels()
    for key, wanted, button in (("Control+z", before, "Undo"), ("Control+Shift+z", painted, "Redo")):
        for _ in range(50):
            page.keyboard.press(key)
        live_blank.idle()
        expect(live_blank.button(button)).to_be_disabled()
        assert not changed(wanted, live_blank.pixels()).any()


def test_a_thousand_classes_scroll_and_are_filtered(live: LiveCanvas) -> None:
    def answer(route: Route) -> None:
        route.fulfill(json={"classes": THOUSAND, "message": "", "sheet": None})

    live.page.route(CLASSES, answer)
    live.build()
    live.open()
    live.root.get_by_role("tab", name="Classes").click()
    tiles = live.root.locator(".right .tile[data-class]")
    expect(tiles).to_have_count(1000)
    tiles.last.scroll_into_view_if_needed()
    expect(tiles.last).to_be_in_viewport()
    live.root.get_by_label("Search classes").fill("thing 99")
    expect(tiles).to_have_count(11)
    live.root.get_by_label("Search classes").fill("")
    expect(tiles).to_have_count(1000)


def test_all_that_is_written_can_be_read_in_the_light_and_the_dark_theme(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    theme = "async (name) => app.extensionManager.setting.set('Comfy.ColorPalette', name)"
    usual = page.evaluate("() => app.extensionManager.setting.get('Comfy.ColorPalette')")
    try:
        for name in ("light", "dark"):
            page.evaluate(theme, name)
            live_blank.editor.settle()
            for tab in ("Classes", "Features", "Colour"):
                live_blank.root.get_by_role("tab", name=tab).click()
                page.mouse.move(5, 5)
                live_blank.editor.settle()
                ratio, text = page.evaluate(CONTRAST)
                # AA of WCAG 2.2 for text of this size.
                assert ratio >= 4.5, f"{name}: {text!r} at {ratio:.1f}"
    finally:
        page.evaluate(theme, usual)
        live_blank.root.get_by_role("tab", name="Classes").click()


def test_the_stroke_is_drawn_while_the_answer_is_late(live_blank: LiveCanvas) -> None:
    page, before = live_blank.page, live_blank.pixels()
    live_blank.choose("church", size=40)
    held: list[Route] = []
    page.route("**/stroke", lambda route: held.append(route))
    live_blank.press(0.2, 0.5, to=(0.8, 0.5), hold=100)
    # At the beginning, on the way and under the pointer.
    page.wait_for_function(
        """(places) => {
            const canvas = document.querySelector(".robust-live canvas.overlay")
            const { left, top } = canvas.getBoundingClientRect()
            const alpha = ([x, y]) => canvas.getContext("2d").getImageData(x - left, y - top, 1, 1).data[3]
            return places.every((place) => alpha(place) > 0)
        }""",
        arg=[live_blank.at(x, 0.5) for x in (0.2, 0.5, 0.8)],
    )
    assert held
    assert not changed(before, live_blank.pixels()).any()
    held[0].continue_()
    page.unroute("**/stroke")
    page.mouse.up()
    live_blank.idle()
    assert changed(before, live_blank.pixels())[SIDE // 2, [SIDE // 5, SIDE // 2, 4 * SIDE // 5]].all()


def test_the_weakest_stroke_is_seen(live_photo: LiveCanvas) -> None:
    before = live_photo.pixels().astype(int)
    live_photo.choose("church", size=100)
    slider = live_photo.root.get_by_role("slider", name="Strength")
    slider.fill("0")
    expect(slider).to_have_attribute("aria-valuetext", "0.20")
    live_photo.paint(0.5, 0.5, hold=800)
    middle = np.s_[SIDE // 2 - 25 : SIDE // 2 + 25, SIDE // 2 - 25 : SIDE // 2 + 25]
    assert np.abs(live_photo.pixels() - before)[middle].mean() > 3


def test_the_renderer_is_switched_while_the_dialog_is_open(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    choose = "async (on) => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    live_blank.colour("#ff0000")
    try:
        page.evaluate(choose, False)
        live_blank.editor.settle()
        live_blank.paint(0.5, 0.5, hold=50)
        shown = live_blank.pixels()
        assert shown[SIDE // 2, SIDE // 2].tolist() == [255, 0, 0]
        live_blank.done()
        assert not changed(shown, live_blank.queued()).any()
    finally:
        page.evaluate(choose, True)
        live_blank.editor.settle()


def test_a_node_in_the_place_of_another_shows_its_own_painting(live: LiveCanvas) -> None:
    graphs = []
    for colour in ("#ff0000", "#00ff00"):
        live.build()
        live.open()
        live.blank()
        live.colour(colour)
        live.paint(0.5, 0.5, hold=50)
        live.done()
        graphs.append(saved_graph(live.page))
    for graph, own in zip(graphs, ([255, 0, 0], [0, 255, 0]), strict=True):
        load_graph(live.page, graph)
        # Both paintings have a file of that name, in folders of their own.
        name = Path(live.painting()).parent.name
        live.page.wait_for_function(
            """(name) => [...document.querySelectorAll("img.robust-live-preview")].some(
                (image) => image.checkVisibility() && image.complete && image.src.includes(name))""",
            arg=name,
        )
        shown = live.page.evaluate(
            """(name) => {
                const images = [...document.querySelectorAll("img.robust-live-preview")]
                const image = images.find(({ src }) => src.includes(name))
                const context = new OffscreenCanvas(1, 1).getContext("2d")
                context.drawImage(image, image.naturalWidth / 2, image.naturalHeight / 2, 1, 1, 0, 0, 1, 1)
                return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
            }""",
            name,
        )
        assert np.abs(np.array(shown) - own).max() < 30
