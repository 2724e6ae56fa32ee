"""Downloads from servers of a file's authors: by https alone, and checked against what came first."""

from __future__ import annotations

import dataclasses
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from huggingface_hub import close_session, constants

from robust_synthesis.models.catalog import WebFile, catalog_files
from robust_synthesis.models.download import STAGING, DownloadError, download
from tests.hub_downloads import CONTENT, Cancelled, cancel_at, ignore, parts
from tests.hub_server import Faults, HubServer

NAME = "theirs.pt"
OTHER = bytes(len(CONTENT))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server that redirects to another, as GitHub does, both of whose certificates the client trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    # Newer clients read the first, older ones the second.
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "authority.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    close_session()
    with HubServer({"weights.pt": CONTENT}, tls=context) as running:
        running.moved["/release/weights.pt"] = f"{running.content_url}/weights.pt"
        yield running
    close_session()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def file_of(server: HubServer, sha256: str | None = None, address: str = "") -> WebFile:
    return WebFile(
        address=address or f"{server.url}/release/weights.pt", filename=NAME, title="Theirs", architecture="resnet50",
        norm="l2", epsilon=10, megabytes=4, licence="MIT", labels="imagenet", data="ImageNet", input_size=224,
        sha256=sha256,
    )  # fmt: skip


def refused(file: WebFile, folder: Path) -> str:
    with pytest.raises(DownloadError) as raised:
        download(file, folder, ignore)
    message = str(raised.value)
    assert message.startswith(f"{NAME} was not downloaded: ")
    assert message.endswith(f"Or download {file.address} by hand and put it into {folder} as {NAME}.")
    return message


def test_advice_for_a_download_by_hand_names_the_file_only_where_it_is_renamed(server: HubServer, folder: Path) -> None:
    server.faults.status = 404
    server.moved.clear()
    assert refused(file_of(server), folder).endswith(f" as {NAME}.")
    same = dataclasses.replace(file_of(server), filename="weights.pt")
    with pytest.raises(DownloadError) as raised:
        download(same, folder, ignore)
    assert str(raised.value).endswith(f"Or download {same.address} by hand and put it into {folder}.")


def test_the_first_download_writes_its_hash_down_and_says_so(server: HubServer, folder: Path) -> None:
    notes: list[str] = []
    reports: list[tuple[int, int]] = []
    path = download(file_of(server), folder, lambda *report: reports.append(report), notes.append)
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    # As sha256sum writes and checks it.
    assert (folder / f"{NAME}.sha256").read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  {NAME}\n"
    assert notes == [
        f"Nobody has published the SHA-256 of {NAME}, so it could not be checked. That of this download is in "
        f"{NAME}.sha256 beside it, and a later download must have the same."
    ]
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert parts(folder) == []
    # The Hub's token is not theirs.
    assert {request.authorization for request in server.requests} == {None}
    assert len(server.downloads) == 1

    download(file_of(server), folder, ignore, notes.append)
    assert len(server.downloads) == 1, "it was downloaded again"
    path.unlink()
    assert download(file_of(server), folder, ignore, notes.append).read_bytes() == CONTENT
    assert len(notes) == 1


def test_a_later_download_that_differs_is_an_error(server: HubServer, folder: Path) -> None:
    path = download(file_of(server), folder, ignore)
    path.unlink()
    server.faults.content = OTHER
    record = folder / f"{NAME}.sha256"
    message = refused(file_of(server), folder)
    assert "sent is not the file that it sent the first time" in message
    assert f"you trust the new one, delete {record} and run it again" in message
    assert (path.exists(), parts(folder)) == (False, [])
    record.unlink()
    assert download(file_of(server), folder, ignore).read_bytes() == OTHER


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe4\x00d\x00", b"# my downloads\n", b"4d7a  theirs.pt\n"])
def test_a_record_that_is_no_hash_counts_as_none(server: HubServer, folder: Path, content: bytes) -> None:
    path = download(file_of(server), folder, ignore)
    record = folder / f"{NAME}.sha256"
    wanted = record.read_bytes()
    record.write_bytes(content)
    notes: list[str] = []
    assert download(file_of(server), folder, ignore, notes.append).read_bytes() == CONTENT
    assert record.read_bytes() == wanted
    assert notes[0].startswith("Nobody has published the SHA-256")
    # Another program's capitals are the same hash.
    record.write_bytes(wanted[:64].upper())
    assert download(file_of(server), folder, ignore) == path
    assert len(server.downloads) == 2


def test_a_hash_of_the_catalogue_is_checked_and_not_written_down(server: HubServer, folder: Path) -> None:
    download(file_of(server, hashlib.sha256(CONTENT).hexdigest()), folder, ignore)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == [NAME]
    (folder / NAME).unlink()
    assert "127.0.0.1 sent is not the file it should be" in refused(file_of(server, "0" * 64), folder)


def test_an_interrupted_download_is_resumed_unless_the_file_was_replaced(server: HubServer, folder: Path) -> None:
    for content, resumes in ((None, True), (OTHER, False)):
        server.faults = Faults(hold=0.5)
        with pytest.raises(Cancelled):
            download(file_of(server), folder, cancel_at(0.4))
        [kept] = parts(folder)
        server.go_on()
        server.faults, server.requests = Faults(content=content), []
        assert download(file_of(server), folder, ignore).read_bytes() == (content or CONTENT)
        assert [request.range for request in server.downloads] == [f"bytes={kept}-" if resumes else None]
        assert parts(folder) == []
        (folder / NAME).unlink()
        (folder / f"{NAME}.sha256").unlink()


def test_only_https_is_used(server: HubServer, folder: Path) -> None:
    plain = server.content_url.replace("https", "http")
    assert "which is not encrypted" in refused(file_of(server, address=f"{plain}/weights.pt"), folder)
    assert server.requests == []
    server.moved["/release/weights.pt"] = f"{plain}/weights.pt?key=1"
    message = refused(file_of(server), folder)
    assert f"it is at {plain}/weights.pt, which is not encrypted: only https is used." in message
    assert server.downloads == []
    server.moved["/release/weights.pt"] = f"{server.url}/release/weights.pt?again"
    assert "was not downloaded" in refused(file_of(server), folder)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (Faults(status=404), "127.0.0.1 has no such file (404)."),
        (Faults(status=403), "refuses it without permission (403). Its authors may have moved it or taken it down."),
        (Faults(page=True), "127.0.0.1 sent a web page in its place."),
    ],
)
def test_a_refusal_names_the_server(server: HubServer, folder: Path, faults: Faults, words: str) -> None:
    server.faults = faults
    if faults.status:
        server.moved.clear()
    assert words in refused(file_of(server), folder)
    assert not list(folder.glob("*.sha256"))
    assert parts(folder) == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name)
    close_session()
    assert "the connection to 127.0.0.1 failed" in refused(file_of(server), folder)
    assert server.requests == []


def test_offline_mode_holds_here_too(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    assert "offline mode is on" in refused(file_of(server), folder)
    assert server.requests == []
    assert not (folder / STAGING / NAME).exists()


def test_the_catalogues_files_are_at_https_addresses_of_their_own_names() -> None:
    files = [file for file in catalog_files().values() if isinstance(file, WebFile)]
    assert len(files) > 20
    assert all(file.address.startswith("https://") for file in files)
    assert len({file.address for file in files}) == len({file.name for file in files}) == len(files)
    assert dataclasses.replace(files[0], filename="x.pth.tar").name == "x"
