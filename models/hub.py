"""Downloading a classifier of the catalogue from the Hugging Face Hub, or from the mirror that HF_ENDPOINT names.

`hf_hub_download` is not used: its newer versions throw away what has come when a download breaks off, and show
neither progress nor a way to stop it. What lies below it is: the client's own requests, so that its settings
(HF_HUB_OFFLINE, HF_TOKEN, HF_ENDPOINT, proxies) hold here as they do everywhere.
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
"""Seconds between two reports."""
BLOCK = 1 << 20
PIECE = 1 << 18
SHA256 = re.compile(r"[0-9a-f]{64}")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PAGE = (b"<!doc", b"<html")

T = TypeVar("T")


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why, and how to get it by hand."""


def download(file: HubFile, folder: Path, report: Callable[[int, int], None]) -> Path:
    """Download a file into `folder`, check it, and return where it is.

    It appears under its name only when it is whole and right; until then, and if anything fails, a file that
    has the name stays. What has come of a download that was cancelled or cut off is kept in a hidden folder, and
    the next one goes on from there. Of several at once, in one process or many, one downloads and the others wait.

    Args:
        file: what to download.
        folder: where to; made where it does not exist.
        report: called several times a second, in the caller's thread, with how many bytes have come and
            how many there are. What it raises cancels the download at once, and comes through as it is.

    Raises:
        DownloadError: it could not be downloaded, or is not the file it should be.
    """
    try:
        return _download(file, folder, report)
    except _ReasonError as reason:
        raise DownloadError(
            f"{file.filename} was not downloaded: {reason} Or download {file.url} by hand and put it into {folder}."
        ) from reason.__cause__


class _ReasonError(Exception):
    """What was wrong, in sentences."""


def _download(file: HubFile, folder: Path, report: Callable[[int, int], None]) -> Path:
    if PureWindowsPath(file.filename).name != file.filename or file.filename.startswith("."):
        raise _ReasonError("its name in the catalogue would lead out of the folder.")
    place, staging = folder / file.filename, folder / STAGING
    # Of another revision's file nothing can be used.
    part = staging / f"{file.filename}.{file.revision[:12]}.part"
    size = round(file.megabytes * 1e6)

    def tick() -> None:
        report(min(_length(part), size), size)

    with _explained():
        staging.mkdir(parents=True, exist_ok=True)
    with _alone(staging / f"{file.filename}.lock", tick):
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
        # One that another process or prompt has downloaded meanwhile.
        if _length(place) == size and _sha256(place, tick) == sha256:
            report(size, size)
            return place
        _fetch(file, part, size, tick)
        if _sha256(part, tick) != sha256:
            with _explained():
                part.unlink()
            raise _ReasonError(
                "what came is not the file it should be (its SHA-256 differs), and was deleted. Run it again; if that "
                "does not help, the network or the mirror changes files."
            )
        report(size, size)
        with _explained():
            part.replace(place)
            for left_over in staging.glob(f"{file.filename}.*.part"):
                left_over.unlink()
    return place


def _fetch(file: HubFile, part: Path, size: int, tick: Callable[[], None]) -> None:
    """Make `part` whole."""
    with _explained():
        if _length(part) > size:
            part.unlink()
        come = _length(part)
        # The quarter is for the conversion that follows.
        needed, free = size - come + size // 4, shutil.disk_usage(part.parent).free
    if free < needed:
        raise _ReasonError(
            f"the disk is too full: {in_megabytes(needed)} are needed, {in_megabytes(free)} are free. Make room first."
        )
    if come == size:
        return
    # Compressed bytes could not be counted on from.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    try:
        with _appending(part) as stream:

            def get() -> None:
                with _small_pieces():
                    http_get(file.url, stream, resume_size=come, headers=headers, expected_size=size)
                # Here a full disk is still told.
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
    """Open a file to write at its end. A worker that is left behind ends at its next write after the block."""
    with _explained():
        stream = part.open("ab")
    try:
        yield stream
    finally:
        # On a full disk closing fails as writing did.
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def _small_pieces() -> Iterator[None]:
    """The client writes 10 MB at a time: too coarse for progress, and the piece under way is lost in a cut."""
    usual = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = min(PIECE, usual)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual


@contextlib.contextmanager
def _alone(lock: Path, tick: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that one process or thread at a time can have."""
    held = FileLock(lock)
    while not _taken(held):
        tick()
        time.sleep(TICK)
    try:
        yield
    finally:
        held.release()


def _taken(lock: BaseFileLock) -> bool:
    with _explained(), contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    return lock.is_locked


def _in_background(work: Callable[[], T], tick: Callable[[], None]) -> T:
    """Do work in a thread, and tick until it is done. If a tick raises, the thread is left behind.

    Raises:
        _ReasonError: the work raised something.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            with _explained():
                result.set_result(work())
        except _ReasonError as reason:
            result.set_exception(reason)

    # A pool's threads would be waited for when the process ends.
    threading.Thread(target=run, name="robust-synthesis-download", daemon=True).start()
    while not wait([result], TICK).done:
        tick()
    return result.result()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except _ReasonError:
        raise
    # The client's versions raise the errors of three different HTTP libraries, some of which are OSErrors.
    except Exception as error:
        raise _ReasonError(_explain(error)) from error


def _explain(error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on. Unset HF_HUB_OFFLINE and start ComfyUI again."
    if isinstance(error, HfHubHTTPError):
        return _explain_status(error.response.status_code)
    if isinstance(error, OSError) and error.errno in FULL:
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
        while block := stream.read(BLOCK):
            digest.update(block)
            tick()
    return digest.hexdigest()


def _is_page(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return stream.read(64).lstrip().lower().startswith(PAGE)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
