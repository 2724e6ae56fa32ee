"""A server of a file's authors as a source, by https alone.

The requests are those of the Hub's client, without its access token, so that the proxies and HF_HUB_OFFLINE apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from huggingface_hub import get_hf_file_metadata
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from .catalog import WebFile
from .download_errors import ReasonError, web_server
from .transfer import Metadata, Source

MOST_REDIRECTS = 5


class WebSource(Source):
    """A file on a server of its authors."""

    def __init__(self, file: WebFile) -> None:
        self.file = file
        self.server = web_server(str(urlsplit(file.address).hostname))

    @property
    def page(self) -> str:
        return self.file.address

    @property
    def sha256(self) -> str | None:
        return self.file.sha256

    def cached(self) -> dict[str, Path]:
        return {}

    def metadata(self, notify: Callable[[str], None]) -> Metadata:  # noqa: ARG002 (there is nothing to say)
        """Follow the server's redirects to the file.

        Raises:
            ReasonError: one of them is no https address, or there are too many.
        """
        address = self.file.address
        for _ in range(MOST_REDIRECTS):
            if urlsplit(address).scheme != "https":
                raise ReasonError(f"it is at {address.partition('?')[0]}, which is not encrypted: only https is used.")
            found = get_hf_file_metadata(address, token=False)
            target = urljoin(address, found.location)
            if target == address:
                # What its authors have replaced must not be resumed.
                version = hashlib.sha256(f"{self.file.address} {found.etag} {found.size}".encode()).hexdigest()[:12]
                return Metadata(address, self.file.sha256, found.size, version, build_hf_headers(token=False))
            address = target
        raise ReasonError(f"{self.server.name} leads from address to address, and never to the file.")
