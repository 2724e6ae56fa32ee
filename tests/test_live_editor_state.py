"""The dialog of the Live Canvas beside the graph, the queue, and a server that goes away: nothing is lost or mixed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Route, expect

from tests.live_dialog import CLOSE, LIVE, OPEN, PHOTO, SIDE, LiveCanvas, changed, make_photo
from tests.prompts import made
from tools.client import ComfyClient, InterruptedRunError
from tools.editor import load_graph, open_editor, saved_graph


def test_the_queue_gives_what_was_on_the_screen(live_blank: LiveCanvas) -> None:
    live_blank.choose("church", size=120)
    live_blank.paint(0.3, 0.5, to=(0.7, 0.5))
    shown = live_blank.pixels()
    assert changed(shown, np.full_like(shown, 128)).mean() > 0.1
    live_blank.done()
    assert live_blank.painting().startswith("robust_canvas/")
    assert not changed(shown, live_blank.queued()).any()


def test_a_base_that_was_chosen_is_queued_without_a_stroke(live: LiveCanvas) -> None:
    live.build()
    live.open()
    live.root.get_by_role("button", name="Seed of").first.click()
    live.shown()
    shown = live.pixels()
    assert shown.std() > 5
    live.done()
    assert not changed(shown, live.queued()).any()


def test_a_wired_picture_that_was_only_looked_at_leaves_the_node_as_it_was(live_photo: LiveCanvas) -> None:
    shown = live_photo.pixels()
    live_photo.done()
    assert live_photo.painting() == ""
    assert not changed(shown, live_photo.queued()).any()


def test_a_base_that_was_chosen_is_kept_where_another_picture_is_wired_in(live_photo: LiveCanvas) -> None:
    live_photo.button("New").click()
    live_photo.root.get_by_role("button", name="Seed of").first.click()
    live_photo.shown()
    live_photo.page.wait_for_function("() => document.querySelector('.robust-live').dataset.state === 'idle'")
    chosen = live_photo.pixels()
    live_photo.done()
    name = live_photo.painting()
    assert name
    live_photo.open()
    live_photo.shown()
    expect(live_photo.root.get_by_text("Another picture is wired in.")).to_be_visible()
    expect(live_photo.button("Replay the strokes on it")).to_have_count(0)
    live_photo.button("Keep as it is").click()
    live_photo.done()
    assert live_photo.painting() == name
    assert not changed(chosen, live_photo.queued()).any()


def test_a_painting_that_cannot_be_saved_stays_open(live_blank: LiveCanvas) -> None:
    live_blank.colour("#ff0000")
    live_blank.paint(0.5, 0.5, hold=50)
    shown = live_blank.pixels()
    full = '{"error": "The painting could not be saved: No space left on device"}'
    live_blank.page.route(CLOSE, lambda route: route.fulfill(status=500, content_type="application/json", body=full))
    live_blank.button("Done").click()
    expect(live_blank.root.get_by_text("No space left on device").first).to_be_visible()
    live_blank.page.unroute(CLOSE)
    live_blank.button("Try again").click()
    expect(live_blank.root).to_have_count(0)
    live_blank.forgive_failed_requests()
    assert not changed(shown, live_blank.queued()).any()


def test_a_reload_of_the_page_restores_the_painting(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    live_blank.choose("forest", size=120)
    live_blank.paint(0.5, 0.5)
    shown = live_blank.pixels()
    graph = saved_graph(page)
    open_editor(page, live_blank.server.url, vue_nodes=live_blank.editor.vue_nodes)
    load_graph(page, graph)
    live_blank.editor.settle()
    live_blank.open()
    live_blank.shown()
    assert not changed(shown, live_blank.pixels()).any()
    # The session was still there, and so is its undo.
    expect(live_blank.button("Undo")).to_be_enabled()


def test_painting_waits_for_a_prompt_and_goes_on(live_blank: LiveCanvas) -> None:
    steps = {"preset.steps": 2000, "preset.objective": "logit"}
    prompt = made(preset="custom", **steps)
    client = ComfyClient(live_blank.server.url)
    live_blank.choose("church", size=100)
    before = live_blank.pixels()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, prompt)
        try:
            live_blank.page.wait_for_function(
                "async () => (await (await fetch('/queue')).json()).queue_running.length > 0", timeout=30_000
            )
            live_blank.press(0.5, 0.5)
            expect(live_blank.said).to_contain_text("Waiting")
            assert not changed(before, live_blank.pixels()).any()
        finally:
            client.interrupt()
        with pytest.raises(InterruptedRunError):
            running.result()
    expect(live_blank.root).to_have_attribute("data-state", "live")
    live_blank.page.mouse.up()
    live_blank.idle()
    assert changed(before, live_blank.pixels()).any()


def test_two_canvases_do_not_mix(live: LiveCanvas) -> None:
    live.build(nodes=2)
    pictures = []
    for index, colour in enumerate(("#ff0000", "#00ff00")):
        live.open(index)
        live.blank()
        live.colour(colour)
        live.paint(0.5, 0.5, hold=50)
        pictures.append(live.pixels())
        live.done()
    assert pictures[0][SIDE // 2, SIDE // 2].tolist() == [255, 0, 0]
    assert pictures[1][SIDE // 2, SIDE // 2].tolist() == [0, 255, 0]
    assert live.painting(0) != live.painting(1)
    live.open(0)
    live.shown()
    assert not changed(pictures[0], live.pixels()).any()


def test_a_copied_node_gets_a_painting_of_its_own(live: LiveCanvas) -> None:
    live.build(nodes=2)
    live.open(0)
    live.blank()
    live.colour("#ff0000")
    live.paint(0.5, 0.5, hold=50)
    live.done()
    own, shown = live.painting(0), live.queued()
    live.page.evaluate(
        """(painting) => {
            const canvases = app.graph.nodes.filter(({ type }) => type === "RobustCanvas")
            const [, copy] = canvases.sort((one, other) => one.id - other.id)
            copy.widgets.find(({ name }) => name === "painting").value = painting
        }""",
        own,
    )
    live.open(1)
    live.shown()
    assert not changed(shown, live.pixels()).any()
    live.colour("#0000ff")
    live.paint(0.5, 0.5, hold=50)
    live.done()
    assert live.painting(0) == own
    assert Path(live.painting(1)).parent != Path(own).parent
    assert not changed(shown, live.queued()).any()


@pytest.mark.parametrize("answer", ["Replay the strokes on it", "Keep as it is", "Begin anew on it"])
def test_another_picture_that_is_wired_in_is_offered(live_photo: LiveCanvas, answer: str) -> None:
    first = live_photo.pixels()
    live_photo.colour("#ff0000")
    live_photo.paint(0.5, 0.5, hold=50)
    painted = live_photo.pixels()
    live_photo.done()
    other = make_photo(live_photo.server.base / "input" / PHOTO, shift=90)
    live_photo.open()
    live_photo.shown()
    assert not changed(painted, live_photo.pixels()).any()
    expect(live_photo.root.get_by_text("Another picture is wired in.")).to_be_visible()
    live_photo.button(answer).click()
    expect(live_photo.root.locator(".card")).to_have_count(0)
    live_photo.page.wait_for_function("() => document.querySelector('.robust-live').dataset.state === 'idle'")
    live_photo.idle()
    if answer == "Keep as it is":
        wanted = painted
    elif answer == "Begin anew on it":
        wanted = other
    else:
        # The rim of a stroke is a little of both.
        wanted = live_photo.pixels()
        red = (painted == [255, 0, 0]).all(axis=2)
        assert red.any()
        assert (wanted[red] == [255, 0, 0]).all()
        untouched = ~changed(painted, first)
        assert not changed(wanted, other)[untouched].any()
    assert not changed(wanted, live_photo.pixels()).any()
    live_photo.done()
    assert not changed(wanted, live_photo.queued()).any()


def test_a_picture_of_another_node_is_there_after_the_graph_ran(live: LiveCanvas) -> None:
    live.build(photo=True)
    live.page.evaluate(
        """() => {
            const find = (type) => app.graph.nodes.find((node) => node.type === type)
            const invert = LiteGraph.createNode("ImageInvert")
            app.graph.add(invert)
            find("LoadImage").connect(0, invert, 0)
            const canvas = find("RobustCanvas")
            invert.connect(0, canvas, canvas.inputs.findIndex(({ name }) => name === "image"))
        }"""
    )
    live.open()
    expect(live.root.get_by_text("Run the graph once")).to_be_visible()
    live.page.keyboard.press("Escape")
    expect(live.root).to_have_count(0)
    live.page.evaluate("() => app.queuePrompt(0)")
    live.page.wait_for_function("() => Object.values(app.nodeOutputs).some((output) => output.robust_canvas_base)")
    live.open()
    live.shown()
    assert not changed(live.pixels(), 255 - make_photo(live.server.base / "input" / PHOTO)).any()


def test_a_lost_connection_is_taken_up_again(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    live_blank.choose("sea", size=80)
    live_blank.paint(0.25, 0.5)
    live_blank.press(0.5, 0.5)
    lost = True
    # Not `unroute` in between: a request that is sent while a route is taken away may never be answered.
    page.route(LIVE, lambda route: route.abort() if lost else route.continue_())
    expect(live_blank.said).to_contain_text("connection was lost")
    page.mouse.move(*live_blank.at(0.75, 0.5), steps=4)
    lost = False
    expect(live_blank.root).to_have_attribute("data-state", "live")
    page.mouse.up()
    live_blank.idle()
    shown = live_blank.pixels()
    grey = np.full_like(shown, 128)
    assert all(changed(shown, grey)[SIDE // 2, int(SIDE * place)] for place in (0.25, 0.5, 0.75))
    live_blank.forgive_failed_requests()
    live_blank.done()
    assert not changed(shown, live_blank.queued()).any()


def test_a_session_that_the_server_has_freed_is_opened_again(live_blank: LiveCanvas) -> None:
    live_blank.colour("#ff0000")
    live_blank.paint(0.25, 0.5, hold=50)
    gone = {"error": "This painting is not open any more: open it again."}
    first = iter([True])

    def answer(route: Route) -> None:
        # Not `times=1`: a request that is sent while a route is taken away may never be answered.
        if next(first, False):
            route.fulfill(status=410, json=gone)
        else:
            route.continue_()

    live_blank.page.route("**/stroke", answer)
    live_blank.paint(0.75, 0.5, hold=50)
    shown = live_blank.pixels()
    live_blank.forgive_failed_requests()
    assert shown[SIDE // 2, SIDE // 4].tolist() == shown[SIDE // 2, 3 * SIDE // 4].tolist() == [255, 0, 0]


def test_nothing_is_asked_for_while_nothing_changes(live_blank: LiveCanvas) -> None:
    page = live_blank.page
    live_blank.colour("#ff0000")
    live_blank.press(0.5, 0.5)
    live_blank.requests.clear()
    # A colour does not grow.
    page.wait_for_timeout(600)
    page.mouse.up()
    live_blank.idle()
    assert len(live_blank.requests) <= 2
    live_blank.requests.clear()
    page.wait_for_timeout(700)
    assert live_blank.requests == []
    live_blank.choose("sea")
    live_blank.press(0.5, 0.5, hold=300)
    page.mouse.up()
    live_blank.done()
    live_blank.requests.clear()
    page.wait_for_timeout(700)
    assert live_blank.requests == []


@pytest.mark.parametrize("event", ["deleted", "switched"])
def test_the_dialog_goes_with_its_node(live_blank: LiveCanvas, event: str) -> None:
    page = live_blank.page
    live_blank.choose("sea")
    live_blank.press(0.5, 0.5)
    if event == "deleted":
        page.evaluate("() => app.graph.remove(app.graph.nodes.find(({ type }) => type === 'RobustCanvas'))")
    else:
        page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    expect(live_blank.root).to_have_count(0)
    page.mouse.up()
    page.wait_for_timeout(300)
    live_blank.requests.clear()
    page.wait_for_timeout(600)
    assert live_blank.requests == []


def test_a_painting_that_is_missing_is_said(live: LiveCanvas) -> None:
    live.build()
    refused: dict[str, Any] = {"status": 404, "json": {"error": "The painting is not on this machine (any more)."}}

    def refuse(route: Route) -> None:
        route.fulfill(**refused)

    live.page.evaluate(
        "() => { app.graph.nodes.find(({ type }) => type === 'RobustCanvas')"
        ".widgets.find(({ name }) => name === 'painting').value = 'robust_canvas/none/0001.png' }"
    )
    live.page.route(OPEN, refuse)
    live.open()
    expect(live.root.get_by_role("alert")).to_contain_text("not on this machine")
    live.page.unroute(OPEN)
    live.button("Begin with something else").click()
    live.blank()
    assert live.pixels().shape == (SIDE, SIDE, 3)
    live.forgive_failed_requests()
