"""Refused access tokens, mirrors that lack the Hub's headers, and addresses that are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from robust_synthesis.models.download import STAGING, download
from robust_synthesis.models.download_errors import HUB, hub_server
from tests.hub_downloads import CONTENT, FILE, NAME, SHA256, UNKNOWN, child, fails, ignore, local_hub, parts
from tests.hub_server import COMMIT, REPOSITORY, Faults, HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with local_hub(monkeypatch, tmp_path / "cache") as server:
        yield server


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
    part = tmp_path / STAGING / f"{NAME}.{SHA256[:12]}.part"
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
    assert hub_server().name == "the Hub"
