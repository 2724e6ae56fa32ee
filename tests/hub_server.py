"""A small Hugging Face Hub on this machine, for the real client.

As the real one does for large files, it answers `/<repository>/resolve/<revision>/<file>` with a redirect to a
content server of another origin, and gives the file's size, SHA-256 and commit in headers of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
    """The Hub gives this as the file's SHA-256."""
    small: bool = False
    """The file is a small one: the Hub sends it itself, and has Git's hash of it alone."""
    refuses_tokens: int | None = None
    """Whoever sends an access token gets this status, as with an expired one; the file is public."""
    bare: bool = False
    """It is a mirror that sends files itself, in chunks, without the Hub's headers and without Content-Length."""


@dataclass
class HubServer(contextlib.AbstractContextManager["HubServer"]):
    """Serves one revision of one repository while its `with` block runs.

    Start the client with `HF_ENDPOINT` set to `url`. The server is also an HTTP proxy, for itself: with
    `HTTP_PROXY` set to `url`, the client may call the Hub whatever it likes.

    Args:
        files: the repository's files, by name.
        token: if set, the Hub answers only those who send it.
        tls: with it the servers speak https alone.
    """

    files: Mapping[str, bytes]
    token: str | None = None
    tls: ssl.SSLContext | None = None
    moved: dict[str, str] = field(default_factory=dict)
    """Paths that the first server redirects, to which address; it is any server's then."""
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        self._going = threading.Event()
        self._hub, self._content = _Listener(self), _Listener(self)
        for listener in (self._hub, self._content):
            if self.tls:
                listener.socket = self.tls.wrap_socket(listener.socket, server_side=True)
            # The short interval is how long leaving the block takes.
            threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going.set()
        for listener in (self._hub, self._content):
            listener.shutdown()
            listener.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._hub.server_port}"

    @property
    def content_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._content.server_port}/content"

    @property
    def downloads(self) -> list[Request]:
        """The requests for a file's content."""
        place = f"/{REPOSITORY}/resolve/" if self.faults.bare else "/content/"
        return [r for r in self.requests if r.method == "GET" and urlsplit(r.path).path.startswith(place)]

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

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, headers = self.server.hub, self.headers
        hub.requests.append(Request(self.command, self.path, headers["Range"], headers["Authorization"]))
        if hub.faults.silent:
            hub.wait()
        # A proxy is asked for whole addresses.
        path = unquote(urlsplit(self.path).path)
        name = path.rpartition("/")[2]
        if path in hub.moved:
            return self._send(302, b"Found.", Location=hub.moved[path])
        if path == f"/content/{name}" and name in hub.files:
            self._send_content(hub.files[name])
        elif hub.faults.refuses_tokens is not None and headers["Authorization"] is not None:
            self._send_error(hub.faults.refuses_tokens)
        elif hub.token is not None and headers["Authorization"] != f"Bearer {hub.token}":
            self._send_error(401)
        elif hub.faults.status is not None:
            self._send_error(hub.faults.status)
        elif path != f"/{REPOSITORY}/resolve/{COMMIT}/{name}" or name not in hub.files:
            self._send_error(404)
        elif hub.faults.bare:
            self._send_content(hub.files[name])
        elif hub.faults.stranger:
            self._send(200, PAGE)
        elif hub.faults.small:
            blob = b"blob %d\0" % len(hub.files[name]) + hub.files[name]
            hashes = {"ETag": f'"{hashlib.sha1(blob).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, hub.files[name], **hashes)
        else:
            self._redirect(name)
        return None

    def log_message(self, *_: Any) -> None:
        """Requests are recorded, not written."""

    def _send_error(self, status: int) -> None:
        code = ERRORS.get(status)
        self._send(status, b'{"error":"no"}', **({"X-Error-Code": code, "X-Error-Message": code} if code else {}))

    def _redirect(self, name: str) -> None:
        hub = self.server.hub
        sha256 = hub.faults.sha256 or hashlib.sha256(hub.files[name]).hexdigest()
        linked = {"X-Linked-Size": str(len(hub.files[name])), "X-Linked-Etag": f'"{sha256}"', "X-Repo-Commit": COMMIT}
        self._send(302, b"Found.", Location=f"{hub.content_url}/{name}", **{"Accept-Ranges": "bytes"}, **linked)

    def _send_content(self, content: bytes) -> None:
        faults = self.server.hub.faults
        if faults.page:
            return self._send(200, PAGE)
        content = content if faults.content is None else faults.content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(asked[1]) if asked else 0
        if asked and start >= len(content):
            return self._send_error(416)
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if asked else 200, len(content) - start, headers)
        if self.command == "HEAD":
            return None
        with contextlib.suppress(ConnectionError):
            for block in self._blocks(content, start):
                self._write(block)
            if faults.bare and not self.close_connection:
                self._write(b"")
        return None

    def _write(self, block: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if self.server.hub.faults.bare else block)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self._head(status, len(body), headers)
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        size = {"Transfer-Encoding": "chunked"} if self.server.hub.faults.bare else {"Content-Length": str(length)}
        if self.server.hub.faults.bare:
            headers = {name: value for name, value in headers.items() if name not in ("ETag", "Content-Range")}
        for name, value in {**headers, **size}.items():
            self.send_header(name, value)
        self.end_headers()

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
