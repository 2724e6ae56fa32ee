"""Downloads with the real client of the Hugging Face Hub from a local server, and their failures."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download, hf_hub_download

from robust_synthesis.models.catalog import HubFile
from robust_synthesis.models.hub import STAGING, DownloadError, download
from robust_synthesis.models.hub_errors import HUB, server_name
from tests.hub_server import COMMIT, REPOSITORY, Faults, HubServer
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
from robust_synthesis.models.hub import DownloadError, download
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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A local Hub, and the client configured for it as HF_ENDPOINT would on import."""
    with HubServer({NAME: CONTENT}) as server:
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
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


def test_a_file_is_downloaded_whole_and_nothing_else_is_left(hub: HubServer, tmp_path: Path) -> None:
    folder, usual = tmp_path / "models" / "robust_synthesis", constants.DOWNLOAD_CHUNK_SIZE
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(b"an older file")
    path = download(FILE, folder, ignore)
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert parts(folder) == []
    assert [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")] == [NAME]
    assert len(hub.downloads) == 1
    # Other packs' downloads keep their chunk size.
    assert usual == constants.DOWNLOAD_CHUNK_SIZE

    download(FILE, folder, ignore)
    assert len(hub.downloads) == 1, "it was downloaded again"


def test_progress_grows_to_the_whole_in_the_callers_thread(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.bytes_per_second = 8e6
    reports: list[tuple[int, int]] = []
    threads = set()

    def report(done: int, total: int) -> None:
        reports.append((done, total))
        threads.add(threading.get_ident())

    download(dataclasses.replace(FILE, megabytes=5), tmp_path, report)
    dones = [done for done, _ in reports]
    assert dones == sorted(dones)
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert len(set(dones)) > 3
    assert threads == {threading.get_ident()}


@pytest.mark.usefixtures("hub")
def test_the_hubs_own_hash_counts_where_the_catalogue_has_none(tmp_path: Path) -> None:
    assert download(UNKNOWN, tmp_path, ignore).read_bytes() == CONTENT


@pytest.mark.skipif(
    "proxies" in inspect.signature(file_download.http_get).parameters,
    reason="older clients leave a cut to the next run",
)
def test_the_client_itself_resumes_after_one_cut(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = Faults(cut=0.5, cuts=1)
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    assert [request.range is None for request in hub.downloads] == [True, False]


def test_an_interrupted_download_is_resumed(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.cut = 0.5
    message = fails(tmp_path)
    assert re.search(f"the connection to the mirror {hub.url}, which HF_ENDPOINT names, failed", message)
    assert "2 MB of 4 MB are kept: run it again" in message
    [kept] = parts(tmp_path)
    assert 0.4 * len(CONTENT) < kept <= 0.5 * len(CONTENT)

    hub.faults, hub.requests = Faults(), []
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    assert [request.range for request in hub.downloads] == [f"bytes={kept}-"]
    assert parts(tmp_path) == []


def test_a_complete_part_is_not_downloaded_again(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        download(FILE, tmp_path, cancel_at(1.0))
    assert parts(tmp_path) == [len(CONTENT)]
    assert not (tmp_path / NAME).exists()
    download(FILE, tmp_path, ignore)
    assert len(hub.downloads) == 1


@pytest.mark.parametrize(
    ("file", "faults"),
    [
        (dataclasses.replace(FILE, sha256="0" * 64), Faults()),
        (UNKNOWN, Faults(sha256="0" * 64)),
        (FILE, Faults(content=bytes(len(CONTENT)))),
    ],
    ids=["the catalogue's", "the Hub's", "the content"],
)
def test_a_wrong_hash_deletes_the_part(hub: HubServer, tmp_path: Path, file: HubFile, faults: Faults) -> None:
    hub.faults = faults
    assert f"what the mirror {hub.url}, which HF_ENDPOINT names, sent is not the file" in fails(tmp_path, file)
    assert parts(tmp_path) == []
    hub.faults = Faults()
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT


def test_a_file_whose_hash_nobody_knows_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.small = True
    assert "neither the catalogue nor the Hub says what its SHA-256 is" in fails(tmp_path, UNKNOWN)
    assert hub.downloads == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "access token: set HF_TOKEN"),
        (403, "access token: set HF_TOKEN"),
        (404, "no such file"),
        (429, "too many requests"),
        (500, "a problem of its own (500)"),
    ],
)
def test_a_refusal_is_explained(hub: HubServer, tmp_path: Path, status: int, words: str) -> None:
    hub.faults.status = status
    message = fails(tmp_path)
    assert words in message
    assert f"the mirror {hub.url}, which HF_ENDPOINT names" in message


def test_a_web_page_instead_of_the_file_is_recognised(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.page = True
    assert "HF_ENDPOINT names, sent a web page in its place" in fails(tmp_path)
    assert parts(tmp_path) == []


def test_an_answer_of_another_server_is_recognised(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.stranger = True
    assert re.search("the answer of the mirror .* HF_ENDPOINT names, is not the Hub's", fails(tmp_path, UNKNOWN))
    assert "sent a web page in its place" in fails(tmp_path)
    assert parts(tmp_path) == []


def test_without_a_network_the_message_says_so(hub: HubServer, tmp_path: Path) -> None:
    hub.__exit__(None, None, None)
    assert "which HF_ENDPOINT names, failed" in fails(tmp_path)


def test_a_full_disk_keeps_the_part(hub: HubServer, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are POSIX's")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        message = fails(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the disk is full" in message
    assert "are kept" in message
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    assert hub.downloads[-1].range is not None


def test_too_little_free_space_is_noticed_before_the_download(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough for the file, but not for its conversion.
    free = SimpleNamespace(free=len(CONTENT) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert "the disk is too full: 5 MB are needed, 4 MB are free" in fails(tmp_path)
    assert hub.downloads == []


@pytest.mark.usefixtures("hub")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / NAME).write_bytes(b"old")
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        # Root may write everywhere.
        os.seteuid(65534)
    try:
        with pytest.raises(DownloadError, match=r"cannot be written to .* its permissions"):
            download(FILE, folder, ignore)
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
    assert (folder / NAME).read_bytes() == b"old"


@pytest.mark.usefixtures("hub")
def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(DownloadError, match="cannot be written to"):
        download(FILE, tmp_path / "models", ignore)


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "C:x", "a\\..\\..\\x", "..", ".hidden", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(hub: HubServer, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(DownloadError, match="would lead out of the folder"):
        download(dataclasses.replace(FILE, filename=name), tmp_path, ignore)
    assert sorted(tmp_path.parent.rglob("*")) == before
    assert hub.requests == []


def test_cancelling_returns_at_once_and_the_next_download_resumes(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.hold = 0.5
    asked: list[float] = []

    def report(done: int, total: int) -> None:
        if done > 0.4 * total:
            asked.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled):
        download(FILE, tmp_path, report)
    assert time.monotonic() - asked[0] < 1
    assert not (tmp_path / NAME).exists()
    [kept] = parts(tmp_path)

    # Data of the cancelled download must not be appended any more.
    abandoned = [thread for thread in threading.enumerate() if thread.name == "robust-synthesis-download"]
    hub.go_on()
    for thread in abandoned:
        thread.join(10)
        assert not thread.is_alive()
    assert parts(tmp_path) == [kept]
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    assert hub.downloads[-1].range == f"bytes={kept}-"


def test_cancelling_while_the_hub_does_not_answer(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.silent = True
    started = time.monotonic()
    with pytest.raises(Cancelled):
        download(FILE, tmp_path, cancel_at(0))
    assert time.monotonic() - started < 1
    hub.go_on()
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT


@pytest.mark.usefixtures("hub")
def test_an_error_of_the_report_is_passed_on(tmp_path: Path) -> None:
    def report(*_: int) -> None:
        raise OSError(28, "not the disk's")

    with pytest.raises(OSError, match="not the disk's"):
        download(FILE, tmp_path, report)


def test_another_prompt_waits_and_can_be_cancelled(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.hold = 0.5
    come = threading.Event()

    def report(done: int, total: int) -> None:
        if done > 0.4 * total:
            come.set()

    first = threading.Thread(target=download, args=(FILE, tmp_path, report))
    first.start()
    assert come.wait(10)
    with pytest.raises(Cancelled):
        download(FILE, tmp_path, cancel_at(0.4))
    hub.go_on()
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    first.join(10)
    assert len(hub.downloads) == 1


def test_two_processes_download_once(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}, faults=Faults(hold=0.5)) as hub:
        both = [child(tmp_path / "models", HF_ENDPOINT=hub.url) for _ in range(2)]
        # Both report the same part: one downloads, and the other waits.
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
        hub.go_on()
        answers = [process.communicate(timeout=30) for process in both]
        assert [process.returncode for process in both] == [0, 0], answers
        assert {out.strip().splitlines()[-1] for out, _ in answers} == {str(tmp_path / "models" / NAME)}
        assert len(hub.downloads) == 1
    assert (tmp_path / "models" / NAME).read_bytes() == CONTENT


def test_offline_mode_is_named(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}) as hub:
        process = child(tmp_path / "models", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
        _, error = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "offline mode is on" in error
        assert hub.url in error
        assert hub.requests == []


def test_a_mirror_gets_the_token_and_the_content_server_does_not(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}, token="hf_secret") as hub:
        process = child(tmp_path / "models", HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret")
        _, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        asked = {request.authorization for request in hub.requests if "/resolve/" in request.path}
        assert asked == {"Bearer hf_secret"}
        assert {request.authorization for request in hub.downloads} == {None}
    assert (tmp_path / "models" / NAME).read_bytes() == CONTENT


def test_a_proxy_is_used(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}) as hub:
        # This name does not resolve, so only the proxy can answer.
        process = child(tmp_path / "models", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=hub.url, http_proxy=hub.url)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        assert all(request.path.startswith("http://") for request in hub.requests)
        assert f"http://hub.invalid/{REPOSITORY}/resolve/{COMMIT}/{NAME}" in {r.path for r in hub.requests}
    assert (tmp_path / "models" / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("place", ["the environment", "the disk"])
def test_a_refused_token_is_left_out_where_the_file_is_public(tmp_path: Path, place: str, status: int) -> None:
    with HubServer({NAME: CONTENT}, faults=Faults(refuses_tokens=status)) as hub:
        (tmp_path / "home").mkdir()
        if place == "the disk":
            (tmp_path / "home" / "token").write_text("hf_expired")
        token = {"HF_TOKEN": "hf_expired"} if place == "the environment" else {}
        process = child(tmp_path / "models", FILE, HF_ENDPOINT=hub.url, **token)
        out, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        assert f"refused your access token ({status}), which may have expired" in out
        assert f"{NAME} is public and came without it" in out
        # The token is tried once.
        assert [request.authorization for request in hub.requests if request.authorization] == ["Bearer hf_expired"]
        assert len(hub.downloads) == 1
    assert (tmp_path / "models" / NAME).read_bytes() == CONTENT


def test_a_file_that_needs_another_token_says_so(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}, token="hf_valid") as hub:
        process = child(tmp_path / "models", HF_ENDPOINT=hub.url, HF_TOKEN="hf_expired")
        _, error = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "refuses it with your access token (401) and without one" in error
        assert "set HF_TOKEN to a new one" in error
        assert hub.url in error


def test_a_mirror_without_the_hubs_headers_is_enough_where_the_hash_is_known(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = Faults(bare=True, cut=0.5)
    assert "2 MB of 4 MB are kept: run it again" in fails(tmp_path)
    [kept] = parts(tmp_path)
    hub.faults, hub.requests = Faults(bare=True), []
    reports: list[tuple[int, int]] = []
    path = download(FILE, tmp_path, lambda *report: reports.append(report))
    assert path.read_bytes() == CONTENT
    assert [request.range for request in hub.downloads] == [f"bytes={kept}-"]
    assert reports == sorted(reports)
    # The catalogue's size is rounded.
    assert reports[-1] == (4_000_000, 4_000_000)

    assert "is not the Hub's: it does not say what the file's SHA-256 is" in fails(tmp_path, UNKNOWN)


def test_a_complete_part_is_enough_where_the_size_is_unknown(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.bare = True
    part = tmp_path / STAGING / f"{NAME}.{COMMIT[:12]}.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert download(FILE, tmp_path, ignore).read_bytes() == CONTENT
    assert hub.downloads == []


@pytest.mark.parametrize(("endpoint", "wanted"), [("hf-mirror.com", "https://hf-mirror.com"), ("", "https://")])
def test_an_endpoint_that_is_no_address_is_named(tmp_path: Path, endpoint: str, wanted: str) -> None:
    process = child(tmp_path / "models", HF_ENDPOINT=endpoint)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"HF_ENDPOINT is '{endpoint}', which is no address. Set it to one like {wanted}" in error
    # This address can be opened in a browser.
    assert f"Or download {HUB}/{REPOSITORY}/resolve/{COMMIT}/{NAME} by hand" in error


def test_without_a_mirror_only_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", HUB)
    assert server_name() == "the Hub"


@pytest.fixture
def cached(hub: HubServer, tmp_path: Path) -> Path:
    """The file in the Hugging Face cache, as the client itself puts it there."""
    path = Path(hf_hub_download(REPOSITORY, NAME, revision=COMMIT, cache_dir=tmp_path / "cache", endpoint=hub.url))
    hub.requests = []
    return path


@pytest.mark.parametrize("file", [FILE, UNKNOWN], ids=["the catalogue's hash", "the cache's hash"])
def test_a_file_in_the_hugging_face_cache_is_copied(
    hub: HubServer, tmp_path: Path, cached: Path, file: HubFile
) -> None:
    notes: list[str] = []
    reports: list[tuple[int, int]] = []
    path = download(file, tmp_path / "models", lambda *report: reports.append(report), notes.append)
    assert path == tmp_path / "models" / NAME
    assert path.read_bytes() == cached.read_bytes() == CONTENT
    assert not path.is_symlink()
    assert hub.requests == []
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert notes == [f"{NAME} was in the Hugging Face cache of this machine, and was not downloaded again."]


def test_a_cache_without_links_is_checked_with_the_hubs_hash(hub: HubServer, tmp_path: Path, cached: Path) -> None:
    # Windows needs special rights for symbolic links, and the client then puts the file itself there.
    content = cached.read_bytes()
    cached.unlink()
    cached.write_bytes(content)
    assert download(UNKNOWN, tmp_path / "models", ignore).read_bytes() == CONTENT
    assert hub.downloads == []
    assert hub.requests


def test_a_file_that_was_cached_as_main_is_the_same_file(hub: HubServer, tmp_path: Path, cached: Path) -> None:
    repository = cached.parents[2]
    cached.parent.rename(repository / "snapshots" / "later")
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text("later")
    assert download(FILE, tmp_path / "models", ignore).read_bytes() == CONTENT
    # Of another revision the name of the blob is no evidence: the Hub is asked.
    (tmp_path / "models" / NAME).unlink()
    assert download(UNKNOWN, tmp_path / "models", ignore).read_bytes() == CONTENT
    assert hub.downloads == []
    assert [request.method for request in hub.requests] == ["HEAD"]


def test_a_damaged_file_in_the_cache_is_not_used(hub: HubServer, tmp_path: Path, cached: Path) -> None:
    damaged = b"x" + CONTENT[1:]
    cached.resolve().write_bytes(damaged)
    assert download(FILE, tmp_path / "models", ignore).read_bytes() == CONTENT
    assert len(hub.downloads) == 1
    assert cached.read_bytes() == damaged


def test_cancelling_the_copy_leaves_the_cache_whole(hub: HubServer, tmp_path: Path, cached: Path) -> None:
    with pytest.raises(Cancelled):
        download(FILE, tmp_path / "models", cancel_at(1.0))
    assert not (tmp_path / "models" / NAME).exists()
    assert cached.read_bytes() == CONTENT
    assert download(FILE, tmp_path / "models", ignore).read_bytes() == CONTENT
    assert hub.requests == []


def test_the_cache_is_enough_in_offline_mode(tmp_path: Path) -> None:
    with HubServer({NAME: CONTENT}) as hub:
        cache = tmp_path / "home" / "hub"
        hf_hub_download(REPOSITORY, NAME, revision=COMMIT, cache_dir=cache, endpoint=hub.url)
    process = child(tmp_path / "models", HF_HUB_OFFLINE="1")
    out, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert "was not downloaded again" in out
    assert (tmp_path / "models" / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("file", [FILE, UNKNOWN], ids=["the catalogue's hash", "the Hub's hash"])
def test_a_copy_elsewhere_is_used_where_it_is(hub: HubServer, tmp_path: Path, file: HubFile) -> None:
    other, same = tmp_path / "other" / NAME, tmp_path / "share" / NAME
    for path, content in ((other, b"another file of this name"), (same, CONTENT)):
        path.parent.mkdir()
        path.write_bytes(content)
    notes: list[str] = []
    assert download(file, tmp_path / "models", ignore, notes.append, [other, same]) == same
    assert notes == [f"{NAME} is at {same} already, and was not downloaded again."]
    assert hub.downloads == []
    assert not (tmp_path / "models" / NAME).exists()
