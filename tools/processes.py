"""Running other programs: as a stage of the set-up, or in the place of this one. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from .errors import ToolError
from .paths import LOGS, ROOT


@contextlib.contextmanager
def timed(label: str) -> Iterator[None]:
    """Print `label`, then how long the block took, on one line."""
    print(f"{label} ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
        print(f" {time.monotonic() - started:.0f} s", end="")
    finally:
        print(flush=True)


def stage(label: str, command: Sequence[str | Path], log_name: str) -> None:
    """Run one command of the set-up: a line with a growing row of dots, the rest in a log.

    Raises:
        ToolError: the command failed; the message holds the end of its log.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{log_name}.log"
    with (
        timed(label),
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.poll() is None:
                print(".", end="", flush=True)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=3)
        finally:
            process.kill()
    if process.returncode:
        raise ToolError(f"{label} failed. The end of {log}:\n{tail(log.read_text('utf-8', 'replace'))}")


def tail(text: str, lines: int = 15) -> str:
    """The last lines of a log, indented to stand out in a message."""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def become(command: Sequence[str | Path]) -> NoReturn:
    """Go on as another program, which from here on gets Ctrl-C and gives the exit code."""
    arguments = [str(part) for part in command]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(arguments[0], arguments)
    # exec on Windows returns to the shell at once, with the new program still writing to it.
    with subprocess.Popen(arguments) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(process.wait())
