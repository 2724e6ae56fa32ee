"""A small Hugging Face Hub on this machine, for the real client: tests, and `python -m tools.hub_server FILE...`.

As the real one does for large files, it answers `/<repository>/resolve/<revision>/<file>` with a redirect to a
content server of another origin, and says the file's size, SHA-256 and commit in headers of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "3f04ac96136001cfe402022100728124cbe3fac5"
REPOSITORY = "madrylab/robust-imagenet-models"
PAGE = b"<!DOCTYPE html><html><body>Welcome to the hotel. Please log in.</body></html>"
BLOCK = 1 << 14
ERRORS = {401: "RepoNotFound", 403: "GatedRepo", 404: "EntryNotFound"}


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    host: str | None

    @property
    def for_content(self) -> bool:
        """Whether it asked the content server for a file, not the Hub about one."""
        return self.method == "GET" and urlsplit(self.path).path.startswith("/content/")


@dataclass
class Faults:
    """What goes wrong; all of it can be changed while the server runs."""

    status: int | None = None
    """The Hub answers with this status."""
    silent: bool = False
    """The Hub takes the request and does not answer until `go_on()`."""
    cut: float | None = None
    """The content server breaks off at this share of the file, `cuts` times, and sends nothing from beyond it."""
    cuts: int = 10**9
    hold: float | None = None
    """The content server stops at this share of the file, and keeps the connection open until `go_on()`."""
    bytes_per_second: float | None = None
    content: bytes | None = None
    """The content server has this instead of the file."""
    page: bool = False
    """The content server answers with a web page, as a hotel's network does."""
    stranger: bool = False
    """The Hub's own headers are missing: something else answers in its place."""
    sha256: str | None = None
    """The Hub says that this is the file's SHA-256."""


@dataclass
class HubServer:
    """Serves one revision of one repository while its `with` block runs.

    Start the client with `HF_ENDPOINT` set to `url`. The server is also an HTTP proxy, for itself: with
    `HTTP_PROXY` set to `url`, the client may call the Hub whatever it likes.

    Args:
        files: the repository's files, by name.
        token: if set, the Hub answers only those who send it.
        large: whether the files are large ones, whose SHA-256 the Hub knows.
        port: where the Hub listens; a free port if 0.
    """

    files: Mapping[str, bytes]
    repository: str = REPOSITORY
    revision: str = COMMIT
    token: str | None = None
    large: bool = True
    port: int = 0
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        self._going = threading.Event()
        self._hub, self._content = _Listener(self, self.port), _Listener(self, 0)
        for listener in (self._hub, self._content):
            # The short interval is how long leaving the block takes.
            threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._going.set()
        for listener in (self._hub, self._content):
            listener.shutdown()
            listener.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def content_url(self) -> str:
        return f"http://127.0.0.1:{self._content.server_port}"

    @property
    def downloads(self) -> list[Request]:
        """The requests for a file's content."""
        return [request for request in self.requests if request.for_content]

    def go_on(self) -> None:
        """End `faults.hold` and `faults.silent`."""
        self.faults.hold, self.faults.silent = None, False
        self._going.set()
        self._going = threading.Event()

    def wait(self, seconds: float | None = None) -> None:
        self._going.wait(seconds)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: HubServer, port: int) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to write about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Requests are recorded, not written."""

    def _answer(self) -> None:
        hub = self.server.hub
        headers = self.headers
        hub.requests.append(
            Request(self.command, self.path, headers["Range"], headers["Authorization"], headers["Host"])
        )
        if hub.faults.silent:
            hub.wait()
        # A proxy is asked for whole addresses.
        path = unquote(urlsplit(self.path).path)
        name = path.rpartition("/")[2]
        if path == f"/content/{name}" and name in hub.files:
            self._send_content(hub.files[name])
        elif hub.token is not None and headers["Authorization"] != f"Bearer {hub.token}":
            self._send_status(401)
        elif hub.faults.status is not None:
            self._send_status(hub.faults.status)
        elif path != f"/{hub.repository}/resolve/{hub.revision}/{name}" or name not in hub.files:
            self._send_status(404)
        else:
            self._send_whereabouts(name)

    def _send_status(self, status: int) -> None:
        body = b'{"error":"no"}'
        self.send_response(status)
        if status in ERRORS:
            self.send_header("X-Error-Code", ERRORS[status])
            self.send_header("X-Error-Message", ERRORS[status])
        self._send_body(body, "application/json")

    def _send_whereabouts(self, name: str) -> None:
        hub = self.server.hub
        content = hub.files[name]
        if hub.faults.stranger:
            self.send_response(200)
            return self._send_body(PAGE, "text/html")
        if not hub.large:
            self.send_response(200)
            self.send_header("X-Repo-Commit", hub.revision)
            blob = b"blob %d\0" % len(content) + content
            self.send_header("ETag", f'"{hashlib.sha1(blob).hexdigest()}"')
            return self._send_body(content, "application/octet-stream")
        self.send_response(302)
        self.send_header("X-Repo-Commit", hub.revision)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Linked-Etag", f'"{hub.faults.sha256 or hashlib.sha256(content).hexdigest()}"')
        self.send_header("Location", f"{hub.content_url}/content/{name}")
        return self._send_body(b"Found. Redirecting.", "text/plain")

    def _send_body(self, body: bytes, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _send_content(self, content: bytes) -> None:
        faults = self.server.hub.faults
        if faults.page:
            self.send_response(200)
            return self._send_body(PAGE, "text/html")
        content = content if faults.content is None else faults.content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(asked[1]) if asked else 0
        if asked and start >= len(content):
            return self._send_status(416)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for block in self._blocks(content, start):
                self.wfile.write(block)
        return None

    def _blocks(self, content: bytes, start: int) -> Iterator[bytes]:
        hub = self.server.hub
        faults = hub.faults
        while start < len(content):
            stop = min(start + BLOCK, len(content))
            if faults.cut is not None and faults.cuts > 0 and stop > faults.cut * len(content):
                faults.cuts -= 1
                self.close_connection = True
                return
            while faults.hold is not None and stop > faults.hold * len(content):
                hub.wait()
                if faults.hold is not None:
                    self.close_connection = True
                    return
            if faults.bytes_per_second is not None:
                hub.wait((stop - start) / faults.bytes_per_second)
            yield content[start:stop]
            start = stop


def main() -> None:
    """Serve the given files until Ctrl+C, under the name of the catalogue's repository."""
    parser = argparse.ArgumentParser(prog="python -m tools.hub_server", description=main.__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--repository", default=REPOSITORY)
    parser.add_argument("--revision", default=COMMIT)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bytes-per-second", type=float)
    arguments = parser.parse_args()
    files = {path.name: path.read_bytes() for path in arguments.files}
    faults = Faults(bytes_per_second=arguments.bytes_per_second)
    hub = HubServer(files, arguments.repository, arguments.revision, port=arguments.port, faults=faults)
    with contextlib.suppress(KeyboardInterrupt), hub:
        print(f"Start the client with HF_ENDPOINT={hub.url}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
