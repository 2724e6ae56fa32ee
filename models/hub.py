"""The Hugging Face Hub, or the mirror that HF_ENDPOINT names, as a source of files.

`hf_hub_download` is not used, because newer versions discard an interrupted download and can neither report progress
nor be cancelled. The client's own requests below it are used, so that its settings (HF_HUB_OFFLINE, HF_TOKEN,
HF_ENDPOINT, proxies) apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from .catalog import HubFile
from .download_errors import FORBIDDEN, HUB, ReasonError, check_endpoint, hub_server, is_address
from .transfer import Metadata, Source

SHA256 = re.compile(r"[0-9a-f]{64}")


class HubSource(Source):
    """A file of the Hub."""

    def __init__(self, file: HubFile) -> None:
        self.file = file
        self.server = hub_server()

    @property
    def page(self) -> str:
        file = self.file
        # An address without https:// opens in no browser.
        endpoint = constants.ENDPOINT if is_address(constants.ENDPOINT) else HUB
        return hf_hub_url(file.repository, file.remote_name, revision=file.revision, endpoint=endpoint)

    @property
    def sha256(self) -> str | None:
        """The catalogue's, or what the Hub gave when the file was cached: it names the file that the cache links to."""
        cached = self.cached().get(self.file.revision)
        name = cached.resolve().name if cached else ""
        return self.file.sha256 or (name if SHA256.fullmatch(name) else None)

    def cached(self) -> dict[str, Path]:
        """The file in the Hugging Face cache, by revision; one that was downloaded as `main` may be the same."""
        file = self.file
        found = {
            name: try_to_load_from_cache(file.repository, file.remote_name, revision=name)
            for name in (file.revision, "main")
        }
        return {revision: Path(path) for revision, path in found.items() if isinstance(path, str)}

    def metadata(self, notify: Callable[[str], None]) -> Metadata:
        """Ask the Hub. Its answer is needed where the catalogue has no SHA-256, and tells the exact size elsewhere.

        Raises:
            ReasonError: nobody knows the SHA-256.
        """
        check_endpoint()
        file, token = self.file, None
        try:
            found = get_hf_file_metadata(file.url)
        except HfHubHTTPError as error:
            if error.response.status_code not in FORBIDDEN or "authorization" not in build_hf_headers():
                raise
            # The Hub answers an expired token so for public files, too.
            token, found = False, self._without_token(error.response.status_code)
            notify(
                f"Note: {self.server.name} refused your access token ({error.response.status_code}), which may have "
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
                else f"the answer of {self.server.name} is not the Hub's: it does not say what the file's SHA-256 is. "
                "The network may want you to log in first: open any page in the browser."
            )
        # The part of another content must not be resumed: a branch moves, and keeps its name.
        size = found.size if from_hub else None
        return Metadata(file.url, sha256, size, sha256[:12], build_hf_headers(token=token))

    def _without_token(self, status: int) -> HfFileMetadata:
        try:
            return get_hf_file_metadata(self.file.url, token=False)
        except HfHubHTTPError as error:
            if error.response.status_code not in FORBIDDEN:
                raise
            raise ReasonError(
                f"{self.server.name} refuses it with your access token ({status}) and without one. The token may have "
                "expired: set HF_TOKEN to a new one, or run `hf auth login`, with an account that may read the file."
            ) from error
