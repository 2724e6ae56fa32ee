"""Paintings on disk: exact, whole whatever interrupts the writing, and clear about what is wrong with a file."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis.live import (
    Brush,
    Painting,
    PaintingError,
    StrokeRecord,
    Tick,
    digest,
    next_revision,
    read_info,
    read_revision,
    replay,
    write_revision,
)


def painted(height: int = 30, width: int = 40, seed: int = 0, count: int = 1) -> Painting:
    """Some dots on noise."""
    generator = torch.Generator().manual_seed(seed)
    painting = Painting(torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8))
    for index in range(count):
        dot(painting, index, f"#{30 * index:02x}00ff")
    return painting


def dot(painting: Painting, index: int, colour: str) -> None:
    stroke = painting.begin(None, Brush(kind="colour", colour=colour, size=9))
    stroke.advance([(5 + 4 * index, 9.125, 0.7)], 0)
    stroke.finish()


def same(first: Painting, second: Painting) -> bool:
    parts = ("base", "picture", "painted")
    return first.strokes == second.strokes and all(torch.equal(getattr(first, p), getattr(second, p)) for p in parts)


@given(height=st.integers(1, 40), width=st.integers(1, 40), count=st.integers(0, 3), seed=st.integers(0, 99))
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, count: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("painting") / "new" / "folder"
    painting = painted(height, width, seed, count)

    path = write_revision(folder, 7, painting)

    assert path == folder / "0007.png"
    assert same(read_revision(path), painting)
    assert torch.equal(replay(painting.base, read_revision(path).strokes, None).picture, painting.picture)
    with Image.open(path) as image:
        assert np.array_equal(np.array(image), painting.picture.permute(1, 2, 0).numpy())
    with Image.open(folder / "0007.mask.png") as image:
        assert np.array_equal(np.array(image), painting.painted[0].numpy())
    info = read_info(path)
    assert (info.width, info.height) == (width, height)
    assert info.base == digest(painting.base)
    names = {f"base-{info.base}.png", "0007.png", "0007.mask.png", "0007.json"}
    assert {entry.name for entry in folder.iterdir()} == names


def test_revisions_share_a_base_and_are_numbered_on(tmp_path: Path) -> None:
    assert next_revision(tmp_path / "none") == 1
    assert next_revision(tmp_path) == 1
    painting = painted()
    for number in (1, 2, 12):
        write_revision(tmp_path, number, painting)
    assert next_revision(tmp_path) == 13
    assert len(list(tmp_path.glob("base-*.png"))) == 1
    (tmp_path / "0099.json.new").write_text("left by a crash")
    assert next_revision(tmp_path) == 100


def test_a_digest_tells_pictures_apart_by_pixels_and_shape() -> None:
    picture = torch.zeros(3, 4, 6, dtype=torch.uint8)
    others = [picture.clone(), picture.view(3, 6, 4), torch.zeros(1, 12, 6, dtype=torch.uint8)]
    others[0][2, 3, 5] = 1
    assert len({digest(other) for other in (picture, *others)}) == 4
    assert digest(picture) == digest(picture.permute(1, 2, 0).contiguous().permute(2, 0, 1))


def crash_points(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    """Let `allowed` of the operations on files happen that writing consists of; the next one stops half-way."""
    done = 0

    def counted(original: Callable[..., Any], half: Callable[..., object]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            if done > allowed:
                half(*args)
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        return call

    def half_of_an_image(_image: Image.Image, path: Path, *_: Any) -> None:
        Path(path).write_bytes(b"\x89PNG\r\n\x1a\nhalf")

    write_text = Path.write_text
    monkeypatch.setattr(Image.Image, "save", counted(Image.Image.save, half_of_an_image))
    monkeypatch.setattr(Path, "write_text", counted(Path.write_text, lambda path, *_: write_text(path, "{")))
    monkeypatch.setattr(Path, "replace", counted(Path.replace, lambda *_: None))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink, lambda *_: None))


def test_a_crash_leaves_the_revision_as_it_was_or_whole(tmp_path: Path) -> None:
    """At each operation on a file, twice in a row, and a third time that succeeds."""
    old, new, newer = painted(), painted(count=2), painted(count=3)
    outcomes = []
    for first in range(12):
        for second in range(12):
            folder = tmp_path / f"{first}-{second}"
            path = write_revision(folder, 1, old)
            for painting, allowed in ((new, first), (newer, second)):
                before = read_revision(path)
                with pytest.MonkeyPatch.context() as patch:
                    crash_points(patch, allowed)
                    try:
                        write_revision(folder, 1, painting)
                        outcomes.append("done")
                    except KeyboardInterrupt:
                        outcomes.append("crash")
                after = read_revision(path)
                assert same(after, before) or same(after, painting)
                assert outcomes[-1] == "crash" or same(after, painting)
            write_revision(folder, 1, new)
            assert same(read_revision(path), new)
            assert len(list(folder.iterdir())) == 4 + len(list(folder.glob("*.new")))
    assert {"done", "crash"} == set(outcomes)


def test_a_crash_at_the_first_writing_leaves_no_painting_or_a_whole_one(tmp_path: Path) -> None:
    for allowed in range(12):
        folder = tmp_path / str(allowed)
        with pytest.MonkeyPatch.context() as patch:
            crash_points(patch, allowed)
            with contextlib.suppress(KeyboardInterrupt):
                write_revision(folder, 1, painted())
        if (folder / "0001.json").exists():
            assert same(read_revision(folder / "0001.png"), painted())
        else:
            with pytest.raises(PaintingError, match="There is no painting"):
                read_revision(folder / "0001.png")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_revision(tmp_path / "sound", 1, painted())


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("0001.json", None, "There is no painting '0001.png'"),
        ("0001.json", b"", "cannot be read"),
        ("0001.json", b"[]", "not a painting's"),
        ("0001.json", b"\xff\xfe\x00", "cannot be read"),
        ("0001.json", b"[" * 100_000, "cannot be read"),
        ("0001.png", None, "missing"),
        ("0001.png", b"GIF89a", "0001.png is no sound PNG"),
        ("0001.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "0001.png is no sound PNG"),
        ("0001.mask.png", None, "missing"),
        ("base", None, "missing"),
        ("base", b"", "no sound PNG"),
    ],
)
def test_a_damaged_painting_is_told(sound: Path, name: str, damage: bytes | None, message: str) -> None:
    (path,) = sound.parent.glob("base-*.png") if name == "base" else [sound.with_name(name)]
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(PaintingError, match=re.escape(message)):
        read_revision(sound)


def test_pixels_of_another_painting_are_told(sound: Path, tmp_path: Path) -> None:
    for seed, (height, width), message in ((1, (30, 40), "other pixels"), (1, (31, 40), "RGB of 40 x 31")):
        other = write_revision(tmp_path / str(height), 1, painted(height, width, seed))
        shutil.copy(other, sound)
        with pytest.raises(PaintingError, match=message):
            read_revision(sound)


def test_a_png_that_claims_to_be_huge_is_not_decoded(sound: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    content = sound.read_bytes()
    sound.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    with pytest.raises(PaintingError, match="no sound PNG"):
        read_revision(sound)


def test_a_path_that_is_no_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png", tmp_path / ("x" * 300 + ".png")):
        with pytest.raises(PaintingError):
            read_revision(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data(), garbage=JSON)
def test_garbage_anywhere_in_the_json_is_refused_or_harmless(sound: Path, data: st.DataObject, garbage: Any) -> None:
    original = sound.with_suffix(".json").read_text("utf-8")
    content = json.loads(original)
    place: Any = content
    while isinstance(place, (dict, list)) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            if data.draw(st.booleans()) or isinstance(place, list):
                place[key] = garbage
            else:
                del place[key]
            break
        place = place[key]
    sound.with_suffix(".json").write_text(json.dumps(content), "utf-8")
    with contextlib.suppress(PaintingError):
        read_revision(sound)
    sound.with_suffix(".json").write_text(original, "utf-8")


BRUSHES = st.builds(
    Brush,
    kind=st.sampled_from(["class", "feature", "colour", "grow", "restore"]),
    what=st.text(min_size=1, max_size=20).filter(str.strip),
    colour=st.from_regex(r"\A#[0-9a-fA-F]{6}\Z"),
    size=st.floats(1, 4096) | st.integers(1, 4096),
    softness=st.floats(0, 1),
    strength=st.floats(0.05, 5),
    mirrored=st.booleans(),
)


@given(brush=BRUSHES, points=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2, st.floats(0, 1)), max_size=4))
def test_a_record_comes_through_json_as_it_is(brush: Brush, points: list[tuple[float, float, float]]) -> None:
    stroke = Painting(torch.zeros(3, 8, 8, dtype=torch.uint8)).begin(None, Brush(kind="colour"))
    stroke.advance(points, 3)
    ticks = (Tick(((1.25, -3.5, 0.123),), 4), Tick((), 2))
    record = StrokeRecord(brush, "area", ticks, 3, "A Classifier")
    assert StrokeRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@given(record=JSON)
def test_garbage_is_no_record(record: Any) -> None:
    for read in (StrokeRecord.from_json, Brush.from_json):
        with pytest.raises(ValueError, match=r".{10}"):
            read(record)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "rubber"}, "Unknown brush"),
        ({"kind": "class"}, "needs a class"),
        ({"kind": "feature", "what": "  "}, "needs a feature"),
        ({"kind": "class", "what": "x" * 501}, "at most 500"),
        ({"kind": "colour", "colour": "red"}, "like '#80a0ff'"),
        ({"kind": "colour", "size": 0.5}, "from 1 to 4096"),
        ({"kind": "colour", "size": float("nan")}, "from 1 to 4096"),
        ({"kind": "colour", "softness": True}, "from 0 to 1"),
        ({"kind": "colour", "strength": "1"}, "from 0.05 to 5"),
        ({"kind": "colour", "strength": 10**400}, "from 0.05 to 5"),
        ({"kind": "colour", "mirrored": 1}, "true or false"),
        ({"kind": "colour", "spacing": 1}, "has no 'spacing'"),
        ({"kind": ["colour"]}, "Unknown brush"),
        ({"size": 3}, "with a kind"),
    ],
)
def test_a_brush_that_is_out_of_range_is_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Brush.from_json(values)


def test_a_painting_begins_on_a_picture_of_bytes() -> None:
    wrong: list[Tensor] = [
        torch.zeros(3, 4, 4),
        torch.zeros(4, 4, 3, dtype=torch.uint8),
        torch.zeros(3, 0, 4, dtype=torch.uint8),
    ]
    for base in wrong:
        with pytest.raises(ValueError, match="uint8"):
            Painting(base)


def test_strokes_go_on_after_reading(tmp_path: Path, tiny: RobustClassifier) -> None:
    def stroke(painting: Painting) -> None:
        live = painting.begin(tiny, Brush(kind="class", what="class_1", size=20))
        live.advance([(10, 10, 1), (30, 20, 1)], 2)
        live.finish()

    here = painted()
    there = read_revision(write_revision(tmp_path, 1, here))
    for painting in (here, there):
        stroke(painting)
    assert same(here, there)
    assert there.undo_count == 1
