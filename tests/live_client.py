"""What the browser does with the Live Canvas, over HTTP."""

from __future__ import annotations

import http.client
import io
import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PREFIX = "/robust_synthesis/live"
SECONDS = 120
Pixels = NDArray[np.uint8]
CLASS: dict[str, Any] = {"kind": "class", "what": "church", "size": 40}
COLOUR: dict[str, Any] = {"kind": "colour", "colour": "#ff0000", "size": 20, "softness": 0}


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its JSON (of the header or the body), and its picture's file."""

    status: int
    told: dict[str, Any]
    content: bytes

    @property
    def pixels(self) -> Pixels:
        """The picture, `[height, width, 3]`."""
        return np.asarray(Image.open(io.BytesIO(self.content)).convert("RGB"))


class LiveClient:
    """The routes of the Live Canvas of a server."""

    def __init__(self, url: str) -> None:
        self.host = urllib.parse.urlsplit(url).netloc

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """One request, as it is."""
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        try:
            connection.request(method, PREFIX + path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        told = answer.getheader("Robust-Live") or (
            content if answer.headers.get_content_type() == "application/json" else "{}"
        )
        return Reply(answer.status, json.loads(told), content)

    def post(self, path: str, body: object = None) -> Reply:
        text = json.dumps({} if body is None else body)
        return self.send("POST", path, text.encode(), {"Content-Type": "application/json"})

    def get(self, path: str) -> Reply:
        return self.send("GET", path, None, {})

    def open(self, **changes: Any) -> LiveSession:
        """Open a painting, by default a grey one of 112 x 112 pixels."""
        base = {"kind": "blank", "width": 112, "height": 112, "colour": "#808080"}
        reply = self.post("/open", {"classifier": "canvas", "painting": "", "base": base, **changes})
        assert reply.status == 200, reply
        return LiveSession(self, reply.told)


class LiveSession:
    """A painting that is open."""

    def __init__(self, client: LiveClient, told: dict[str, Any]) -> None:
        self.client, self.told = client, told
        self.id: str = told["session"]

    def post(self, name: str, body: object = None) -> Reply:
        """A request that must be answered."""
        reply = self.client.post(f"/{self.id}/{name}", body)
        assert reply.status == 200, reply
        return reply

    def ask(self, name: str, body: object = None) -> Reply:
        """The same until it is answered otherwise than `waiting`."""
        give_up = time.monotonic() + SECONDS
        while (reply := self.post(name, body)).told.get("state") == "waiting":
            assert time.monotonic() < give_up
            time.sleep(0.05)
        return reply

    def get(self, name: str) -> Reply:
        reply = self.client.get(f"/{self.id}/{name}")
        assert reply.status == 200, reply
        return reply

    def picture(self) -> Pixels:
        return self.get("picture").pixels

    def paint(self, brush: Mapping[str, Any], points: Sequence[Sequence[float]], shape: str = "path") -> Reply:
        """A whole stroke with its detail; the last answer."""
        *_, last = self.painting(brush, points, shape)
        return last

    def painting(
        self, brush: Mapping[str, Any], points: Sequence[Sequence[float]], shape: str = "path"
    ) -> Iterator[Reply]:
        """The answers to a whole stroke, one by one."""
        yield self.ask("stroke", {"brush": brush, "shape": shape, "points": points[:3]})
        yield (reply := self.ask("points", {"points": points[3:], "end": True}))
        while reply.told["state"] == "resting":
            yield (reply := self.ask("rest"))
        assert reply.told["state"] == "done"

    def close(self) -> str:
        name: str = self.post("close").told["painting"]
        return name


def line(x0: float, y0: float, x1: float, y1: float, count: int = 8) -> list[list[float]]:
    """Points of a straight line, with full pressure."""
    return [
        [float(x), float(y), 1.0] for x, y in zip(np.linspace(x0, x1, count), np.linspace(y0, y1, count), strict=True)
    ]


def distance(shape: tuple[int, ...], points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """From the middle of each pixel of a picture to the way through some points."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    nearest = np.full(shape[:2], np.inf)
    for (x0, y0, _), (x1, y1, _) in zip(points, points[1:] or points, strict=False):
        length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        share = (((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / length).clip(0, 1)
        nearest = np.minimum(nearest, np.hypot(columns - x0 - share * (x1 - x0), rows - y0 - share * (y1 - y0)))
    return nearest
