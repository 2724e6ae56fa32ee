"""Open paintings in a real ComfyUI, without HTTP: taking turns with prompts, memory, and what happens to idle ones."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

CLASS = {"kind": "class", "what": "church", "size": 40}
COLOUR = {"kind": "colour", "colour": "#ff0000", "size": 20}


class Queue:
    """As much of ComfyUI's queue of prompts as is looked at."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.queue: list[Any] = []
        self.currently_running: dict[int, Any] = {}


class Canvas:
    """Open paintings, with what a browser sends."""

    def __init__(self, **limits: float) -> None:
        from robust_synthesis.nodes.comfy.live_sessions import Limits, LiveSessions

        self.queue = Queue()
        self.sessions = LiveSessions(self.queue, Limits(**limits))  # type: ignore[arg-type]

    def work(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self.sessions.submit(work, *arguments).result()

    def open(self, side: int = 112, **changes: Any) -> dict[str, Any]:
        from robust_synthesis.nodes.live_requests import read_open

        base = {"kind": "blank", "width": side, "height": side}
        told: dict[str, Any] = self.work(
            self.sessions.open, read_open({"classifier": "canvas", "painting": "", "base": base, **changes})
        )
        return told

    def stroke(self, told: dict[str, Any], brush: dict[str, Any], end: bool = True) -> Any:
        from robust_synthesis.nodes.live_requests import read_points, read_stroke

        session = self.sessions.find(told["session"])
        points = [[30.0, 30.0, 1.0], [80.0, 60.0, 1.0]]
        self.work(session.begin, read_stroke({"brush": brush, "shape": "path", "points": points}))
        return self.work(session.go_on, read_points({"points": [], "end": True})) if end else None


@pytest.fixture
def canvas(pack: ModuleType) -> Iterator[Canvas]:
    assert pack
    made = Canvas()
    yield made
    for key in list(made.sessions._sessions):
        made.work(made.sessions.close, key)


def test_a_painting_that_nobody_uses_is_saved_and_freed(pack: ModuleType) -> None:
    import comfy.model_management as mm
    import folder_paths

    assert pack
    canvas = Canvas(idle_seconds=0.3)
    loaded = len(mm.current_loaded_models)
    told = canvas.open()
    canvas.stroke(told, CLASS, end=False)
    painting = weakref.ref(canvas.sessions.find(told["session"]).painting)
    model = weakref.ref(canvas.sessions.find(told["session"]).shared.loaded.model)
    canvas.work(canvas.sessions.sweep)
    assert len(canvas.sessions) == 1, "it was used just now"
    time.sleep(0.4)
    canvas.work(canvas.sessions.sweep)
    assert len(canvas.sessions) == 0
    canvas.sessions.saved().result()
    assert (painting(), model()) == (None, None), "something still holds it"
    assert len(mm.current_loaded_models) <= loaded
    file = Path(folder_paths.get_input_directory()) / told["painting"]
    from robust_synthesis.synthesis.live import read_revision

    assert len(read_revision(file).strokes) == 1


def test_a_stroke_that_rests_for_long_is_finished(pack: ModuleType) -> None:
    assert pack
    canvas = Canvas(resting_seconds=0.1)
    told = canvas.open(300)
    assert canvas.stroke(told, CLASS).state == "resting"
    session = canvas.sessions.find(told["session"])
    time.sleep(0.2)
    canvas.work(canvas.sessions.sweep)
    assert not session.resting
    answer = canvas.work(session.rest)
    assert answer.state == "done"
    assert torch.equal(answer.pixels, answer.box.cut(session.painting.picture))
    # Once told, it is not told again.
    assert canvas.work(session.rest).box is None


def test_a_classifier_is_loaded_once_for_all_that_use_it(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    from robust_synthesis.nodes.comfy import classifiers, live_device

    loads: list[str] = []

    def load(choice: Any, given: Any) -> Any:
        loads.append(choice.name)
        return classifiers.load(choice, given)

    monkeypatch.setattr(live_device, "load", load)
    first, second = canvas.open(), canvas.open()
    for told in (first, second, first):
        canvas.stroke(told, CLASS)
    assert loads == ["canvas"]
    canvas.open(classifier="painters")
    canvas.open(classifier="canvas", mean="0.5", std="0.5")
    assert loads == ["canvas", "painters", "canvas"]
    canvas.work(canvas.sessions.close, first["session"])
    canvas.stroke(second, CLASS)
    assert len(loads) == 3


def test_it_computes_only_while_no_prompt_runs_or_waits(canvas: Canvas) -> None:
    from robust_synthesis.nodes.comfy.live_device import PromptRunsError

    told = canvas.open()
    session = canvas.sessions.find(told["session"])
    for running in (False, True):
        canvas.queue.queue, canvas.queue.currently_running = ([], {0: "a prompt"}) if running else (["a prompt"], {})
        with pytest.raises(PromptRunsError):
            canvas.stroke(told, CLASS)
        with pytest.raises(PromptRunsError):
            canvas.work(session.undo)
        with pytest.raises(PromptRunsError):
            canvas.work(canvas.sessions.feature, session, 3)
        canvas.queue.queue, canvas.queue.currently_running = [], {}
    canvas.stroke(told, CLASS)
    assert canvas.work(session.undo).box is not None


def test_a_prompt_gets_in_between_the_steps_of_long_work(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    from robust_synthesis.nodes.comfy.live_device import PromptRunsError, Turns

    session = canvas.sessions.find(canvas.open()["session"])
    steps, third = 0, threading.Event()
    let_in = Turns.let_in

    def counted(turns: Turns) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            third.set()
        let_in(turns)

    monkeypatch.setattr(Turns, "let_in", counted)
    working = canvas.sessions.submit(canvas.sessions.feature, session, 1)
    assert third.wait(timeout=60)
    with canvas.queue.mutex:
        canvas.queue.queue.append("a prompt")
    # Were it late, the sixteen steps would have ended.
    with pytest.raises(PromptRunsError):
        working.result()
    # The lock is free: another thread than the worker can have it.
    assert canvas.queue.mutex.acquire(timeout=1)
    canvas.queue.mutex.release()
    canvas.queue.queue.clear()
    assert canvas.work(canvas.sessions.feature, session, 1)


def test_what_fails_half_way_leaves_the_painting_usable(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    from robust_synthesis.nodes.comfy import live_routes
    from robust_synthesis.synthesis.live import LiveStroke

    told = canvas.open()
    session = canvas.sessions.find(told["session"])

    def fail(*_: object) -> int:
        raise torch.OutOfMemoryError("no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(LiveStroke, "advance", fail)
        with pytest.raises(torch.OutOfMemoryError):
            canvas.work(live_routes._whole, session, lambda: canvas_stroke(session))
    before = session.painting.picture.clone()
    canvas.stroke(told, COLOUR)
    assert not torch.equal(session.painting.picture, before)
    assert len(session.painting.strokes) == 1


def canvas_stroke(session: Any) -> Any:
    from robust_synthesis.nodes.live_requests import read_stroke

    return session.begin(read_stroke({"brush": CLASS, "shape": "path", "points": [[30, 30, 1]]}))


def test_a_full_disk_is_told_and_painting_goes_on(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    from robust_synthesis.nodes.comfy import live_sessions

    told = canvas.open()
    session = canvas.sessions.find(told["session"])

    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(live_sessions, "write_revision", full)
        canvas.stroke(told, COLOUR)
        canvas.sessions.saved().result()
        assert "No space left" in session.problem
        with pytest.raises(OSError, match="No space left"):
            canvas.work(canvas.sessions.close, told["session"])
    assert len(canvas.sessions) == 1, "what could not be saved is still open"
    canvas.stroke(told, COLOUR | {"size": 40})
    canvas.sessions.saved().result()
    assert not session.problem


def test_what_could_not_be_saved_is_saved_when_it_is_closed_again(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robust_synthesis.nodes.comfy import live_sessions

    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    told = canvas.open()
    with monkeypatch.context() as patched:
        patched.setattr(live_sessions, "write_revision", full)
        canvas.stroke(told, COLOUR)
        with pytest.raises(OSError, match="No space left"):
            canvas.work(canvas.sessions.close, told["session"])
    name = canvas.work(canvas.sessions.close, told["session"])
    assert len(canvas.sessions) == 0
    assert canvas.open(painting=name)["strokes"] == 1


def test_a_stroke_that_rests_can_be_undone(canvas: Canvas) -> None:
    told = canvas.open(300)
    session = canvas.sessions.find(told["session"])
    assert canvas.stroke(told, CLASS).state == "resting"
    assert session.undo_count == 1
    canvas.work(session.undo)
    assert session.undo_count == 0


def test_after_another_base_no_answer_tells_of_the_one_before(canvas: Canvas) -> None:
    from robust_synthesis.nodes.live_requests import read_base

    told = canvas.open(300)
    session = canvas.sessions.find(told["session"])
    assert canvas.stroke(told, CLASS).state == "resting"
    base = {"kind": "blank", "width": 112, "height": 112}
    canvas.work(canvas.sessions.rebase, told["session"], read_base({"how": "replay", "base": base}))
    answer = canvas.work(session.undo)
    assert answer.box.left + answer.box.width <= 112
    assert answer.box.top + answer.box.height <= 112


def test_opening_and_closing_leaves_no_memory_behind(canvas: Canvas) -> None:
    paintings: list[weakref.ref[Any]] = []
    for _ in range(5):
        told = canvas.open()
        canvas.stroke(told, CLASS)
        paintings.append(weakref.ref(canvas.sessions.find(told["session"]).painting))
        canvas.work(canvas.sessions.close, told["session"])
    gc.collect()
    assert not any(reference() for reference in paintings)
