"""`dev.py serve`: ComfyUI's editor with the pack, for a person."""

from __future__ import annotations

import webbrowser

from .paths import LOGS, OUTPUT
from .server import free_port, server_for_person


def serve(port: int | None, *, browser: bool) -> None:
    """Run the editor until it is stopped with Ctrl-C.

    Raises:
        ToolError: the server did not start.
    """
    log = LOGS / "serve.log"
    with server_for_person(log, OUTPUT, port or free_port(preferred=8188)) as server:
        print(f"ComfyUI is at {server.url} (Ctrl-C stops it; log: {log})", flush=True)
        if browser:
            webbrowser.open(server.url)
        server.process.wait()
