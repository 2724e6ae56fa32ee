"""Download a classifier of the catalogue from the Hugging Face Hub, or from the mirror that HF_ENDPOINT names.

`hf_hub_download` is not used, because newer versions discard an interrupted download and can neither report progress
nor be cancelled. The client's own requests below it are used, so that its settings (HF_HUB_OFFLINE, HF_TOKEN,
HF_ENDPOINT, proxies) apply.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, TypeVar

from filelock import BaseFileLock, FileLock, Timeout
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import HfFileMetadata, http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from .catalog import HubFile, in_megabytes
from .hub_errors import FORBIDDEN, HUB, ReasonError, check_endpoint, errors_explained, is_address, server_name

STAGING = ".downloads"
TICK = 0.1
"""Seconds between two progress reports."""
HASH_BLOCK = 1 << 20
CHUNK = 1 << 18
SHA256 = re.compile(r"[0-9a-f]{64}")
WEB_PAGE_STARTS = (b"<!doc", b"<html")

T = TypeVar("T")


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why, and how to download it by hand."""


def download(
    file: HubFile,
    folder: Path,
    report: Callable[[int, int], None],
    notify: Callable[[str], None] = lambda _: None,
    copies: Iterable[Path] = (),
) -> Path:
    """Download a file into `folder`, check its SHA-256, and return its path.

    A file with the right SHA-256 that is on this machine is used instead: one of `copies` where it is, one in the
    Hugging Face cache by copying it into `folder`.

    The file replaces an older one of its name only when it is complete and checked. The part of a cancelled or
    interrupted download is kept in a hidden folder, and the next download resumes it. Of several downloads at once, in
    one process or many, one runs and the others wait.

    Args:
        file: what to download.
        folder: where to; created if it does not exist.
        report: called several times a second, in the caller's thread, with the number of bytes received and the
            total. An exception that it raises cancels the download at once and is passed on unchanged.
        notify: called with a sentence for the user if there is something to know about a download that succeeded.
        copies: files that may be the same as `file`.

    Raises:
        DownloadError: it could not be downloaded, or its SHA-256 is wrong.
    """
    try:
        return _download(file, folder, report, notify, copies)
    except ReasonError as reason:
        # An address without https:// opens in no browser.
        endpoint = constants.ENDPOINT if is_address(constants.ENDPOINT) else HUB
        url = hf_hub_url(file.repository, file.filename, revision=file.revision, endpoint=endpoint)
        raise DownloadError(
            f"{file.filename} was not downloaded: {reason} Or download {url} by hand and put it into {folder}."
        ) from reason.__cause__


@dataclass(frozen=True)
class _Metadata:
    """What the Hub, or a mirror, says about a file."""

    sha256: str
    size: int | None
    """In bytes; None if it is not known."""
    token: bool | None
    """The argument for `build_hf_headers`: None sends the user's access token, False none."""


def _download(
    file: HubFile,
    folder: Path,
    report: Callable[[int, int], None],
    notify: Callable[[str], None],
    copies: Iterable[Path],
) -> Path:
    if PureWindowsPath(file.filename).name != file.filename or file.filename.startswith("."):
        raise ReasonError("its name in the catalogue would lead out of the folder.")
    target, staging = folder / file.filename, folder / STAGING
    # The part of another revision must not be resumed.
    part = staging / f"{file.filename}.{file.revision[:12]}.part"
    size = round(file.megabytes * 1e6)

    def tick() -> None:
        report(min(_length(part), size), size)

    with errors_explained():
        staging.mkdir(parents=True, exist_ok=True)
    with _locked(staging / f"{file.filename}.lock", tick):
        # Another process or prompt may have downloaded it while this one waited for the lock.
        cached = _cached(file)
        local = [path for path in (target, *copies, *cached.values()) if os.access(path, os.R_OK)]
        here = _with_sha256(local, file.sha256 or _blob_sha256(cached.get(file.revision)), tick)
        if here is None:
            metadata = _in_background(lambda: _metadata(file, notify), tick)
            here = None if file.sha256 else _with_sha256(local, metadata.sha256, tick)
        if here is None:
            size = metadata.size or size
            _fetch(file, part, metadata, size, tick)
            _check(part, metadata.sha256, tick)
        elif here in cached.values():
            size = _length(here)
            _copy(here, part, tick)
            notify(f"{file.filename} was in the Hugging Face cache of this machine, and was not downloaded again.")
        else:
            if here != target:
                notify(f"{file.filename} is at {here} already, and was not downloaded again.")
            report(_length(here), _length(here))
            return here
        report(size, size)
        with errors_explained():
            part.replace(target)
            for outdated in staging.glob(f"{file.filename}.*.part"):
                outdated.unlink()
    return target


def _cached(file: HubFile) -> dict[str, Path]:
    """The file in the Hugging Face cache, by revision; one that was downloaded as `main` may be the same."""
    found = {
        name: try_to_load_from_cache(file.repository, file.filename, revision=name) for name in (file.revision, "main")
    }
    return {revision: Path(path) for revision, path in found.items() if isinstance(path, str)}


def _blob_sha256(cached: Path | None) -> str | None:
    """The SHA-256 that the Hub gave when the file was cached: it names the file that the cache links to."""
    name = cached.resolve().name if cached else ""
    return name if SHA256.fullmatch(name) else None


def _with_sha256(paths: Iterable[Path], sha256: str | None, tick: Callable[[], None]) -> Path | None:
    return next((path for path in paths if sha256 and _sha256(path, tick) == sha256), None)


def _metadata(file: HubFile, notify: Callable[[str], None]) -> _Metadata:
    """Ask the Hub. Its answer is needed where the catalogue has no SHA-256, and tells the exact size elsewhere.

    Raises:
        ReasonError: nobody knows the SHA-256.
    """
    check_endpoint()
    token = None
    try:
        found = get_hf_file_metadata(file.url)
    except HfHubHTTPError as error:
        if error.response.status_code not in FORBIDDEN or "authorization" not in build_hf_headers():
            raise
        # The Hub answers an expired token so for public files, too.
        token, found = False, _metadata_without_token(file, error.response.status_code)
        notify(
            f"Note: {server_name()} refused your access token ({error.response.status_code}), which may have "
            f"expired; {file.filename} is public and came without it. Set HF_TOKEN to a new one, or run "
            "`hf auth login` (`hf auth logout` forgets it)."
        )
    etag = found.etag or ""
    sha256 = file.sha256 or (etag if SHA256.fullmatch(etag) else None)
    # Without a commit, it is no answer of the Hub but a mirror's or a login page's, whose size may be another's.
    from_hub = found.commit_hash is not None
    if sha256 is None:
        raise ReasonError(
            "neither the catalogue nor the Hub says what its SHA-256 is, so it could not be checked."
            if from_hub
            else f"the answer of {server_name()} is not the Hub's: it does not say what the file's SHA-256 is. The "
            "network may want you to log in first: open any page in the browser."
        )
    return _Metadata(sha256, found.size if from_hub else None, token)


def _metadata_without_token(file: HubFile, status: int) -> HfFileMetadata:
    try:
        return get_hf_file_metadata(file.url, token=False)
    except HfHubHTTPError as error:
        if error.response.status_code not in FORBIDDEN:
            raise
        raise ReasonError(
            f"{server_name()} refuses it with your access token ({status}) and without one. The token may have "
            "expired: set HF_TOKEN to a new one, or run `hf auth login`, with an account that may read the file."
        ) from error


def _fetch(file: HubFile, part: Path, metadata: _Metadata, size: int, tick: Callable[[], None]) -> None:
    """Download what `part` lacks of a file of about `size` bytes."""
    with errors_explained():
        if metadata.size is not None and _length(part) > metadata.size:
            part.unlink()
        received = _length(part)
        # The file will be converted, and the converted file is a quarter of its size.
        needed, free = max(size - received, 0) + size // 4, shutil.disk_usage(part.parent).free
    if free < needed:
        raise ReasonError(
            f"the disk is too full: {in_megabytes(needed)} are needed, {in_megabytes(free)} are free. Make room first."
        )
    if received == metadata.size:
        return
    if metadata.size is None and received and _sha256(part, tick) == metadata.sha256:
        return
    try:
        with _appending(part) as stream:

            def get() -> None:
                # A compressed answer could not be resumed at a position of the file.
                headers = build_hf_headers(token=metadata.token) | {"Accept-Encoding": "identity"}
                with _small_chunks():
                    http_get(file.url, stream, resume_size=received, headers=headers, expected_size=metadata.size)
                # Without this, a full disk would be noticed only on closing, where errors are ignored.
                stream.flush()

            _in_background(get, tick)
    except ReasonError as reason:
        _refuse_page(part)
        kept = _length(part)
        go_on = f" {in_megabytes(kept)} of {in_megabytes(size)} are kept: run it again to go on from there."
        raise ReasonError(f"{reason}{go_on if kept else ''}") from reason.__cause__


def _check(part: Path, sha256: str, tick: Callable[[], None]) -> None:
    """Delete what was downloaded if it is something else.

    Raises:
        ReasonError: it is.
    """
    if _sha256(part, tick) == sha256:
        return
    _refuse_page(part)
    with errors_explained():
        part.unlink()
    raise ReasonError(
        f"what {server_name()} sent is not the file it should be (its SHA-256 differs), and was deleted. Run it again; "
        "if that does not help, the network or the mirror changes files."
    )


def _refuse_page(part: Path) -> None:
    """Raise and delete what was downloaded if it is a web page."""
    if _is_page(part):
        part.unlink()
        raise ReasonError(
            f"{server_name()} sent a web page in its place. The network may want you to log in first: open any page in "
            "the browser."
        )


def _copy(source: Path, part: Path, tick: Callable[[], None]) -> None:
    with errors_explained():
        part.unlink(missing_ok=True)
        original = source.open("rb")
    with original, _appending(part) as stream:

        def copy() -> None:
            shutil.copyfileobj(original, stream, HASH_BLOCK)
            stream.flush()

        _in_background(copy, tick)


@contextlib.contextmanager
def _appending(part: Path) -> Iterator[BinaryIO]:
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
    with errors_explained(), contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    return lock.is_locked


def _in_background(work: Callable[[], T], tick: Callable[[], None]) -> T:
    """Run `work` in a thread and call `tick` until it ends. If a tick raises, the thread is abandoned.

    Raises:
        ReasonError: `work` raised an exception.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            with errors_explained():
                result.set_result(work())
        except ReasonError as reason:
            result.set_exception(reason)

    # Not a thread pool: the interpreter would wait for its threads on exit.
    threading.Thread(target=run, name="robust-synthesis-download", daemon=True).start()
    while not wait([result], TICK).done:
        tick()
    return result.result()


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
