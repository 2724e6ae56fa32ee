"""A file of the catalogue on a local Hub, and how the tests download it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from robust_synthesis.models.catalog import HubFile
from robust_synthesis.models.download import STAGING, DownloadError, download
from tests.hub_server import COMMIT, REPOSITORY, HubServer
from tools.paths import ROOT

NAME = "resnet18_l2_eps3.ckpt"
CONTENT = b"PK\x03\x04" + random.Random(1).randbytes(4_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = HubFile(
    repository=REPOSITORY,
    revision=COMMIT,
    filename=NAME,
    title="ResNet-18",
    architecture="resnet18",
    norm="l2",
    epsilon=3,
    clean_accuracy=0.5,
    megabytes=4,
    licence="MIT",
    labels="imagenet",
    data="ImageNet",
    input_size=224,
    sha256=SHA256,
)
UNKNOWN = dataclasses.replace(FILE, sha256=None)
"""The catalogue has no SHA-256 of this one, so the Hub's is used."""

CHILD = """
import json, sys, types
# The real __init__ modules import torch, which takes seconds.
for name, path in (("robust_synthesis", sys.argv[1]), ("robust_synthesis.models", sys.argv[1] + "/models")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from pathlib import Path
from robust_synthesis.models.catalog import HubFile
from robust_synthesis.models.download import DownloadError, download
def report(done, total):
    if done > 0.4 * total:
        print("half", flush=True)
try:
    print(download(HubFile(**json.loads(sys.argv[2])), Path(sys.argv[3]), report, print))
except DownloadError as error:
    sys.exit(str(error))
"""


class Cancelled(BaseException):
    """Not an Exception, like ComfyUI's own."""


@contextlib.contextmanager
def local_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[HubServer]:
    """A local Hub that has the file, and the client configured for it as HF_ENDPOINT would on import."""
    with HubServer({NAME: CONTENT}) as server:
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        # Older clients copied it.
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        # The client waits a second before each of its own retries.
        monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None, time=time.time))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def ignore(done: int, total: int) -> None:
    """A report that does nothing."""


def child(folder: Path, file: HubFile = FILE, **environment: str) -> subprocess.Popen[str]:
    """Start a download in its own process, which knows the Hub from its environment only."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith(("HF_", "HTTP", "NO_P"))}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ROOT), json.dumps(dataclasses.asdict(file)), str(folder)],
        env={**clean, "HF_HOME": str(folder.parent / "home"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fails(folder: Path, file: HubFile = FILE) -> str:
    """Download, which must fail, say what to do, and keep the old file."""
    folder.mkdir(exist_ok=True)
    old = folder / NAME
    old.write_bytes(b"old")
    with pytest.raises(DownloadError) as raised:
        download(file, folder, ignore)
    message = str(raised.value)
    assert message.endswith(f"Or download {file.url} by hand and put it into {folder}.")
    assert message.startswith(f"{file.filename} was not downloaded: ")
    assert old.read_bytes() == b"old"
    return message


def parts(folder: Path) -> list[int]:
    """Return the sizes of the unfinished downloads that are kept."""
    return [path.stat().st_size for path in (folder / STAGING).glob("*.part")]


def cancel_at(share: float) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done >= share * total:
            raise Cancelled

    return report
