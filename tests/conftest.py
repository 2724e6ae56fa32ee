"""What the tests share: the bundled classifiers, tiny random ones, and a real ComfyUI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
import torch
from playwright.sync_api import Browser, Page

from robust_synthesis.models import ClassifierCard, RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.thumbnails import sheet_of
from tests.asynchronous import run_async
from tests.class_picker_editor import Editor
from tests.live_dialog import LiveCanvas
from tests.sharing_out import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.sharing_out import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tools.editor import chromium, complaints_of, find_chromium, open_editor
from tools.server import ComfyServer

hypothesis.settings.register_profile("pack", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("pack")
# The pictures are small, and threads that wait for a busy core only make them slow: here and in all that is started.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know, when they end, whether the test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def _tiny_classifier(input_size: int = 32, classes: int = 3, activation: str = "silu") -> RobustClassifier:
    """A random network of a few hundred weights: quick, and its gradients are rough."""
    architecture = {
        "name": "narrow_resnet",
        "widths": [4, 6],
        "blocks": [1, 1],
        "stem_stride": 1,
        "activation": activation,
    }
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = build_network(architecture, classes)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    labels = tuple(f"class_{index}" for index in range(classes))
    card = ClassifierCard("Tiny", architecture, labels, input_size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    return RobustClassifier(network, card)


@pytest.fixture(scope="session")
def tiny_classifier() -> Callable[..., RobustClassifier]:
    return _tiny_classifier


@pytest.fixture(scope="session")
def tiny() -> RobustClassifier:
    return _tiny_classifier()


@pytest.fixture(scope="session")
def canvas() -> RobustClassifier:
    return load_classifier(bundled_classifiers()["canvas"])


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The real ComfyUI; without one there is nothing that a node could run in."""
    from tools.comfyui import locate

    path = locate()
    if not (path / "main.py").is_file():
        pytest.skip("no ComfyUI here: run `python dev.py test` once, which fetches one, or set COMFYUI_PATH")
    return path


@pytest.fixture(scope="session")
def pack(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The nodes, loaded by the pack's own door into a real ComfyUI on the CPU, its folders empty."""
    sys.path.insert(0, str(comfyui))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    # The bounds are of float32, whatever the processor; the servers of the tests compute as they do for users.
    comfy.cli_args.args.force_fp32 = True
    comfy.cli_args.args.base_directory = str(tmp_path_factory.mktemp("comfyui"))

    import robust_synthesis

    async def start() -> object:
        extension = await robust_synthesis.comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    run_async(start())
    import robust_synthesis.nodes

    return robust_synthesis.nodes


@pytest.fixture(scope="session")
def classifier_folder(pack: ModuleType) -> Path:  # noqa: ARG001 (the pack registers it)
    """The folder of the user's classifiers in the ComfyUI of `pack`."""
    import folder_paths

    place = Path(folder_paths.get_folder_paths("robust_classifiers")[0])
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.fixture(scope="module")
def classifier(pack: ModuleType) -> Any:
    """What Load Robust Classifier gives for canvas."""
    return pack.RobustLoadClassifier.execute("canvas").result[0]


@pytest.fixture(autouse=True)
def folders_as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test saves in the ComfyUI of `pack` is removed: which tests ran before it in the process may be any."""
    if "pack" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("pack")
    import comfy.cli_args

    folder = Path(comfy.cli_args.args.base_directory)
    before = set(folder.rglob("*"))
    yield
    for path in set(folder.rglob("*")) - before:
        if path.is_file() or path.is_symlink():
            path.unlink()


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:  # noqa: ARG001
    """A ComfyUI server with the pack in it, for all tests that need one."""
    base = tmp_path_factory.mktemp("server")
    with ComfyServer.start(base, base / "server.log") as running:
        yield running


@pytest.fixture
def without_sheet(server: ComfyServer) -> Iterator[str]:
    """A user's classifier that has no pictures of its classes yet."""
    path = server.base / "models" / "robust_classifiers" / "without_sheet.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(bundled_classifiers()["seasons"], path)
    yield path.name
    path.unlink()
    sheet_of(path).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium here: `apt-get install chromium` on Debian, or install Google Chrome")
    with chromium() as running:
        yield running


class OpenedEditor:
    """The editor in one of its node renderers, in a page of its own."""

    def __init__(self, browser: Browser, url: str, vue_nodes: bool) -> None:
        self.browser, self.url, self.vue_nodes = browser, url, vue_nodes
        self.page, self.complaints = self._open()

    def _open(self) -> tuple[Page, list[str]]:
        """A new page, and the complaints in its console from now on."""
        page = self.browser.new_context(viewport={"width": 1600, "height": 900}).new_page()
        complaints = complaints_of(page, self.url)
        open_editor(page, self.url, vue_nodes=self.vue_nodes)
        assert page.evaluate("() => LiteGraph.vueNodesMode") == self.vue_nodes
        return page, complaints

    def reopen(self) -> None:
        self.page.context.close()
        self.page, self.complaints = self._open()


@pytest.fixture(scope="session", params=[False, True], ids=["canvas", "vue"])
def opened(request: pytest.FixtureRequest, browser: Browser, server: ComfyServer) -> Iterator[OpenedEditor]:
    """The editor in each of its node renderers."""
    editor = OpenedEditor(browser, server.url, request.param)
    yield editor
    editor.page.context.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, opened: OpenedEditor) -> Iterator[Page]:
    """The editor; a test that makes it complain fails."""
    opened.complaints.clear()
    yield opened.page
    complaints = list(opened.complaints)
    if request.node.stash.get(FAILED, False) or opened.page.get_by_role("dialog").count():
        # What a failed test leaves, a dialog over the graph or a key that is held, would make the next ones fail.
        opened.reopen()
    assert not complaints


@pytest.fixture
def editor(page: Page, opened: OpenedEditor) -> Iterator[Editor]:
    yield Editor(page, opened.vue_nodes)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.evaluate("() => document.activeElement?.blur()")
    page.unroute_all()


@pytest.fixture
def seeded(editor: Editor) -> Editor:
    """A classifier (canvas) and a node that draws a seed of one of its classes."""
    editor.build(["RobustLoadClassifier", "RobustClassSeed"], [(1, "classifier", 2, "classifier")])
    editor.choose("canvas")
    return editor


@pytest.fixture
def live(editor: Editor, server: ComfyServer, opened: OpenedEditor) -> Iterator[LiveCanvas]:
    """The Live Canvas, nothing built yet."""
    canvas = LiveCanvas(editor, server, opened.complaints)
    yield canvas
    canvas.close()


@pytest.fixture
def live_blank(live: LiveCanvas) -> LiveCanvas:
    """Its dialog on a blank canvas."""
    live.build()
    live.open()
    live.blank()
    return live


@pytest.fixture
def live_photo(live: LiveCanvas) -> LiveCanvas:
    """Its dialog on a photo that is wired in."""
    live.build(photo=True)
    live.open()
    live.shown()
    return live
