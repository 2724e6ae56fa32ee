"""Strokes of the Live Canvas through a real ComfyUI server: milliseconds of the server, and of the round trip.

A stroke goes through the middle of the picture, as fast as the answers come, with the bundled `canvas`. The round trip
is that of one kept connection on this machine, until the picture's file has been read; what the browser does with it is
not in it. The server's own time is its `Server-Timing`: from the request's headers to the answer, with the steps, the
preview and its compression. Medians count.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import tempfile
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.server import ComfyServer

from ..table import Table
from .live import BRUSHES, POINTS, parse

PREFIX = "/robust_synthesis/live"
TICKS = 20


@dataclass(frozen=True)
class _Reply:
    told: dict[str, Any]
    trip: float
    server: float
    """Milliseconds, as `trip`."""
    size: int
    """Of the picture's file, in bytes."""


def main() -> None:
    """Print a row for each picture, brush and size."""
    arguments = parse(__doc__)
    columns = {"first picture": ".0f", "server": ".0f", "round trip": ".0f", "beside": ".1f", "steps": ".0f"}
    columns |= {"pictures a second": ".1f", "kB": ".0f", "at the end": ".0f"}
    table = Table("Strokes through a server; milliseconds", columns)
    with tempfile.TemporaryDirectory() as folder, ComfyServer.start(Path(folder), Path(folder) / "log") as server:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=120)
        # Leave out what a first run does once.
        _measure(connection, 512, "class", 64)
        for side in arguments.sides:
            for kind in arguments.brushes:
                for size in arguments.sizes:
                    row = f"{side} x {side}, {kind} of {size}"
                    table.row(row, *_measure(connection, side, kind, size))
        connection.close()


def _measure(connection: http.client.HTTPConnection, side: int, kind: str, size: int) -> list[float | None]:
    base = {"kind": "seed", "width": side, "height": side, "what": "church", "seed": 1}
    opened = _post(connection, "/open", {"classifier": "canvas", "painting": "", "base": base}).told
    session = f"/{opened['session']}"
    places = [0.3 + 0.4 * index / (TICKS * POINTS) for index in range(TICKS * POINTS)]
    points = [[place * side, (0.4 + 0.3 * place) * side, 1.0] for place in places]
    brush = {"kind": kind, "what": BRUSHES[kind], "size": size}
    first = _post(connection, f"{session}/stroke", {"brush": brush, "shape": "path", "points": points[:POINTS]})
    ticks = [
        _post(connection, f"{session}/points", {"points": points[at : at + POINTS], "end": False})
        for at in range(POINTS, len(points), POINTS)
    ]
    end = _post(connection, f"{session}/points", {"points": [], "end": True})
    _post(connection, f"{session}/close", {})
    trip = statistics.median(tick.trip for tick in ticks)
    server = statistics.median(tick.server for tick in ticks)
    beside = statistics.median(tick.trip - tick.server for tick in ticks)
    steps = statistics.median(tick.told["steps"] for tick in ticks)
    kilobytes = statistics.median(tick.size for tick in ticks) / 1000
    return [first.trip, server, trip, beside, steps, 1000 / trip, kilobytes, end.trip]


def _post(connection: http.client.HTTPConnection, path: str, body: object) -> _Reply:
    started = time.perf_counter()
    connection.request("POST", PREFIX + path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    trip = 1000 * (time.perf_counter() - started)
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}, {content[:200]!r}")
    header = answer.getheader("Robust-Live")
    timing = re.search(r"dur=([0-9.]+)", answer.getheader("Server-Timing", ""))
    return _Reply(json.loads(header or content), trip, float(timing[1]) if timing else 0.0, len(content))


if __name__ == "__main__":
    main()
