"""Requests to the Live Canvas that are refused, by a real ComfyUI server: each by a status that says why."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.live_client import CLASS, COLOUR, LiveClient, LiveSession, line
from tools.server import ComfyServer

JSON = {"Content-Type": "application/json"}
BLANK = {"kind": "blank", "width": 112, "height": 112}
OPEN = {"classifier": "canvas", "painting": "", "base": BLANK}
STROKE = {"brush": CLASS, "shape": "path", "points": [[5, 5, 1]]}
VALID: dict[str, dict[str, Any]] = {
    "stroke": STROKE,
    "points": {"points": [], "end": False},
    "look": {"x": 5, "y": 5, "size": 5},
    "base": {"how": "anew", "base": BLANK},
    "open": OPEN,
}


@pytest.fixture(scope="module")
def live(server: ComfyServer) -> LiveClient:
    return LiveClient(server.url)


@pytest.fixture(scope="module")
def session(live: LiveClient) -> Iterator[LiveSession]:
    opened = live.open()
    opened.paint(COLOUR, line(20, 20, 80, 20))
    yield opened
    live.post(f"/{opened.id}/close")


def test_pages_of_other_sites_are_refused(live: LiveClient, session: LiveSession) -> None:
    for origin in ("http://evil.example", "null", f"http://evil.{live.host}", "http://127.0.0.1:1"):
        headers = {**JSON, "Origin": origin}
        assert live.send("POST", "/open", json.dumps(OPEN).encode(), headers).status == 403
        assert live.send("POST", f"/{session.id}/undo", b"{}", headers).status == 403
        assert live.send("GET", f"/{session.id}/picture", None, headers).status == 403
    for site in ("cross-site", "same-site"):
        assert live.send("POST", f"/{session.id}/undo", b"{}", {**JSON, "Sec-Fetch-Site": site}).status == 403
    own = {**JSON, "Origin": f"http://{live.host}"}
    assert live.send("POST", f"/{session.id}/rest", b"{}", own).status == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://art.example.com", "art.example.com:443"),
        ("https://art.example.com:8443", "art.example.com"),
        ("http://art.example.com", "comfyui:8188"),
    ],
)
def test_a_reverse_proxy_may_give_the_server_another_name(
    live: LiveClient, session: LiveSession, origin: str, host: str
) -> None:
    headers = {**JSON, "Origin": origin, "Host": host}
    assert live.send("POST", f"/{session.id}/rest", b"{}", headers).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_bodies_that_are_not_called_json_are_refused(live: LiveClient, session: LiveSession, kind: str) -> None:
    # What a form of another site can send without asking.
    reply = live.send("POST", f"/{session.id}/undo", b"{}", {"Content-Type": kind} if kind else {})
    assert reply.status == 415
    assert "JSON" in reply.told["error"]


def test_bodies_that_are_too_large_are_refused(live: LiveClient, session: LiveSession) -> None:
    body = json.dumps({"more": "x" * 256 * 1024}).encode()
    assert live.send("POST", f"/{session.id}/undo", body, JSON).status == 413
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    pieces = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert live.send("POST", f"/{session.id}/undo", pieces * 5 + b"0\r\n\r\n", chunked).status == 413


def test_sessions_that_are_not_open_are_gone(live: LiveClient) -> None:
    for name in ("stroke", "points", "look", "base"):
        assert live.post(f"/{secrets.token_hex(16)}/{name}", VALID[name]).status == 410
    for name in ("rest", "cancel", "undo", "redo", "close"):
        assert live.post(f"/{secrets.token_hex(16)}/{name}").status == 410
    for name in ("picture", "before", "feature?number=1"):
        assert live.get(f"/{secrets.token_hex(16)}/{name}").status == 410


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"classifier": "unheard-of"}, 400, "no classifier named"),
    ({"classifier": "../../etc/passwd"}, 400, "no classifier named"),
    ({"classifier": "resnet50_l2_eps3"}, 409, "run Load Robust Classifier once"),
    ({"classifier": "canvas", "input_size": 5}, 400, "input size"),
    ({"base": None}, 400, "base"),
    ({"base": {"kind": "blank", "width": 63, "height": 100}}, 400, "from 64 to 4096"),
    ({"base": {"kind": "blank", "width": 100, "height": 4097}}, 400, "from 64 to 4096"),
    ({"base": {"kind": "blank", "width": 100, "height": 100, "colour": "red"}}, 400, "colour"),
    ({"base": {"kind": "seed", "width": 100, "height": 100, "what": "chruch"}}, 400, "Did you mean church"),
    ({"base": {"kind": "file", "filename": "small.png"}}, 400, "64 to 4096"),
    ({"base": {"kind": "file", "filename": "text.png"}}, 400, "no picture"),
    ({"base": {"kind": "file", "filename": "gone.png"}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": ""}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "../outside.png"}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "outside.png", "subfolder": ".."}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "outside.png", "subfolder": "/"}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "link.png"}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "outside.png", "subfolder": "linked"}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "x" * 400}}, 400, "There is no file"),
    ({"base": {"kind": "file", "filename": "robust_photo.png", "type": "models"}}, 400, "one of input"),
    ({"painting": "../../outside.png"}, 400, "not the name of a painting"),
    ({"painting": "robust_canvas/../0001.png"}, 400, "not the name of a painting"),
    ({"painting": "robust_canvas/../../outside/0001.png"}, 400, "not the name of a painting"),
    ({"painting": "/etc/passwd"}, 400, "not the name of a painting"),
    ({"painting": "robust_canvas/linked/0001.png"}, 400, "leads out"),
    ({"painting": "robust_canvas/inner/0001.png"}, 400, "leads out"),
    ({"painting": "robust_canvas/gone/0001.png", "base": None}, 404, "not on this machine"),
    ({"painting": "robust_canvas/damaged/0001.png"}, 422, "cannot be read"),
]


@pytest.fixture(scope="module")
def traps(server: ComfyServer, session: LiveSession) -> None:
    """Files and links that are not to be read."""
    inputs, outside = server.base / "input", server.base / "outside"
    paintings = inputs / "robust_canvas"
    outside.mkdir()
    picture = Image.new("RGB", (100, 100), "red")
    picture.save(server.base / "outside.png")
    picture.save(outside / "outside.png")
    picture.resize((20, 20)).save(inputs / "small.png")
    (inputs / "text.png").write_text("no picture", "utf-8")
    (inputs / "link.png").symlink_to(server.base / "outside.png")
    (inputs / "linked").symlink_to(outside)
    # A painting that is whole, but elsewhere.
    mine = inputs / Path(session.told["painting"]).parent
    for file in mine.iterdir():
        (outside / file.name).write_bytes(file.read_bytes())
    (paintings / "linked").symlink_to(outside)
    (paintings / "inner").mkdir()
    for file in mine.iterdir():
        (paintings / "inner" / file.name).symlink_to(outside / file.name)
    (paintings / "damaged").mkdir()
    for file in mine.iterdir():
        (paintings / "damaged" / file.name).write_bytes(file.read_bytes()[:-20])


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize(("changes", "status", "words"), REFUSED)
def test_what_cannot_be_opened_is_answered_with_why(
    server: ComfyServer, live: LiveClient, changes: dict[str, Any], status: int, words: str
) -> None:
    paintings = sorted((server.base / "input" / "robust_canvas").rglob("*"))
    reply = live.post("/open", {**OPEN, **changes})
    assert reply.status == status
    assert words in reply.told["error"]
    assert sorted((server.base / "input" / "robust_canvas").rglob("*")) == paintings
    assert not list((server.base / "models" / "robust_classifiers").glob("resnet50*")), "it was downloaded"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"brush": CLASS | {"what": "chruch"}}, "Did you mean church"),
        ({"brush": {"kind": "feature", "what": "99999"}}, "features are 0 to"),
        ({"brush": CLASS | {"size": 0}}, "size"),
        ({"brush": CLASS | {"size": 1e300}}, "size"),
        ({"brush": CLASS | {"what": "x" * 501}}, "500"),
        ({"brush": CLASS | {"more": 1}}, "more"),
        ({"shape": "spiral"}, "path, area"),
        ({"shape": "area"}, "3 points"),
        ({"points": []}, "1 points"),
        ({"points": [[1, 1, 1]] * 601}, "600"),
        ({"points": [[1, 1]]}, "three numbers"),
        ({"points": [[1, 1, True]]}, "three numbers"),
    ],
)
def test_strokes_that_cannot_be_painted_change_nothing(
    session: LiveSession, changes: dict[str, Any], words: str
) -> None:
    before = session.picture()
    reply = session.client.post(f"/{session.id}/stroke", {**STROKE, **changes})
    assert reply.status == 400
    assert words in reply.told["error"]
    assert session.client.post(f"/{session.id}/points", {"points": [], "end": False}).status == 409
    assert np.array_equal(session.picture(), before)


def test_a_stroke_has_an_end(session: LiveSession) -> None:
    points = [[5.0, 5.0, 1.0]] * 600
    session.ask("stroke", {"brush": COLOUR, "shape": "path", "points": points})
    statuses = [
        session.client.post(f"/{session.id}/points", {"points": points, "end": False}).status for _ in range(33)
    ]
    assert statuses == [200] * 32 + [400]
    session.ask("cancel")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def garbage(draw: st.DrawFn) -> tuple[str, bytes]:
    """A route, and a body that it cannot take."""
    name = draw(st.sampled_from([*VALID, "rest", "cancel", "undo", "redo", "close"]))
    if name not in VALID or draw(st.booleans()):
        body = draw(st.binary(max_size=200).filter(_no_object) | JUNK.filter(_no_mapping).map(_dumped))
        return name, body
    field = draw(st.sampled_from([name for name in VALID[name] if name != "painting"]))
    wrong = JUNK.filter(lambda value: not isinstance(value, (dict, bool)) and value not in ([], 5) and _wrong(value))
    return name, _dumped({**VALID[name], field: draw(wrong)})


def _wrong(value: object) -> bool:
    # Numbers may be a place to look at, and nothing may be a base.
    return not isinstance(value, (int, float)) and value is not None


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def _no_mapping(value: object) -> bool:
    return not isinstance(value, dict)


def _no_object(body: bytes) -> bool:
    try:
        return not isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return True


def test_garbage_is_refused_and_changes_nothing(server: ComfyServer, live: LiveClient, session: LiveSession) -> None:
    before, files = session.picture(), sorted((server.base / "input").rglob("*"))
    undo = session.ask("rest").told["undo"]

    @settings(max_examples=500, suppress_health_check=list(HealthCheck))
    @given(garbage())
    def refused(request: tuple[str, bytes]) -> None:
        name, body = request
        path = "/open" if name == "open" else f"/{session.id}/{name}"
        reply = live.send("POST", path, body, JSON)
        assert 400 <= reply.status < 500, reply
        assert reply.told["error"]

    refused()
    assert np.array_equal(session.picture(), before)
    assert session.ask("rest").told["undo"] == undo
    assert sorted((server.base / "input").rglob("*")) == files


def test_odd_queries_are_refused(live: LiveClient, session: LiveSession) -> None:
    queries = ["longest=0", "longest=-5", "longest=99999", "longest=x", "longest=%D9%A3%D9%A3", "box=1", "box=0,0,0,0"]
    queries += ["box=0,0,113,5", "box=-1,0,5,5", "box=a,b,c,d", "box=99999,1,1,1"]
    for query in queries:
        assert live.get(f"/{session.id}/picture?{query}").status == 400, query
    for number in ("", "-1", "1e3", "384000", "9" * 5000):
        assert live.get(f"/{session.id}/feature?number={number}").status == 400


def test_a_ninth_painting_ends_the_one_that_was_used_least(live: LiveClient) -> None:
    opened = [live.open() for _ in range(8)]
    opened[0].picture()
    opened[1].paint(COLOUR, line(20, 20, 80, 20))
    for session in opened[2:]:
        session.picture()
    ninth = live.open()
    assert live.get(f"/{opened[0].id}/picture").status == 410
    assert live.get(f"/{opened[1].id}/picture").status == 200
    for session in (*opened[1:], ninth):
        live.post(f"/{session.id}/close")
