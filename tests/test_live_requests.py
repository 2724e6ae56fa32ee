"""Requests of the Live Canvas: what is read from JSON, and that nothing else comes through."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)
FILE = {"kind": "file", "filename": "a.png", "subfolder": "b", "type": "temp"}
BLANK = {"kind": "blank", "width": 64, "height": 4096, "colour": "#0a141e"}
SEED = {"kind": "seed", "width": 640, "height": 64, "what": "church", "seed": 2**64 - 1}
VALID: dict[str, dict[str, Any]] = {
    "read_open": {"classifier": "canvas", "painting": "", "base": BLANK, "fork": False, "input_size": 0, "mean": ""},
    "read_stroke": {"brush": {"kind": "grow", "size": 9}, "shape": "path", "points": [[1, 2.5, 0.5]]},
    "read_points": {"points": [[1, 2, 1]], "end": True},
    "read_look": {"x": 0, "y": 1.5, "size": 4096},
    "read_base": {"how": "replay", "base": SEED},
}


@pytest.fixture(scope="module")
def requests(pack: ModuleType) -> ModuleType:
    assert pack
    from robust_synthesis.nodes import live_requests

    return live_requests


def test_what_a_browser_sends_is_read(requests: ModuleType) -> None:
    opened = requests.read_open({**VALID["read_open"], "base": FILE, "painting": "robust_canvas/a/0001.png"})
    assert opened.base == requests.FileBase("a.png", "b", "temp")
    assert (opened.classifier, opened.fork, opened.session) == ("canvas", False, "")
    assert requests.read_open(VALID["read_open"]).base == requests.BlankBase(64, 4096, (10, 20, 30))
    assert requests.read_open({"classifier": "canvas", "painting": "x"}).base is None
    assert requests.read_base(VALID["read_base"]).base == requests.SeedBase(640, 64, "church", 2**64 - 1)
    stroke = requests.read_stroke(VALID["read_stroke"])
    assert (stroke.brush.kind, stroke.shape, stroke.points) == ("grow", "path", ((1.0, 2.5, 0.5),))
    assert requests.read_points({"points": []}) == requests.PointsRequest((), False)
    assert requests.read_look(VALID["read_look"]) == requests.LookRequest(0.0, 1.5, 4096.0)
    assert requests.read_box({"box": "0,1,20,300"}) == (0, 1, 20, 300)
    assert requests.read_longest({}) is None


@pytest.mark.parametrize("name", VALID)
@given(junk=JUNK)
def test_garbage_is_read_as_a_checked_request_or_refused(requests: ModuleType, name: str, junk: Any) -> None:
    read: Callable[[Mapping[str, Any]], Any] = getattr(requests, name)
    bodies = [{**VALID[name], field: junk} for field in VALID[name]]
    bodies += [{**VALID[name], "base": {**base, field: junk}} for base in (FILE, BLANK, SEED) for field in base]
    bodies += [junk] if isinstance(junk, dict) else []
    for body in bodies:
        with contextlib.suppress(requests.RequestError):
            _check(requests, read(body))


def _check(requests: ModuleType, request: Any) -> None:
    base = getattr(request, "base", None)
    if isinstance(base, requests.BlankBase | requests.SeedBase):
        assert 64 <= base.width <= 4096
        assert 64 <= base.height <= 4096
    for point in getattr(request, "points", ()):
        assert all(map(math.isfinite, point))
    for value in vars(request).values():
        assert not isinstance(value, str) or len(value) <= 500


@given(body=st.binary() | JUNK.map(lambda value: json.dumps(value).encode()))
def test_a_body_is_an_object_of_json_or_refused(requests: ModuleType, body: bytes) -> None:
    try:
        values = requests.read_json(body)
    except requests.RequestError:
        return
    assert isinstance(values, dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b'{"x": NaN}',
        b'{"x": -Infinity}',
        b'{"x": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b"\xff\xfe",
        b'{"x": 1} more',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_almost_json_is_refused(requests: ModuleType, body: bytes) -> None:
    with pytest.raises(requests.RequestError):
        requests.read_json(body)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("read_open", {"classifier": 5}, "classifier must be a text"),
        ("read_open", {"classifier": "a\0b"}, "classifier must be a text"),
        ("read_open", {"classifier": "\ud800"}, "no valid text"),
        ("read_open", {"painting": "", "base": None}, "name of a painting"),
        ("read_open", {"base": {**BLANK, "width": 63}}, "width must be a whole number from 64 to 4096"),
        ("read_open", {"base": {**BLANK, "height": 4097}}, "height must be a whole number from 64 to 4096"),
        ("read_open", {"base": {**BLANK, "height": 512.0}}, "height must be a whole number"),
        ("read_open", {"base": {**BLANK, "colour": "#12345"}}, "The colour is .*it must be like"),
        ("read_open", {"base": {**FILE, "type": "models"}}, "type must be one of input, output, temp"),
        ("read_open", {"base": {**SEED, "seed": 2**64}}, "seed must be"),
        ("read_open", {"input_size": 5}, "input size"),
        ("read_stroke", {"points": []}, "1 points or more"),
        ("read_stroke", {"shape": "area"}, "3 points or more"),
        ("read_stroke", {"points": [[1, 1, 1]] * 601}, "at most 600"),
        ("read_stroke", {"brush": {"kind": "class"}}, "needs a class"),
        ("read_points", {"end": 1}, "end must be true or false"),
        ("read_look", {"x": -1}, "x must be a number from 0 to 4096"),
        ("read_base", {"how": "never"}, "how must be one of replay, anew"),
        ("read_base", {"base": None}, "base must be an object"),
    ],
)
def test_mistakes_are_named(requests: ModuleType, name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(requests.RequestError, match=words):
        getattr(requests, name)({**VALID[name], **changes})
