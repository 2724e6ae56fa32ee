"""Why a download failed, in sentences for the user."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

HUB = "https://huggingface.co"
FORBIDDEN = (401, 403)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ReasonError(Exception):
    """The reason of a failure, in sentences for the user that begin with a small letter."""


@dataclass(frozen=True)
class Server:
    """Who is asked for a file."""

    name: str
    """`the Hub`, or a phrase that names another server."""
    on_refusal: str = (
        "It needs an access token: set HF_TOKEN, or run `hf auth login`, with an account that may read the file."
    )
    """What to do where the file is refused."""


def hub_server() -> Server:
    """The Hub, or the mirror that HF_ENDPOINT names."""
    return Server(
        "the Hub" if constants.ENDPOINT == HUB else f"the mirror {constants.ENDPOINT}, which HF_ENDPOINT names,"
    )


def web_server(host: str) -> Server:
    """A server of a file's authors."""
    return Server(host, "Its authors may have moved it or taken it down.")


def is_address(endpoint: str) -> bool:
    """Whether it begins as a browser's address does."""
    return endpoint.startswith(("https://", "http://"))


def check_endpoint() -> None:
    """Check that HF_ENDPOINT, if it is set, is an address.

    Raises:
        ReasonError: it has no `https://` or `http://`.
    """
    if not is_address(constants.ENDPOINT):
        wanted = f"https://{constants.ENDPOINT or 'hf-mirror.com'}"
        raise ReasonError(
            f"HF_ENDPOINT is '{constants.ENDPOINT}', which is no address. Set it to one like {wanted}, or unset it to "
            "use the Hub itself, and start ComfyUI again."
        )


@contextlib.contextmanager
def errors_explained(server: Server | None = None) -> Iterator[None]:
    """Raise any exception as a ReasonError; `server` is who is asked, None for work on this machine alone."""
    try:
        yield
    except ReasonError:
        raise
    # Versions of the client raise errors of three different HTTP libraries, some of which are OSErrors.
    except Exception as error:
        raise ReasonError(_explain(error, server)) from error


def _explain(error: Exception, server: Server | None) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on. Unset HF_HUB_OFFLINE and start ComfyUI again."
    if isinstance(error, HfHubHTTPError) and server:
        return _explain_status(error.response.status_code, server)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "the disk is full: make room."
    if isinstance(error, OSError) and error.errno is not None:
        return f"the folder cannot be written to ({error.strerror or error}): look at its permissions."
    where = "" if server is None or server.name == "the Hub" else f" to {server.name}"
    return f"the connection{where} failed ({_first_line(error)}): look at the network."


def _explain_status(status: int, server: Server) -> str:
    if status in FORBIDDEN:
        return f"{server.name} refuses it without permission ({status}). {server.on_refusal}"
    if status == 404:
        return f"{server.name} has no such file (404)."
    if status == 429:
        return f"{server.name} has had too many requests from this network (429). Wait some minutes and run it again."
    return f"{server.name} has a problem of its own ({status}). Run it again later."


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
