"""Download a classifier of the catalogue from the Hugging Face Hub, or from the mirror that HF_ENDPOINT names.

`hf_hub_download` is not used, because newer versions discard an interrupted download and can neither report progress
nor be cancelled. The client's own requests below it are used, so that its settings (HF_HUB_OFFLINE, HF_TOKEN,
HF_ENDPOINT, proxies) apply.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, TypeVar

from filelock import BaseFileLock, FileLock, Timeout
from huggingface_hub import constants, get_hf_file_metadata
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from .catalog import HubFile, in_megabytes

STAGING = ".downloads"
TICK = 0.1
"""Seconds between two progress reports."""
HASH_BLOCK = 1 << 20
CHUNK = 1 << 18
SHA256 = re.compile(r"[0-9a-f]{64}")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WEB_PAGE_STARTS = (b"<!doc", b"<html")

T = TypeVar("T")


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why, and how to download it by hand."""


def download(file: HubFile, folder: Path, report: Callable[[int, int], None]) -> Path:
    """Download a file into `folder`, check its SHA-256, and return its path.

    The file replaces an older one of its name only when it is complete and checked. The part of a cancelled or
    interrupted download is kept in a hidden folder, and the next download resumes it. Of several downloads at once, in
    one process or many, one runs and the others wait.

    Args:
        file: what to download.
        folder: where to; created if it does not exist.
        report: called several times a second, in the caller's thread, with the number of bytes received and the
            total. An exception that it raises cancels the download at once and is passed on unchanged.

    Raises:
        DownloadError: it could not be downloaded, or its SHA-256 is wrong.
    """
    try:
        return _download(file, folder, report)
    except _ReasonError as reason:
        raise DownloadError(
            f"{file.filename} was not downloaded: {reason} Or download {file.url} by hand and put it into {folder}."
        ) from reason.__cause__


class _ReasonError(Exception):
    """The reason of a failure, in sentences for the user."""


def _download(file: HubFile, folder: Path, report: Callable[[int, int], None]) -> Path:
    if PureWindowsPath(file.filename).name != file.filename or file.filename.startswith("."):
        raise _ReasonError("its name in the catalogue would lead out of the folder.")
    target, staging = folder / file.filename, folder / STAGING
    # The part of another revision must not be resumed.
    part = staging / f"{file.filename}.{file.revision[:12]}.part"
    size = round(file.megabytes * 1e6)

    def tick() -> None:
        report(min(_length(part), size), size)

    with _errors_explained():
        staging.mkdir(parents=True, exist_ok=True)
    with _locked(staging / f"{file.filename}.lock", tick):
        metadata = _in_background(lambda: get_hf_file_metadata(file.url), tick)
        sha256 = file.sha256 or metadata.etag or ""
        if metadata.commit_hash is None or metadata.size is None:
            raise _ReasonError(
                "the answer did not come from the Hub. The network may want you to log in first: open any web page."
            )
        if not SHA256.fullmatch(sha256):
            raise _ReasonError(
                "neither the catalogue nor the Hub says what its SHA-256 is, so it could not be checked."
            )
        size = metadata.size
        # Another process or prompt may have downloaded it while this one waited for the lock.
        if _length(target) == size and _sha256(target, tick) == sha256:
            report(size, size)
            return target
        _fetch(file, part, size, tick)
        if _sha256(part, tick) != sha256:
            with _errors_explained():
                part.unlink()
            raise _ReasonError(
                "what came is not the file it should be (its SHA-256 differs), and was deleted. Run it again; if that "
                "does not help, the network or the mirror changes files."
            )
        report(size, size)
        with _errors_explained():
            part.replace(target)
            for outdated in staging.glob(f"{file.filename}.*.part"):
                outdated.unlink()
    return target


def _fetch(file: HubFile, part: Path, size: int, tick: Callable[[], None]) -> None:
    """Download what `part` lacks."""
    with _errors_explained():
        if _length(part) > size:
            part.unlink()
        received = _length(part)
        # The file will be converted, and the converted file is a quarter of its size.
        needed, free = size - received + size // 4, shutil.disk_usage(part.parent).free
    if free < needed:
        raise _ReasonError(
            f"the disk is too full: {in_megabytes(needed)} are needed, {in_megabytes(free)} are free. Make room first."
        )
    if received == size:
        return
    # A compressed answer could not be resumed at a position of the file.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    try:
        with _appending(part) as stream:

            def get() -> None:
                with _small_chunks():
                    http_get(file.url, stream, resume_size=received, headers=headers, expected_size=size)
                # Without this, a full disk would be noticed only on closing, where errors are ignored.
                stream.flush()

            _in_background(get, tick)
    except _ReasonError as reason:
        if _is_page(part):
            part.unlink()
            raise _ReasonError(
                "a web page came in its place. The network may want you to log in first: open any web page."
            ) from reason.__cause__
        kept = _length(part)
        go_on = f" {in_megabytes(kept)} of {in_megabytes(size)} are kept: run it again to go on from there."
        raise _ReasonError(f"{reason}{go_on if kept else ''}") from reason.__cause__


@contextlib.contextmanager
def _appending(part: Path) -> Iterator[BinaryIO]:
    """Open a file for appending. An abandoned thread fails at its next write, because the file is closed by then."""
    with _errors_explained():
        stream = part.open("ab")
    try:
        yield stream
    finally:
        # On a full disk, closing fails again after writing has failed.
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def _small_chunks() -> Iterator[None]:
    """Replace the client's chunks of 10 MB: too coarse for progress, and an interruption loses the current one."""
    usual = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = min(CHUNK, usual)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual


@contextlib.contextmanager
def _locked(lock: Path, tick: Callable[[], None]) -> Iterator[None]:
    """Wait for and hold a lock that excludes other processes and threads."""
    held = FileLock(lock)
    while not _try_acquire(held):
        tick()
        time.sleep(TICK)
    try:
        yield
    finally:
        held.release()


def _try_acquire(lock: BaseFileLock) -> bool:
    with _errors_explained(), contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    return lock.is_locked


def _in_background(work: Callable[[], T], tick: Callable[[], None]) -> T:
    """Run `work` in a thread and call `tick` until it ends. If a tick raises, the thread is abandoned.

    Raises:
        _ReasonError: `work` raised an exception.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            with _errors_explained():
                result.set_result(work())
        except _ReasonError as reason:
            result.set_exception(reason)

    # Not a thread pool: the interpreter would wait for its threads on exit.
    threading.Thread(target=run, name="robust-synthesis-download", daemon=True).start()
    while not wait([result], TICK).done:
        tick()
    return result.result()


@contextlib.contextmanager
def _errors_explained() -> Iterator[None]:
    try:
        yield
    except _ReasonError:
        raise
    # Versions of the client raise errors of three different HTTP libraries, some of which are OSErrors.
    except Exception as error:
        raise _ReasonError(_explain(error)) from error


def _explain(error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on. Unset HF_HUB_OFFLINE and start ComfyUI again."
    if isinstance(error, HfHubHTTPError):
        return _explain_status(error.response.status_code)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "the disk is full: make room."
    if isinstance(error, OSError) and error.errno is not None:
        return f"the folder cannot be written to ({error.strerror or error}): look at its permissions."
    return f"the connection failed ({_first_line(error)}): look at the network."


def _explain_status(status: int) -> str:
    if status in (401, 403):
        return (
            f"the Hub refuses it without permission ({status}). It needs an access token: set HF_TOKEN, or run "
            "`hf auth login`, with an account that may read the file."
        )
    if status == 404:
        return "there is no such file on the Hub, or on the mirror that HF_ENDPOINT names (404)."
    if status == 429:
        return "the Hub has had too many requests from this network (429). Wait some minutes and run it again."
    return f"the Hub has a problem of its own ({status}). Run it again later."


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _sha256(path: Path, tick: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            digest.update(block)
            tick()
    return digest.hexdigest()


def _is_page(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return stream.read(64).lstrip().lower().startswith(WEB_PAGE_STARTS)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
