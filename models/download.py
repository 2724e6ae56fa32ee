"""Download a classifier of the catalogue: from the Hugging Face Hub, or from a server of its authors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path, PureWindowsPath

from huggingface_hub.file_download import http_get

from .catalog import CatalogFile, HubFile, WebFile, in_megabytes
from .download_errors import ReasonError, errors_explained
from .hub import SHA256, HubSource
from .transfer import (
    Metadata,
    Source,
    appending,
    copy_file,
    in_background,
    is_page,
    length,
    locked,
    sha256_of,
    small_chunks,
)
from .web import WebSource

STAGING = ".downloads"
RECORD = ".sha256"
"""The file beside a download that nobody has published the hash of: `<SHA-256>  <name>`, as sha256sum writes it."""


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why, and how to download it by hand."""


def download(
    file: CatalogFile,
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

    Where nobody knows the SHA-256, as with the files of some authors, that of the first download is written beside it
    (`NAME.sha256`), and later ones are checked against it.

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
    source = _source(file)
    try:
        return _Download(file, source, folder, report, notify).run(copies)
    except ReasonError as reason:
        name = "" if source.page.endswith(f"/{file.filename}") else f" as {file.filename}"
        raise DownloadError(
            f"{file.filename} was not downloaded: {reason} Or download {source.page} by hand and put it into {folder}"
            f"{name}."
        ) from reason.__cause__


def _source(file: CatalogFile) -> Source:
    if isinstance(file, HubFile):
        return HubSource(file)
    assert isinstance(file, WebFile)
    return WebSource(file)


class _Download:
    """One download."""

    def __init__(
        self,
        file: CatalogFile,
        source: Source,
        folder: Path,
        report: Callable[[int, int], None],
        notify: Callable[[str], None],
    ) -> None:
        self.file, self.source, self.report, self.notify = file, source, report, notify
        self.target, self.staging = folder / file.filename, folder / STAGING
        self.record = folder / f"{file.filename}{RECORD}"
        self.part: Path | None = None
        self.size = round(file.megabytes * 1e6)

    def tick(self) -> None:
        # Another process or prompt may be downloading it, and this one waiting.
        parts = [self.part] if self.part else self.staging.glob(f"{self.file.filename}.*.part")
        self.report(min(max(map(length, parts), default=0), self.size), self.size)

    def run(self, copies: Iterable[Path]) -> Path:
        file, source, tick = self.file, self.source, self.tick
        if PureWindowsPath(file.filename).name != file.filename or file.filename.startswith("."):
            raise ReasonError("its name in the catalogue would lead out of the folder.")
        with errors_explained():
            self.staging.mkdir(parents=True, exist_ok=True)
        with locked(self.staging / f"{file.filename}.lock", tick):
            # Another process or prompt may have downloaded it while this one waited for the lock.
            recorded = self._recorded()
            sha256, cached = source.sha256 or recorded, source.cached()
            local = [path for path in (self.target, *copies, *cached.values()) if os.access(path, os.R_OK)]
            here = _with_sha256(local, sha256, tick)
            if here is None:
                metadata = in_background(partial(source.metadata, self.notify), tick, source.server)
                metadata = replace(metadata, sha256=metadata.sha256 or recorded)
                here = None if sha256 else _with_sha256(local, metadata.sha256, tick)
            if here is not None and here not in cached.values():
                return self._as_it_is(here)
            if here is None:
                self.part = part = self.staging / f"{file.filename}.{metadata.version}.part"
                self.size = metadata.size or self.size
                self._fetch(part, metadata)
                self._check(part, metadata.sha256)
            else:
                self.part = part = self.staging / f"{file.filename}.copy.part"
                self.size = length(here)
                copy_file(here, part, tick)
                self.notify(
                    f"{file.filename} was in the Hugging Face cache of this machine, and was not downloaded again."
                )
            self.report(self.size, self.size)
            with errors_explained():
                part.replace(self.target)
                for outdated in self.staging.glob(f"{file.filename}.*.part"):
                    outdated.unlink()
        return self.target

    def _as_it_is(self, here: Path) -> Path:
        if here != self.target:
            self.notify(f"{self.file.filename} is at {here} already, and was not downloaded again.")
        self.report(length(here), length(here))
        return here

    def _recorded(self) -> str | None:
        """What the first download wrote down; None also where an editor or a full disk has left something else."""
        with errors_explained():
            text = self.record.read_text("utf-8", errors="replace") if self.record.exists() else ""
        sha256 = text.split(" ")[0].strip().lower()
        return sha256 if SHA256.fullmatch(sha256) else None

    def _fetch(self, part: Path, metadata: Metadata) -> None:
        """Download what `part` lacks."""
        with errors_explained():
            if metadata.size is not None and length(part) > metadata.size:
                part.unlink()
            received = length(part)
            # The file will be converted to half precision: half its size, or less where it holds more than weights.
            needed, free = max(self.size - received, 0) + self.size // 2, shutil.disk_usage(part.parent).free
        if free < needed:
            raise ReasonError(
                f"the disk is too full: {in_megabytes(needed)} are needed, {in_megabytes(free)} are free. Make room "
                "first."
            )
        if received == metadata.size:
            return
        if metadata.size is None and received and sha256_of(part, self.tick) == metadata.sha256:
            return
        try:
            with appending(part) as stream:

                def get() -> None:
                    # A compressed answer could not be resumed at a position of the file.
                    headers = metadata.headers | {"Accept-Encoding": "identity"}
                    with small_chunks():
                        http_get(
                            metadata.url, stream, resume_size=received, headers=headers, expected_size=metadata.size
                        )
                    # Without this, a full disk would be noticed only on closing, where errors are ignored.
                    stream.flush()

                in_background(get, self.tick, self.source.server)
        except ReasonError as reason:
            self._refuse_page(part)
            kept = length(part)
            go_on = f" {in_megabytes(kept)} of {in_megabytes(self.size)} are kept: run it again to go on from there."
            raise ReasonError(f"{reason}{go_on if kept else ''}") from reason.__cause__

    def _check(self, part: Path, sha256: str | None) -> None:
        """Delete what was downloaded if it is something else; write its hash down if nobody knows it.

        Raises:
            ReasonError: it is something else.
        """
        found = sha256_of(part, self.tick)
        if found == sha256:
            return
        self._refuse_page(part)
        name = self.source.server.name
        if sha256 is None:
            with errors_explained():
                self.record.write_text(f"{found}  {self.file.filename}\n", "utf-8")
            self.notify(
                f"Nobody has published the SHA-256 of {self.file.filename}, so it could not be checked. That of this "
                f"download is in {self.record.name} beside it, and a later download must have the same."
            )
            return
        with errors_explained():
            part.unlink()
        if sha256 == self._recorded() != self.source.sha256:
            raise ReasonError(
                f"what {name} sent is not the file that it sent the first time (its SHA-256 is not that in "
                f"{self.record.name}), and was deleted. If its authors have replaced it and you trust the new one, "
                f"delete {self.record} and run it again."
            )
        raise ReasonError(
            f"what {name} sent is not the file it should be (its SHA-256 differs), and was deleted. Run it again; "
            "if that does not help, the network or the mirror changes files."
        )

    def _refuse_page(self, part: Path) -> None:
        """Raise and delete what was downloaded if it is a web page."""
        if is_page(part):
            part.unlink()
            raise ReasonError(
                f"{self.source.server.name} sent a web page in its place. The network may want you to log in first: "
                "open any page in the browser."
            )


def _with_sha256(paths: Iterable[Path], sha256: str | None, tick: Callable[[], None]) -> Path | None:
    return next((path for path in paths if sha256 and sha256_of(path, tick) == sha256), None)
