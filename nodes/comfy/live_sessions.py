"""The paintings that are open in browsers: opened, taken up again, saved, closed, and freed when nobody uses them."""

from __future__ import annotations

import copy
import gc
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from server import PromptServer

from ...models.thumbnails import MAX_CLASSES, sheet_of
from ...synthesis import visualise_features
from ...synthesis.ascent import Callback
from ...synthesis.class_sheet import class_picture, joined
from ...synthesis.live import Painting, digest, next_revision, read_revision, replay, write_revision
from ..live_requests import BaseRequest, OpenRequest
from .classifiers import LoadedClassifier
from .folders import new_painting_folder, painting_file, painting_name
from .live_bases import base_picture, eight_bits
from .live_device import PromptQueue, SharedClassifier, SharedClassifiers, Turns
from .live_pictures import jpeg
from .live_session import Session

T = TypeVar("T")


class GoneError(Exception):
    """There is no such session, or not any more."""


class MissingPaintingError(Exception):
    """A painting that is not on this machine."""


@dataclass(frozen=True)
class Limits:
    """How much may be open, and for how long."""

    sessions: int = 8
    idle_seconds: float = 600.0
    resting_seconds: float = 3.0
    """A stroke is finished when nobody has asked for its detail for so long."""


class LiveSessions:
    """All open paintings. Its work is done on one worker thread, by `submit`; paintings are saved on another one."""

    def __init__(self, queue: PromptQueue | None = None, limits: Limits | None = None) -> None:
        """Begin with none.

        Args:
            queue: of the prompts that have the device before this; that of ComfyUI's server by default.
            limits: see `Limits`.
        """
        self.limits = limits or Limits()
        self._queue = queue
        self._worker = ThreadPoolExecutor(1, "robust-live")
        self._saver = _Saver()
        self._sessions: dict[str, Session] = {}
        self._classifiers = SharedClassifiers()

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Do work on the worker thread, after what was submitted before."""
        return self._worker.submit(work, *arguments)

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, key: str) -> Session:
        """The session of an id, which counts as used now.

        Raises:
            GoneError: there is none.
        """
        session = self._sessions.get(key)
        if session is None:
            raise GoneError("This painting is not open any more: open it again.")
        session.used = time.monotonic()
        return session

    def open(self, request: OpenRequest) -> dict[str, Any]:
        """Open a painting or begin one; what the browser is told.

        Raises:
            NotHereError, CheckpointError: see `SharedClassifiers.load`.
            MissingPaintingError: there is no such painting, and no base.
            ValueError: there is no such classifier, or the name of a painting, or a base, cannot be used.
            PaintingError: the painting is damaged.
        """
        shared = self._classifiers.load(request.classifier, request.config)
        notes: list[str] = []
        try:
            session = self._taken_up(request, shared) or self._read(request, shared, notes)
            key = self._enter(session or self._begun(request, shared))
            changed = session is not None and self._base_changed(request, session, notes)
        finally:
            # A classifier that was loaded for a request that failed is not kept.
            self._drop_unused()
        return self._told(key) | {"base_changed": changed, "message": " ".join(notes)}

    def rebase(self, key: str, request: BaseRequest) -> dict[str, Any]:
        """Put another base under a painting; what the browser is told, as of `open`.

        Raises:
            GoneError: there is no such session.
            PromptRunsError: nothing was done.
            ValueError: the base cannot be used, or a stroke cannot be done again with this classifier.
        """
        session = self.find(key)
        shared, turns = session.shared, self._turns()
        turns.check()
        picture = base_picture(request.base, shared.loaded.model)
        session.settle()
        painting = Painting(picture)
        if request.how == "replay":
            with turns.turn():
                shared.loaded.to_device(shared.memory)
                painting = replay(picture, session.painting.strokes, shared.loaded.model, turns.let_in)
        # What was painted on the other base stays as it is on the disk.
        session.replace(painting, self._next_number(session.folder))
        self._save(session)
        return self._told(key) | {"base_changed": False, "message": ""}

    def close(self, key: str) -> str:
        """Save a painting and free it; its name.

        Raises:
            GoneError: there is no such session.
            OSError: it could not be saved, and is still open.
        """
        session = self.find(key)
        session.settle()
        self._saver.wait()
        if session.problem:
            self._save(session)
            self._saver.wait()
        if session.problem:
            raise OSError(session.problem)
        name = session.name
        del session
        self._end(key)
        self._drop_unused()
        return name

    def feature(self, session: Session, number: int) -> bytes:
        """What a feature looks like, as a JPEG file.

        Raises:
            PromptRunsError: nothing was done.
        """

        def make(loaded: LoadedClassifier, let_in: Callback) -> bytes:
            picture = visualise_features(loaded.model, [number], callback=let_in, device=loaded.device)
            return jpeg(eight_bits(picture))

        return self._kept(session.shared, session.shared.features, number, make)

    def class_picture(self, session: Session, number: int) -> Image.Image:
        """What the classifier paints of a class; once it is known of all, their sheet is kept beside its file.

        Raises:
            PromptRunsError: nothing was done.
        """
        shared = session.shared
        known, model = shared.classes, shared.loaded.model
        new = number not in known
        made = self._kept(shared, known, number, lambda _, let_in: class_picture(model, number, let_in))
        if new and shared.loaded.own_classes and len(known) == len(model.labels) <= MAX_CLASSES:
            _keep_sheet(shared.loaded.source, [known[index] for index in range(len(known))])
        return made

    def _kept(
        self,
        shared: SharedClassifier,
        known: dict[int, T],
        number: int,
        make: Callable[[LoadedClassifier, Callback], T],
    ) -> T:
        """What is known of a number, made the first time."""
        if number not in known:
            turns = self._turns()
            with turns.turn():
                shared.loaded.to_device(shared.memory)
                known[number] = make(shared.loaded, lambda *_: turns.let_in())
        return known[number]

    def sweep(self) -> None:
        """Finish strokes that rest for long, and end sessions that are idle."""
        now = time.monotonic()
        unused = {key: now - session.used for key, session in self._sessions.items()}
        for key, seconds in unused.items():
            if seconds > self.limits.idle_seconds:
                self._end(key)
            elif seconds > self.limits.resting_seconds and self._sessions[key].resting:
                self._sessions[key].settle()
        if unused.keys() - self._sessions.keys():
            # What is being written is still in use.
            self._saver.wait()
            self._drop_unused()

    def saved(self) -> Future[object]:
        """Done when all changes so far are on the disk."""
        return self._saver.submit()

    def settle(self, name: str) -> None:
        """Bring a painting to the disk as it is now: for another thread, before it reads the file."""
        if self._sessions:
            self.submit(self._settle, name).result()
        self._saver.wait()

    def _turns(self) -> Turns:
        # The server has its queue only after the nodes were loaded.
        return Turns(self._queue or PromptServer.instance.prompt_queue)

    def _taken_up(self, request: OpenRequest, shared: SharedClassifier) -> Session | None:
        """The session of a painting that is open already; its browser is told that it is gone."""
        keys = [key for key, session in self._sessions.items() if session.name == request.painting and not request.fork]
        if request.session in self._sessions:
            keys = [request.session]
        if not keys:
            return None
        session = self._sessions.pop(keys[0])
        session.settle()
        session.shared = shared
        return session

    def _read(self, request: OpenRequest, shared: SharedClassifier, notes: list[str]) -> Session | None:
        """A session of a painting on the disk; None if it is not there, and there is a base to begin on."""
        if not request.painting:
            return None
        path = painting_file(request.painting)
        self._settle(request.painting)
        self._saver.wait()
        if not path.with_suffix(".json").is_file():
            missing = f"The painting '{request.painting}' is not on this machine (any more)."
            if request.base is None:
                raise MissingPaintingError(missing)
            notes.append(f"{missing} A new one was begun.")
            return None
        painting = read_revision(path)
        if request.fork:
            return self._new(painting, shared)
        session = Session(painting, shared, path.parent, self._next_number(path.parent), self._turns(), self._save)
        session.name = request.painting
        return session

    def _begun(self, request: OpenRequest, shared: SharedClassifier) -> Session:
        """A session of a new painting."""
        assert request.base is not None, "a request has a painting or a base"
        return self._new(Painting(base_picture(request.base, shared.loaded.model)), shared)

    def _new(self, painting: Painting, shared: SharedClassifier) -> Session:
        """A session of a painting in a folder of its own, where it is saved at once."""
        session = Session(painting, shared, new_painting_folder(), 1, self._turns(), self._save)
        self._save(session)
        return session

    def _base_changed(self, request: OpenRequest, session: Session, notes: list[str]) -> bool:
        """Whether the base that is wired in now is another than the painting's."""
        if request.base is None:
            return False
        try:
            base = base_picture(request.base, session.shared.loaded.model)
        except ValueError as error:
            notes.append(str(error))
            return False
        return digest(base) != digest(session.painting.base)

    def _next_number(self, folder: Path) -> int:
        """The number of a revision that nothing on the disk and no other session has."""
        taken = [session.number for session in self._sessions.values() if session.folder == folder]
        return max([next_revision(folder), *(number + 1 for number in taken)])

    def _enter(self, session: Session) -> str:
        while len(self._sessions) >= self.limits.sessions:
            self._end(min(self._sessions, key=lambda key: self._sessions[key].used))
        key = secrets.token_hex(16)
        session.used = time.monotonic()
        self._sessions[key] = session
        return key

    def _end(self, key: str) -> None:
        self._sessions.pop(key).settle()

    def _drop_unused(self) -> None:
        """Free what ended sessions have left, once nothing else refers to them."""
        self._classifiers.keep_only([session.shared for session in self._sessions.values()])
        # Paintings and their strokes refer to each other, and they are large.
        gc.collect()

    def _settle(self, name: str) -> None:
        for session in self._sessions.values():
            if session.name == name and session.resting:
                session.settle()

    def _save(self, session: Session) -> None:
        session.name = painting_name(session.folder, session.number)
        self._saver.save(session)

    def _told(self, key: str) -> dict[str, Any]:
        session = self._sessions[key]
        painting = session.painting
        height, width = painting.picture.shape[1:]
        return {
            "session": key,
            "painting": session.name,
            "width": width,
            "height": height,
            "strokes": len(painting.strokes),
            "undo": painting.undo_count,
            "redo": painting.redo_count,
            "features": session.shared.loaded.model.feature_count,
        }


def _keep_sheet(classifier: Path, pictures: list[Image.Image]) -> None:
    try:
        joined(pictures).save(sheet_of(classifier), quality=85)
    except OSError as error:
        # They are made again the next time.
        logging.warning("Robust Synthesis could not keep the pictures of the classes of %s: %s", classifier.name, error)


class _Saver:
    """Writes paintings on a thread of its own, so that no stroke waits for a large picture's file."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "robust-live-saver")
        self._waiting: dict[tuple[Path, int], tuple[Session, Painting]] = {}
        self._lock = threading.Lock()

    def save(self, session: Session) -> None:
        """Write a session's painting as it is now; of several that wait only the latest is written."""
        painting = copy.copy(session.painting)
        painting.picture, painting.painted = painting.picture.clone(), painting.painted.clone()
        painting.strokes = list(painting.strokes)
        place = (session.folder, session.number)
        with self._lock:
            self._waiting[place] = (session, painting)
        self._thread.submit(self._write, place)

    def submit(self) -> Future[object]:
        """Done when all is written."""
        return self._thread.submit(int)

    def wait(self) -> None:
        """Until all is written."""
        self.submit().result()

    def _write(self, place: tuple[Path, int]) -> None:
        with self._lock:
            waiting = self._waiting.pop(place, None)
        if waiting is None:
            return
        session, painting = waiting
        try:
            write_revision(*place, painting)
            session.problem = ""
        except OSError as error:
            session.problem = f"The painting could not be saved: {error}"


sessions = LiveSessions()
"""Those of ComfyUI's server."""
