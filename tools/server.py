"""A ComfyUI server as a child process that never outlives the `with` block it was started in."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from .client import ComfyClient
from .comfyui import locate
from .errors import ToolError
from .paths import BASE, ROOT
from .processes import tail, timed

PACK = "robust-synthesis"
_START_SECONDS = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class ComfyServer:
    """A running ComfyUI. Make one with `ComfyServer.start(...)`."""

    process: subprocess.Popen[bytes]
    url: str
    base: Path
    log: Path

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        base: Path,
        log: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        pack: Path = ROOT,
        port: int | None = None,
    ) -> Iterator[ComfyServer]:
        """Start ComfyUI on 127.0.0.1, wait until it answers, and stop it at the end of the block.

        Args:
            base: ComfyUI's base directory, so that a user's own stays untouched; made where it does not exist.
            log: the file that gets what the server prints.
            arguments: further command-line arguments for ComfyUI.
            environment: variables that it gets besides this process's own.
            pack: the folder that is linked into it as this pack.
            port: the port to listen on; a free one if None.

        Raises:
            ToolError: the server ended or did not answer in time.
        """
        for folder in ("custom_nodes", "input", "models", "output", "user"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        link(base / "custom_nodes" / PACK, pack)
        log.parent.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        # A scratch folder of its own: ComfyUI empties its temp folder at both ends, under the feet of any
        # other server with the same base.
        with tempfile.TemporaryDirectory(prefix="comfyui-", ignore_cleanup_errors=True) as scratch:
            command = [sys.executable, str(locate() / "main.py"), *_flags(base, port, scratch), *arguments]
            with log.open("wb") as output, _running(command, output.fileno(), environment or {}) as process:
                server = cls(process, f"http://127.0.0.1:{port}", base, log)
                server._await_answer()
                yield server

    def log_text(self) -> str:
        """What the server has printed so far, without colours."""
        return _COLOURS.sub("", self.log.read_text("utf-8", "replace"))

    def _await_answer(self) -> None:
        client = ComfyClient(self.url)
        give_up = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                client.system_stats()
                return
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise ToolError(f"ComfyUI did not start. The end of {self.log}:\n{tail(self.log_text())}")
            time.sleep(0.1)


@contextlib.contextmanager
def server_for_person(log: Path, output: Path, port: int | None = None) -> Iterator[ComfyServer]:
    """A server in the base directory of the commands, which prints how long it took to start."""
    # The server writes where the pictures belong: its numbering then knows what is there already.
    server = ComfyServer.start(BASE, log, arguments=[f"--output-directory={output.absolute()}"], port=port)
    with contextlib.ExitStack() as stack:
        with timed("Starting ComfyUI"):
            running = stack.enter_context(server)
        yield running


def link(place: Path, target: Path) -> None:
    """Let the folder `target` appear at `place` as well."""
    # lexists, because a link whose target has moved away does not "exist" but is in the way.
    if os.path.lexists(place):
        if place.resolve() == target.resolve():
            return
        place.unlink()
    if sys.platform == "win32":
        # A symbolic link needs administrator rights there, a junction does not.
        import _winapi

        _winapi.CreateJunction(str(target), str(place))
    else:
        place.symlink_to(target, target_is_directory=True)


def free_port(preferred: int = 0) -> int:
    """The preferred port of 127.0.0.1 if it is free, else one that is."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ToolError("There is no free port on 127.0.0.1.")


def _flags(base: Path, port: int, scratch: str) -> list[str]:
    import torch

    flags = ["--listen=127.0.0.1", f"--port={port}", "--disable-api-nodes", "--disable-auto-launch"]
    flags += [f"--base-directory={base}", f"--temp-directory={scratch}"]
    # In memory, because the default database lies outside the base directory and is locked by one server.
    flags.append("--database-url=sqlite:///:memory:")
    if not torch.accelerator.is_available():
        flags.append("--cpu")
    return flags


@contextlib.contextmanager
def _running(command: list[str], output: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **environment},
    )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        # Children too: on Windows the Python of a virtual environment only starts the real one.
        server = psutil.Process(process.pid)
        family = [*server.children(recursive=True), server]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    for survivor in psutil.wait_procs(family, timeout=10)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()
    process.wait()
