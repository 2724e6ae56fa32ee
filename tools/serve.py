"""`dev.py serve`: ComfyUI's editor with the pack, for a person."""

from __future__ import annotations

import contextlib
import webbrowser

from .paths import BASE, LOGS, OUTPUT
from .processes import timed
from .server import ComfyServer, free_port

_USUAL_PORT = 8188


def serve(port: int | None, *, browser: bool) -> None:
    """Run the editor until it is stopped with Ctrl-C.

    Raises:
        ToolError: the server did not start.
    """
    log = LOGS / "serve.log"
    with contextlib.ExitStack() as stack:
        with timed("Starting ComfyUI"):
            server = stack.enter_context(
                ComfyServer.start(
                    BASE,
                    log,
                    arguments=[f"--output-directory={OUTPUT}"],
                    port=port or free_port(_USUAL_PORT),
                )
            )
        print(f"ComfyUI is at {server.url} (Ctrl-C stops it; log: {log})", flush=True)
        if browser:
            webbrowser.open(server.url)
        server.process.wait()
