"""Files that are on this machine already: in the Hugging Face cache, or in another folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from robust_synthesis.models.catalog import HubFile
from robust_synthesis.models.download import download
from tests.hub_downloads import CONTENT, FILE, NAME, UNKNOWN, Cancelled, cancel_at, child, ignore, local_hub
from tests.hub_server import COMMIT, REPOSITORY, HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with local_hub(monkeypatch, tmp_path / "cache") as server:
        yield server


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
