"""Painting in the dialog of the Live Canvas, in ComfyUI's real editor, with both of its node renderers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.live_dialog import SIDE, LiveCanvas, changed, drop, make_photo
from tools.editor import saved_graph


def test_a_stroke_changes_only_what_is_under_it(live_photo: LiveCanvas) -> None:
    before = live_photo.pixels()
    live_photo.choose("church", size=80)
    live_photo.paint(0.5, 0.5, hold=800)
    after = live_photo.pixels()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    under = np.hypot(x - SIDE / 2, y - SIDE / 2) <= 42
    assert changed(before, after)[under].mean() > 0.5
    assert not changed(before, after)[~under].any()
    live_photo.button("Undo").click()
    live_photo.idle()
    assert not changed(before, live_photo.pixels()).any()
    live_photo.page.keyboard.press("Control+Shift+z")
    live_photo.idle()
    assert not changed(after, live_photo.pixels()).any()


def test_many_strokes_in_a_row_end_in_exact_pixels(live_photo: LiveCanvas) -> None:
    live_photo.choose("sea", size=50)
    for place in (0.2, 0.4, 0.6, 0.8):
        live_photo.press(place, place, hold=50)
        live_photo.page.mouse.up()
    live_photo.idle()
    shown = live_photo.pixels()
    live_photo.done()
    assert not changed(shown, live_photo.queued()).any()


def test_a_picture_is_dropped_in(live_blank: LiveCanvas, tmp_path: Path) -> None:
    pixels = make_photo(tmp_path / "dropped.png", side=128)
    drop(live_blank.page, tmp_path / "dropped.png")
    live_blank.page.wait_for_function("() => document.querySelector('.robust-live canvas.picture').width === 128")
    assert not changed(pixels, live_blank.pixels()).any()
    live_blank.colour("#ff0000")
    live_blank.paint(0.5, 0.5, hold=50)
    drop(live_blank.page, tmp_path / "dropped.png")
    live_blank.button("Begin anew on it").click()
    live_blank.page.wait_for_function("() => document.querySelector('.robust-live').dataset.state === 'idle'")
    assert not changed(pixels, live_blank.pixels()).any()


def test_escape_takes_back_the_stroke_under_way_and_then_closes(live_blank: LiveCanvas) -> None:
    before = live_blank.pixels()
    live_blank.choose("church", size=100)
    live_blank.press(0.5, 0.5)
    expect(live_blank.root).to_have_attribute("data-state", "live")
    assert changed(before, live_blank.pixels()).any()
    live_blank.page.keyboard.press("Escape")
    live_blank.idle()
    live_blank.page.mouse.up()
    assert not changed(before, live_blank.pixels()).any()
    live_blank.page.keyboard.press("Escape")
    expect(live_blank.root).to_have_count(0)


def test_no_key_of_the_dialog_reaches_the_graph(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()")
    graph = saved_graph(page)
    live_blank.button("Fill all").focus()
    for key in ("Control+z", "Control+z", "Control+y", "Delete", "Control+a", "Control+v", "Control+m", "r", "p"):
        page.keyboard.press(key)
    live_blank.editor.settle()
    assert saved_graph(page)["nodes"] == graph["nodes"]
    expect(live_blank.root).to_be_visible()


def test_a_selection_is_filled(live_blank: LiveCanvas) -> None:
    before = live_blank.pixels()
    live_blank.colour("#ff0000")
    live_blank.root.get_by_role("button", name="Select rectangle").click()
    live_blank.press(0.25, 0.25, to=(0.75, 0.5), hold=50)
    live_blank.page.mouse.up()
    live_blank.button("Fill selection").click()
    live_blank.idle()
    filled = changed(before, live_blank.pixels())
    quarter = SIDE // 4
    inside = filled[quarter + 2 : 2 * quarter - 2, quarter + 2 : 3 * quarter - 2]
    assert inside.all()
    assert filled.sum() < (quarter + 4) * (2 * quarter + 4)


def test_a_selection_goes_with_its_picture(live_blank: LiveCanvas, tmp_path: Path) -> None:
    live_blank.colour("#ff0000")
    live_blank.root.get_by_role("button", name="Select rectangle").click()
    live_blank.press(0.75, 0.75, to=(0.9, 0.9), hold=50)
    live_blank.page.mouse.up()
    expect(live_blank.button("Fill selection")).to_be_visible()
    make_photo(tmp_path / "small.png", side=128)
    drop(live_blank.page, tmp_path / "small.png")
    expect(live_blank.button("Fill all")).to_be_visible()
    # The tool is remembered.
    live_blank.page.keyboard.press("1")


def test_the_first_stroke_is_undone_while_it_gets_its_detail(live_blank: LiveCanvas) -> None:
    before = live_blank.pixels()
    live_blank.choose("sea", size=200)
    live_blank.press(0.5, 0.5)
    live_blank.page.mouse.up()
    live_blank.page.keyboard.press("Control+z")
    live_blank.idle()
    assert not changed(before, live_blank.pixels()).any()
    assert not live_blank.button("Redo").is_disabled()


def test_the_eyedropper_finds_features_and_a_feature_paints(live_photo: LiveCanvas) -> None:
    page, before = live_photo.page, live_photo.pixels()
    live_photo.choose("sea")
    page.keyboard.press("6")
    page.mouse.click(*live_photo.at(0.5, 0.5))
    tile = live_photo.root.locator("[data-feature]").first
    tile.wait_for()
    page.wait_for_function(
        "() => document.querySelector('[data-feature] .picture').style.backgroundImage.includes('blob:')",
        timeout=60_000,
    )
    tile.click()
    expect(live_photo.button("Feature")).to_have_attribute("aria-pressed", "true")
    live_photo.paint(0.5, 0.5)
    assert changed(before, live_photo.pixels()).any()


def test_pictures_of_classes_that_nobody_has_made_yet_are_painted(live: LiveCanvas, without_sheet: str) -> None:
    live.build()
    live.editor.choose(without_sheet)
    live.open()
    live.blank()
    # Only pictures that are seen are painted.
    live.root.get_by_role("tab", name="Classes").click()
    live.page.wait_for_function(
        """() => {
            const pictures = [...document.querySelectorAll("dialog .right .tile[data-class] .picture")]
            return pictures.length === 2 && pictures.every(({ style }) => style.backgroundImage.includes("blob:"))
        }""",
        timeout=60_000,
    )


def test_before_is_shown_while_its_key_is_held(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    live_blank.colour("#ff0000")
    live_blank.paint(0.5, 0.5, hold=50)
    image = live_blank.root.locator("img.before")
    page.keyboard.down("x")
    expect(image).to_be_visible()
    page.keyboard.up("x")
    expect(image).to_be_hidden()


def test_the_keyboard_alone_is_enough(live: LiveCanvas) -> None:
    page = live.page
    live.build()
    page.evaluate("() => app.canvas.selectNode(app.graph.nodes.find(({ type }) => type === 'RobustCanvas'))")
    page.keyboard.press("Alt+l")
    expect(live.button("Blank canvas")).to_be_focused()
    page.keyboard.press("Enter")
    live.shown()
    before = live.pixels()
    page.keyboard.press("1")
    search = live.root.get_by_label("Search classes")
    for _ in range(40):
        page.keyboard.press("Tab")
        if search.evaluate("(field) => field === document.activeElement"):
            break
    page.keyboard.type("church")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    live.idle()
    assert changed(before, live.pixels()).mean() > 0.5
    page.keyboard.press("Control+z")
    live.idle()
    assert not changed(before, live.pixels()).any()
    page.keyboard.press("Escape")
    expect(live.root).to_have_count(0)


def test_a_picture_of_4096_pixels(live: LiveCanvas) -> None:
    live.build(side=4096)
    live.open()
    live.blank()
    # All of it as a PNG would take the browser seconds.
    middle = (
        "() => [...document.querySelector('canvas.picture').getContext('2d').getImageData(1998, 1998, 100, 100).data]"
    )
    before = np.array(live.page.evaluate(middle), np.uint8).reshape(100, 100, 4)
    live.choose("church", size=200)
    live.press(0.5, 0.5, hold=300)
    expect(live.root).to_have_attribute("data-state", "live")
    live.page.mouse.up()
    live.idle()
    expect(live.root.locator(".numbers")).to_contain_text("4096")
    after = np.array(live.page.evaluate(middle), np.uint8).reshape(100, 100, 4)
    assert changed(before, after).mean() > 0.5


def test_why_nothing_can_be_painted_is_said(live: LiveCanvas) -> None:
    live.build()
    live.page.evaluate("() => app.graph.remove(app.graph.nodes.find(({ type }) => type === 'RobustLoadClassifier'))")
    live.open()
    expect(live.root.get_by_role("alert")).to_contain_text("Connect a Load Robust Classifier")
    live.button("Close").click()
    expect(live.root).to_have_count(0)


def test_a_classifier_that_is_changed_on_its_way_is_not_ignored(live: LiveCanvas) -> None:
    live.build()
    live.page.evaluate(
        """() => {
            const find = (type) => app.graph.nodes.find((node) => node.type === type)
            const [loader, canvas] = [find("RobustLoadClassifier"), find("RobustCanvas")]
            const combine = LiteGraph.createNode("RobustCombineClassifiers")
            app.graph.add(combine)
            for (const slot of [0, 1]) loader.connect(0, combine, slot)
            combine.connect(0, canvas, canvas.inputs.findIndex(({ name }) => name === "classifier"))
        }"""
    )
    into_subgraph = """() => {
        const combine = app.graph.nodes.find(({ type }) => type === "RobustCombineClassifiers")
        app.graph.convertToSubgraph(new Set([combine]))
    }"""
    for change in ("() => {}", into_subgraph):
        live.page.evaluate(change)
        live.open()
        expect(live.root.get_by_role("alert")).to_contain_text("this one comes from Combine Classifiers")
        live.button("Close").click()
        expect(live.root).to_have_count(0)
    # A bypassed node, here the subgraph, passes on what arrives.
    live.page.evaluate("() => { app.graph.nodes.find((node) => node.isSubgraphNode?.()).mode = 4 }")
    live.open()
    live.blank()


def test_a_photo_with_transparency_lies_on_white(live_blank: LiveCanvas, tmp_path: Path) -> None:
    Image.new("RGBA", (100, 100), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    drop(live_blank.page, tmp_path / "clear.png")
    live_blank.page.wait_for_function("() => document.querySelector('.robust-live canvas.picture').width === 100")
    assert (live_blank.pixels() == 255).all()


def test_a_double_click_on_the_node_opens_the_dialog(live: LiveCanvas) -> None:
    live.build()
    x, y = live.page.evaluate(
        """() => {
            const node = app.graph.nodes.find(({ type }) => type === "RobustCanvas")
            const { left, top } = app.canvas.canvas.getBoundingClientRect()
            return [left + node.pos[0] + node.size[0] / 2, top + node.pos[1] + 12]
        }"""
    )
    live.page.mouse.dblclick(x, y)
    expect(live.button("Blank canvas")).to_be_visible()


def test_a_mirrored_stroke_is_on_both_sides(live_blank: LiveCanvas) -> None:
    live_blank.colour("#ff0000", size=40)
    live_blank.page.keyboard.press("m")
    live_blank.paint(0.25, 0.5, hold=50)
    pixels = live_blank.pixels()
    assert pixels[SIDE // 2, SIDE // 4].tolist() == pixels[SIDE // 2, 3 * SIDE // 4].tolist() == [255, 0, 0]


def test_shift_joins_strokes_by_a_straight_line(live_blank: LiveCanvas) -> None:
    live_blank.colour("#ff0000", size=40)
    live_blank.paint(0.25, 0.25, hold=50)
    live_blank.page.keyboard.down("Shift")
    live_blank.paint(0.75, 0.75, hold=50)
    live_blank.page.keyboard.up("Shift")
    assert live_blank.pixels()[SIDE // 2, SIDE // 2].tolist() == [255, 0, 0]


def test_brackets_change_the_size_and_wheel_and_f_the_zoom(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    size = live_blank.root.get_by_role("slider", name="Size")
    live_blank.choose("sea", size=64)
    page.keyboard.press("]")
    expect(size).to_have_attribute("aria-valuetext", "77 px")
    page.keyboard.press("[")
    expect(size).to_have_attribute("aria-valuetext", "64 px")
    percent = live_blank.root.locator(".percent")
    fitted = percent.inner_text()
    page.mouse.move(*live_blank.at(0.5, 0.5))
    page.mouse.wheel(0, -300)
    expect(percent).not_to_have_text(fitted)
    page.keyboard.press("f")
    expect(percent).to_have_text(fitted)
