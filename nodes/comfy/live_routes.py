"""The routes of the Live Canvas: from HTTP to `LiveSessions` and back."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import torch
from aiohttp import web

from ...models import CheckpointError
from ...synthesis.live import PaintingError
from .. import live_requests as requests
from .live_device import NotHereError, PromptRunsError
from .live_pictures import jpeg, jpeg_file, png, thumbnail
from .live_session import Answer, NoStrokeError, Session
from .live_sessions import GoneError, LiveSessions, MissingPaintingError

PREFIX = "/robust_synthesis/live"
HEADER = "Robust-Live"
SAVING_SECONDS = 0.25
"""So long an answer waits for the file of what it tells; large pictures take longer."""
SWEEP_SECONDS = 1.0
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (GoneError, 410),
    (MissingPaintingError, 404),
    (NotHereError, 409),
    (NoStrokeError, 409),
    (PaintingError, 422),
    (CheckpointError, 422),
    (ValueError, 400),
)
"""What is wrong with a request, and the status that says so; the first that fits."""


class RefusedError(Exception):
    """A request that is not even read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LiveRoutes:
    """The handlers of all routes."""

    def __init__(self, sessions: LiveSessions) -> None:
        self._sessions = sessions
        self._sweeping: asyncio.Task[None] | None = None

    def add_to(self, routes: web.RouteTableDef) -> None:
        """Register all of them."""
        posted: dict[str, Handler] = {
            "/open": self.open,
            "/{session}/stroke": self._painting(requests.read_stroke, Session.begin),
            "/{session}/points": self._painting(requests.read_points, Session.go_on),
            "/{session}/rest": self._painting(_nothing, lambda session, _: session.rest()),
            "/{session}/cancel": self._painting(_nothing, lambda session, _: session.cancel()),
            "/{session}/undo": self._painting(_nothing, lambda session, _: session.undo()),
            "/{session}/redo": self._painting(_nothing, lambda session, _: session.redo()),
            "/{session}/look": self.look,
            "/{session}/base": self.base,
            "/{session}/close": self.close,
        }
        asked: dict[str, Handler] = {
            "/{session}/picture": self.picture,
            "/{session}/before": self.before,
            "/{session}/feature": self.feature,
            "/{session}/class": self.class_picture,
        }
        for path, handler in posted.items():
            routes.post(PREFIX + path)(_guarded(handler))
        for path, handler in asked.items():
            routes.get(PREFIX + path)(_guarded(handler))

    async def open(self, request: web.Request) -> web.Response:
        wanted = requests.read_open(await _read(request))
        told = await self._work(self._sessions.open, wanted)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep())
        return _json(told)

    async def close(self, request: web.Request) -> web.Response:
        _nothing(await _read(request))
        return _json({"painting": await self._work(self._sessions.close, _key(request))})

    async def base(self, request: web.Request) -> web.Response:
        wanted = requests.read_base(await _read(request))
        return _json(await self._work(self._sessions.rebase, _key(request), wanted))

    async def look(self, request: web.Request) -> web.Response:
        wanted = requests.read_look(await _read(request))
        classes, features = await self._with_session(request, lambda session: session.look(wanted))
        return _json(
            {
                "classes": [{"name": name, "share": share} for name, share in classes],
                "features": [{"number": number, "activation": activation} for number, activation in features],
            }
        )

    async def picture(self, request: web.Request) -> web.Response:
        return await self._picture(request, lambda session: session.painting.picture)

    async def before(self, request: web.Request) -> web.Response:
        return await self._picture(request, lambda session: session.painting.base)

    async def feature(self, request: web.Request) -> web.Response:
        def work(session: Session) -> bytes:
            number = requests.read_number(request.query, session.shared.loaded.model.feature_count)
            return self._sessions.feature(session, number)

        return _image(await self._with_session(request, work), "image/jpeg")

    async def class_picture(self, request: web.Request) -> web.Response:
        def work(session: Session) -> bytes:
            number = requests.read_number(request.query, len(session.shared.loaded.model.labels))
            return jpeg_file(self._sessions.class_picture(session, number))

        return _image(await self._with_session(request, work), "image/jpeg")

    async def _picture(self, request: web.Request, of: Callable[[Session], torch.Tensor]) -> web.Response:
        longest, box = requests.read_longest(request.query), requests.read_box(request.query)

        def work(session: Session) -> tuple[bytes, str]:
            pixels = of(session)
            if box is not None:
                left, top, width, height = box
                if not (left + width <= pixels.shape[2] and top + height <= pixels.shape[1] and width and height):
                    raise ValueError("The box is not inside the picture.")
                pixels = pixels[:, top : top + height, left : left + width]
            return (png(pixels), "image/png") if longest is None else (thumbnail(pixels, longest), "image/jpeg")

        return _image(*await self._with_session(request, work))

    def _painting(self, read: Callable[[Mapping[str, Any]], T], paint: Callable[[Session, T], Answer]) -> Handler:
        """The handler of a request that paints."""

        async def handler(request: web.Request) -> web.Response:
            wanted = read(await _read(request))

            def work(session: Session) -> tuple[dict[str, Any], bytes, str]:
                answer = _whole(session, lambda: paint(session, wanted))
                kind = "image/png" if answer.state == "done" else "image/jpeg"
                content = b"" if answer.pixels is None else (png if answer.state == "done" else jpeg)(answer.pixels)
                return _told(session, answer), content, kind

            told, content, kind = await self._with_session(request, work)
            if told["state"] == "done":
                await asyncio.wait([asyncio.wrap_future(self._sessions.saved())], timeout=SAVING_SECONDS)
            headers = {HEADER: json.dumps(told), "Cache-Control": "no-store"}
            return web.Response(body=content, content_type=kind if content else "text/plain", headers=headers)

        return handler

    async def _with_session(self, request: web.Request, work: Callable[[Session], T]) -> T:
        key = _key(request)
        return await self._work(lambda: work(self._sessions.find(key)))

    async def _work(self, work: Callable[..., T], *arguments: Any) -> T:
        # Shielded: what has begun goes on to its end although the browser went away.
        return await asyncio.shield(asyncio.wrap_future(self._sessions.submit(work, *arguments)))

    async def _sweep(self) -> None:
        while len(self._sessions):
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._work(self._sessions.sweep)
            except (RuntimeError, MemoryError):
                # The next ones are to be freed all the same.
                logging.exception("Robust Synthesis: a stroke of the Live Canvas could not be finished")


def _guarded(handler: Handler) -> Handler:
    """A handler that answers every mistake of a request with a sentence."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        started = time.perf_counter()
        try:
            _refuse_foreign(request)
            answer = await handler(request)
            # The browser's developer tools show it beside the round trip.
            answer.headers["Server-Timing"] = f"live;dur={1000 * (time.perf_counter() - started):.1f}"
            return answer
        except PromptRunsError:
            told = {"state": "waiting", "message": "Waits until the workflow has run."}
            return _json(told, headers={HEADER: json.dumps(told)})
        except RefusedError as error:
            return _json({"error": str(error)}, error.status)
        except tuple(kind for kind, _ in STATUSES) as error:
            status = next(status for kind, status in STATUSES if isinstance(error, kind))
            return _json({"error": str(error)}, status)
        except (OSError, RuntimeError, MemoryError) as error:
            # A full disk, or no memory left.
            logging.exception("Robust Synthesis: the Live Canvas failed")
            return _json({"error": str(error)}, 500)

    return guarded


def _whole(session: Session, paint: Callable[[], Answer]) -> Answer:
    """Paint; a stroke that fails half-way is taken back."""
    try:
        return paint()
    except (RuntimeError, MemoryError):
        session.cancel()
        raise


def _refuse_foreign(request: web.Request) -> None:
    """Raises: RefusedError: the request was made by a page of another site."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # Browsers say where a page is from, but not on plain http from another machine.
    foreign = site not in ("same-origin", "none") if site else origin is not None and _differs(origin, request.host)
    if foreign:
        raise RefusedError(403, "This page is not ComfyUI's own.")


def _differs(origin: str, host: str) -> bool:
    """Whether a page is from elsewhere than this machine's own server, by the rule of ComfyUI."""
    # A browser in the middle of a redirect, or a file, has the origin "null".
    page, server = urllib.parse.urlsplit(origin), urllib.parse.urlsplit(f"//{host}")
    # A reverse proxy may give the server another name, and the standard port, or leave the port out.
    same_port = page.port == server.port or None in (page.port, server.port)
    return _is_loopback(server.hostname or "") and not (page.hostname == server.hostname and same_port)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


async def _read(request: web.Request) -> Mapping[str, Any]:
    """The JSON object of a request.

    Raises:
        RefusedError: it is of another type, or too large.
        RequestError: it is no JSON.
    """
    if request.content_type != "application/json":
        raise RefusedError(415, "The body must be JSON, of the type application/json.")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > requests.LARGEST_BODY:
            raise RefusedError(413, f"The body has more than {requests.LARGEST_BODY} bytes.")
    return requests.read_json(bytes(body))


def _nothing(_values: Mapping[str, Any]) -> None:
    """Of requests that say nothing but their path."""


def _key(request: web.Request) -> str:
    return str(request.match_info["session"])


def _told(session: Session, answer: Answer) -> dict[str, Any]:
    return {
        "state": answer.state,
        "box": answer.box,
        "steps": answer.steps,
        "left": answer.left,
        "undo": session.undo_count,
        "redo": session.painting.redo_count,
        "painting": session.name,
        "message": session.problem,
    }


def _json(values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(values, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _image(content: bytes, kind: str) -> web.Response:
    return web.Response(body=content, content_type=kind, headers={"Cache-Control": "no-store"})
