"""Downloads with the real client of the Hugging Face Hub from a local server, and their failures."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from robust_synthesis.models.catalog import HubFile
from robust_synthesis.models.download import DownloadError, download
from tests.hub_downloads import (
    CONTENT,
    FILE,
    NAME,
    UNKNOWN,
    Cancelled,
    cancel_at,
    child,
    fails,
    ignore,
    local_hub,
    parts,
)
from tests.hub_server import COMMIT, REPOSITORY, Faults, HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with local_hub(monkeypatch, tmp_path / "cache") as server:
        yield server


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


def test_a_part_is_not_resumed_where_the_branch_has_moved(hub: HubServer, tmp_path: Path) -> None:
    # The local Hub has one revision, which stands for the branch here: its name stays, and its content changes.
    newer = bytes(len(CONTENT))
    hub.faults = Faults(hold=0.5)
    with pytest.raises(Cancelled):
        download(UNKNOWN, tmp_path, cancel_at(0.4))
    hub.go_on()
    hub.faults = Faults(content=newer, sha256=hashlib.sha256(newer).hexdigest())
    hub.requests = []
    assert download(UNKNOWN, tmp_path, ignore).read_bytes() == newer
    assert [request.range for request in hub.downloads] == [None]
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


def test_advice_for_a_download_by_hand_names_a_file_that_is_published_under_another_name(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.faults.status = 404
    file = dataclasses.replace(FILE, published_as="open_clip_pytorch_model.bin")
    with pytest.raises(DownloadError) as raised:
        download(file, tmp_path, ignore)
    assert str(raised.value).endswith(f"/open_clip_pytorch_model.bin by hand and put it into {tmp_path} as {NAME}.")


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
    # Enough for the file, but not for its conversion, which is half as large where it holds float32 weights alone.
    free = SimpleNamespace(free=len(CONTENT) * 3 // 2 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert "the disk is too full: 6 MB are needed, 6 MB are free" in fails(tmp_path)
    free.free = len(CONTENT) + 1000
    assert "the disk is too full: 6 MB are needed, 4 MB are free" in fails(tmp_path)
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
