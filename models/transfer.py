"""The parts of a download: a file that grows, a thread that fills it, a lock, and the hash of what came."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from filelock import BaseFileLock, FileLock, Timeout
from huggingface_hub import constants

from .download_errors import ReasonError, Server, errors_explained

TICK = 0.1
"""Seconds between two progress reports."""
HASH_BLOCK = 1 << 20
CHUNK = 1 << 18
WEB_PAGE_STARTS = (b"<!doc", b"<html")

T = TypeVar("T")


@dataclass(frozen=True)
class Metadata:
    """What a server says about a file."""

    url: str
    """Where its content is."""
    sha256: str | None
    """None if nobody knows it."""
    size: int | None
    """In bytes; None if it is not known."""
    version: str
    """Of the file, for the name of its part."""
    headers: dict[str, str]
    """For the request of its content."""


class Source(ABC):
    """Where a file is downloaded from."""

    server: Server

    @property
    @abstractmethod
    def page(self) -> str:
        """The address for a download by hand."""

    @property
    @abstractmethod
    def sha256(self) -> str | None:
        """What is known without asking."""

    @abstractmethod
    def cached(self) -> dict[str, Path]:
        """Files on this machine that may be copied, by revision."""

    @abstractmethod
    def metadata(self, notify: Callable[[str], None]) -> Metadata:
        """Ask the server; errors are those of its client, or a ReasonError."""


def copy_file(source: Path, part: Path, tick: Callable[[], None]) -> None:
    with errors_explained():
        part.unlink(missing_ok=True)
        original = source.open("rb")
    with original, appending(part) as stream:

        def copy() -> None:
            shutil.copyfileobj(original, stream, HASH_BLOCK)
            stream.flush()

        in_background(copy, tick)


@contextlib.contextmanager
def appending(part: Path) -> Iterator[BinaryIO]:
    """Open a file for appending. An abandoned thread fails at its next write, because the file is closed by then."""
    with errors_explained():
        stream = part.open("ab")
    try:
        yield stream
    finally:
        # On a full disk, closing fails again after writing has failed.
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    """Replace the client's chunks of 10 MB: too coarse for progress, and an interruption loses the current one."""
    usual = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = min(CHUNK, usual)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual


@contextlib.contextmanager
def locked(lock: Path, tick: Callable[[], None]) -> Iterator[None]:
    """Wait for and hold a lock that excludes other processes and threads."""
    held = FileLock(lock)
    while not _acquire(held):
        tick()
        time.sleep(TICK)
    try:
        yield
    finally:
        held.release()


def _acquire(lock: BaseFileLock) -> bool:
    with errors_explained(), contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    return lock.is_locked


def in_background(work: Callable[[], T], tick: Callable[[], None], server: Server | None = None) -> T:
    """Run `work` in a thread and call `tick` until it ends. If a tick raises, the thread is abandoned.

    Args:
        work: what to do.
        tick: called every `TICK` seconds.
        server: which is asked; None: none is.

    Raises:
        ReasonError: `work` raised an exception.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            with errors_explained(server):
                result.set_result(work())
        except ReasonError as reason:
            result.set_exception(reason)

    # Not a thread pool: the interpreter would wait for its threads on exit.
    threading.Thread(target=run, name="robust-synthesis-download", daemon=True).start()
    while not wait([result], TICK).done:
        tick()
    return result.result()


def sha256_of(path: Path, tick: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            digest.update(block)
            tick()
    return digest.hexdigest()


def is_page(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return stream.read(64).lstrip().lower().startswith(WEB_PAGE_STARTS)


def length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
