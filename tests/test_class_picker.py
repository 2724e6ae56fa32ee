"""The list of classes under a target class, and the notes in the list of classifiers, in the real editor."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.class_picker_editor import CLASSES, THOUSAND, Editor
from tools.editor import saved_graph


def plain(name: str) -> str:
    return name.replace("_", " ")


def type_instead(editor: Editor, text: str) -> None:
    editor.page.keyboard.press("ControlOrMeta+a")
    editor.page.keyboard.type(text)


@pytest.mark.parametrize(
    "node", ["RobustClassSeed", "RobustTranslate", "RobustInpaint", "RobustUpsample", "RobustFitSeeds"]
)
def test_the_classes_of_the_connected_classifier_are_listed(editor: Editor, node: str) -> None:
    editor.build(["RobustLoadClassifier", node], [(1, "classifier", 2, "classifier")])
    editor.choose("canvas")
    field = editor.open(node)
    expect(editor.options).to_have_count(39)
    assert "church" in editor.names()
    expect(field).to_have_attribute("role", "combobox")
    expect(field).to_have_attribute("aria-expanded", "true")
    editor.page.keyboard.press("Escape")
    expect(editor.options).to_have_count(0)


def test_the_classes_of_a_folder_to_train_on_are_listed(editor: Editor) -> None:
    editor.build(["RobustTrainClassifier", "RobustClassSeed"], [(1, "classifier", 2, "classifier")])
    editor.open("RobustClassSeed")
    expect(editor.options).to_have_count(3)
    assert [plain(name) for name in editor.names()] == ["flowers", "stained glass", "waves"]
    editor.page.keyboard.press("Escape")
    editor.page.evaluate("() => app.graph.nodes[0].widgets.find(({ name }) => name === 'folder').value = 'nowhere'")
    editor.open("RobustClassSeed")
    expect(editor.note).to_contain_text("There is no folder 'nowhere'")


def test_the_lines_of_a_long_text_are_listed(editor: Editor) -> None:
    editor.build(["RobustTextClasses", "RobustClassSeed"], [(1, "classifier", 2, "classifier")])
    lines = [f"a painting of scene {number}" for number in range(2000)]
    editor.page.evaluate(
        "(text) => app.graph.nodes[0].widgets.find(({ name }) => name === 'texts').value = text", "\n".join(lines)
    )
    editor.open("RobustClassSeed")
    expect(editor.options).to_have_count(2000)
    assert editor.names() == lines
    editor.page.keyboard.press("Escape")


def test_typing_filters_and_enter_takes_the_first(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, "golf")
    expect(seeded.options).to_have_count(1)
    seeded.page.keyboard.press("Enter")
    expect(seeded.options).to_have_count(0)
    assert plain(seeded.value("RobustClassSeed")) == "golf ball"
    assert plain(seeded.prompt("RobustClassSeed")["target_class"]) == "golf ball"


def test_each_class_has_a_picture_of_what_is_painted(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    pictures = seeded.options.locator(".picture")
    expect(pictures).to_have_count(39)
    shown = pictures.nth(9).evaluate(
        """async (picture) => {
            const { backgroundImage, backgroundPosition, width } = getComputedStyle(picture)
            const sheet = new Image()
            sheet.src = backgroundImage.slice(5, -2)
            await sheet.decode()
            return [backgroundPosition, width, sheet.naturalWidth, sheet.naturalHeight]
        }"""
    )
    # The second picture of the second row.
    assert shown == ["-40px -40px", "40px", 8 * 64, 5 * 64]
    type_instead(seeded, "zeb")
    expect(seeded.options.locator(".picture")).to_have_css("background-position", "-240px -160px")
    seeded.page.keyboard.press("Escape")


def test_arrows_and_tab_take_another(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, "s")
    first, second = seeded.names()[:2]
    assert first[0] == second[0] == "s"
    seeded.page.keyboard.press("ArrowDown")
    expect(seeded.options.nth(1)).to_have_class("active")
    seeded.page.keyboard.press("Tab")
    assert seeded.value("RobustClassSeed") == second


def test_opening_the_list_changes_nothing(seeded: Editor) -> None:
    before = seeded.value("RobustClassSeed")
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    seeded.page.keyboard.press("Enter")
    assert seeded.value("RobustClassSeed") == before


@pytest.mark.parametrize(
    ("typed", "moves", "becomes"),
    [
        ("sea:0.7, mou", [], "sea:0.7, mountain"),
        ("sea,mou", [], "sea, mountain"),
        ("sea, -stre", [], "sea, -street"),
        ("mou:0.3, -street", ["Home", "ArrowRight", "ArrowRight", "x", "Backspace"], "mountain:0.3, -street"),
    ],
)
def test_only_the_term_at_the_caret_is_replaced(seeded: Editor, typed: str, moves: list[str], becomes: str) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, typed)
    for key in moves:
        seeded.page.keyboard.press(key)
    expect(seeded.options).to_have_count(1)
    seeded.page.keyboard.press("Enter")
    assert seeded.value("RobustClassSeed") == becomes


def test_what_is_no_class_stays_as_it_was_typed(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, "sea:0.7, walrus")
    expect(seeded.note).to_contain_text("walrus")
    seeded.page.keyboard.press("Enter")
    assert seeded.value("RobustClassSeed") == "sea:0.7, walrus"
    assert seeded.prompt("RobustClassSeed")["target_class"] == "sea:0.7, walrus"


def test_a_chosen_class_is_saved_and_loaded(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, "glac")
    seeded.page.keyboard.press("Enter")
    graph = saved_graph(seeded.page)
    saved = next(node for node in graph["nodes"] if node["type"] == "RobustClassSeed")
    assert saved["widgets_values"][0] == "glacier"
    seeded.page.evaluate("(graph) => app.loadGraphData(graph)", graph)
    seeded.settle()
    assert seeded.value("RobustClassSeed") == "glacier"


def test_letters_are_no_commands_for_the_graph(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    type_instead(seeded, "rmb.q")
    seeded.page.keyboard.press("Home")
    seeded.page.keyboard.press("Delete")
    assert seeded.value("RobustClassSeed") == "mb.q"
    assert seeded.page.evaluate("() => app.graph.nodes.map((node) => node.mode)") == [0, 0]


def test_another_classifier_has_other_classes(seeded: Editor) -> None:
    seeded.choose("seasons")
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(2)


def test_without_a_classifier_the_list_says_so(editor: Editor) -> None:
    editor.build(["RobustClassSeed"], [])
    editor.open("RobustClassSeed")
    expect(editor.note).to_have_text("Connect a classifier to see its classes.")


def test_the_classifier_is_found_behind_other_nodes(editor: Editor) -> None:
    types = ["RobustLoadClassifier", "Reroute", "RobustFitSeeds", "RobustClassSeed"]
    editor.build(types, [(1, "classifier", 2, ""), (2, "", 3, "classifier"), (3, "classifier", 4, "classifier")])
    editor.choose("seasons")
    editor.page.evaluate("() => app.graph.nodes.find((node) => node.type === 'RobustFitSeeds').mode = 4")
    editor.open("RobustClassSeed")
    expect(editor.options).to_have_count(2)
    # A sheet of fewer pictures than fill a row is as wide as they are.
    # Versions of Chromium differ in whether they name the height.
    expect(editor.options.nth(1).locator(".picture")).to_have_css("background-size", re.compile("^80px( auto)?$"))


def test_the_name_of_the_classifier_may_come_from_a_primitive(editor: Editor) -> None:
    editor.build(
        ["PrimitiveNode", "RobustLoadClassifier", "RobustClassSeed"],
        [(1, "", 2, "classifier"), (2, "classifier", 3, "classifier")],
    )
    editor.page.evaluate(
        "() => app.graph.nodes.find((node) => node.type === 'PrimitiveNode').widgets[0].value = 'painters'"
    )
    editor.open("RobustClassSeed")
    expect(editor.options).to_have_count(8)


def test_a_class_may_be_chosen_in_a_linked_string(seeded: Editor) -> None:
    types = ["RobustLoadClassifier", "RobustClassSeed", "PrimitiveString"]
    seeded.build(types, [(1, "classifier", 2, "classifier"), (3, "", 2, "target_class")])
    seeded.choose("canvas")
    seeded.open("PrimitiveString", "value")
    expect(seeded.options).to_have_count(39)
    type_instead(seeded, "tenc")
    seeded.page.keyboard.press("Enter")
    assert seeded.value("PrimitiveString", "value") == "tench"
    assert seeded.prompt("RobustClassSeed")["target_class"] == ["3", 0]


def test_a_linked_field_opens_no_list(seeded: Editor) -> None:
    types = ["RobustLoadClassifier", "RobustClassSeed", "PrimitiveString"]
    seeded.build(types, [(1, "classifier", 2, "classifier"), (3, "", 2, "target_class")])
    seeded.page.mouse.click(*seeded.middle("RobustClassSeed", "target_class"))
    seeded.settle()
    expect(seeded.options).to_have_count(0)


def test_a_string_of_another_node_has_no_list(seeded: Editor) -> None:
    seeded.build(["PrimitiveString", "PreviewAny"], [(1, "", 2, "source")])
    seeded.page.mouse.click(*seeded.middle("PrimitiveString", "value"))
    seeded.settle()
    expect(seeded.options).to_have_count(0)


def test_a_thousand_classes_scroll_and_are_filtered(seeded: Editor) -> None:
    def answer(route: Route) -> None:
        route.fulfill(json={"classes": THOUSAND, "message": ""})

    seeded.page.route(CLASSES, answer)
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(1000)
    zoom = seeded.page.evaluate("() => app.canvas.ds.scale")
    seeded.options.nth(2).hover()
    seeded.page.mouse.wheel(0, 600)
    seeded.page.wait_for_function("() => document.querySelector('.robust-classes ul').scrollTop > 300")
    assert seeded.page.evaluate("() => app.canvas.ds.scale") == zoom
    expect(seeded.options).to_have_count(1000)
    type_instead(seeded, "thing 99")
    expect(seeded.options).to_have_count(11)
    assert seeded.names()[0] == "thing 99"
    type_instead(seeded, "res 123")
    expect(seeded.options).to_have_count(1)
    seeded.page.keyboard.press("Enter")
    assert seeded.value("RobustClassSeed") == "thing 123"


def test_why_a_list_is_empty_is_said(seeded: Editor) -> None:
    message = "Run once to download it; then its classes are listed here."
    seeded.page.route(CLASSES, lambda route: route.fulfill(json={"classes": [], "message": message}))
    seeded.choose("resnet50_l2_eps3")
    seeded.open("RobustClassSeed")
    expect(seeded.note).to_have_text(message)


def test_the_list_closes_when_the_graph_moves(seeded: Editor) -> None:
    seeded.open("RobustClassSeed")
    expect(seeded.options).to_have_count(39)
    seeded.page.evaluate("() => { app.canvas.ds.offset[0] += 40; app.canvas.setDirty(true, true) }")
    expect(seeded.options).to_have_count(0)


@pytest.mark.parametrize("zoom", [0.4, 1.7])
def test_the_list_works_at_any_zoom(editor: Editor, zoom: float) -> None:
    editor.build(["RobustLoadClassifier", "RobustClassSeed"], [(1, "classifier", 2, "classifier")], zoom)
    editor.choose("canvas")
    field = editor.open("RobustClassSeed")
    expect(editor.options).to_have_count(39)
    box = editor.page.locator(".robust-classes").bounding_box()
    under = field.bounding_box()
    assert box
    assert under
    assert 0 <= box["y"] - under["y"] - under["height"] < 10
    editor.options.filter(has_text="parachute").click()
    assert editor.value("RobustClassSeed") == "parachute"


def test_the_list_of_classifiers_says_where_they_are(seeded: Editor) -> None:
    page = seeded.page
    if seeded.vue_nodes:
        page.locator(f"[data-node-id='{seeded.id_of('RobustLoadClassifier')}'] button[role=combobox]").click()
        entries = page.get_by_role("option")
    else:
        page.mouse.click(*seeded.middle("RobustLoadClassifier", "classifier"))
        entries = page.locator(".litemenu-entry")
    expect(entries.filter(has_text="seasons")).to_contain_text("bundled")
    entries.filter(has_text="seasons").click()
    assert seeded.value("RobustLoadClassifier", "classifier") == "seasons"
    assert seeded.prompt("RobustLoadClassifier")["classifier"] == "seasons"
