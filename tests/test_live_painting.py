"""Paintings of the live canvas: undo, redo and replay to the bit, memory, and what is seen in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.performance.processes import added_memory
from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import classify
from robust_synthesis.synthesis.live import Box, Brush, Painting, StrokeRecord, replay
from tests.live_strokes import KINDS, along, brush, paint, photo, random_picture, strokes


@given(cases=st.lists(strokes(), min_size=1, max_size=3), ticks=st.integers(1, 3), detail=st.integers(0, 3))
def test_undo_redo_and_replay_restore_to_the_bit(
    tiny: RobustClassifier, cases: list[Any], ticks: int, detail: int
) -> None:
    base = random_picture(*cases[0][0])
    painting = Painting(base)
    states = [(painting.picture.clone(), painting.painted.clone())]
    for _, chosen, shape, points in cases:
        if paint(painting, tiny, chosen, points, shape, ticks, detail=detail) is not None:
            states.append((painting.picture.clone(), painting.painted.clone()))

    again = replay(base, [StrokeRecord.from_json(record.to_json()) for record in painting.strokes], tiny)
    assert torch.equal(again.picture, painting.picture)
    assert torch.equal(again.painted, painting.painted)
    assert again.strokes == painting.strokes

    count = len(states) - 1
    assert (painting.undo_count, painting.redo_count) == (count, 0)
    for state in reversed(states[:-1]):
        assert painting.undo() is not None
        assert torch.equal(painting.picture, state[0])
        assert torch.equal(painting.painted, state[1])
    assert painting.undo() is None
    assert (painting.undo_count, painting.redo_count, painting.strokes) == (0, count, [])
    for state in states[1:]:
        assert painting.redo() is not None
        assert torch.equal(painting.picture, state[0])
        assert torch.equal(painting.painted, state[1])
    assert painting.redo() is None
    assert painting.strokes == again.strokes


def test_a_new_stroke_ends_what_could_be_redone(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(40, 50))
    for x in (10, 30):
        paint(painting, tiny, brush("class", size=10), [(x, 20, 1)])
    painting.undo()
    paint(painting, None, brush("colour", size=10), [(20, 10, 1)])
    assert (painting.undo_count, painting.redo_count, len(painting.strokes)) == (2, 0, 2)


def test_a_class_has_its_further_names(tiny_classifier: Callable[..., RobustClassifier]) -> None:
    classifier = tiny_classifier()
    card = replace(classifier.card, labels=("automobile, car", *classifier.card.labels[1:]))
    painting = Painting(random_picture(40, 50))
    assert (
        paint(painting, RobustClassifier(classifier.network, card), Brush(kind="class", what="car"), [(20, 20, 1)])
        is not None
    )


def test_strength_one_of_a_colour_covers_and_restore_brings_the_base_back() -> None:
    painting = Painting(random_picture(60, 60))
    points = along((20, 30), (40, 30))
    paint(painting, None, brush("colour", colour="#12fe07", size=30, softness=0), points)
    assert painting.picture[:, 30, 30].tolist() == [0x12, 0xFE, 0x07]
    assert painting.painted[0, 30, 30] == 255
    half = brush("restore", size=30, softness=0, strength=0.5)
    paint(painting, None, half, points)
    assert painting.painted[0, 30, 30] == 128
    paint(painting, None, brush("restore", size=40, softness=0), points)
    assert torch.equal(painting.picture, painting.base)
    assert not painting.painted.any()


def test_a_classifier_sees_the_class_where_it_was_painted(canvas: RobustClassifier) -> None:
    base = photo("mountain")
    painting = Painting(base)
    corners = [(80, 60, 1), (300, 60, 1), (300, 280, 1), (80, 280, 1)]
    region = Box(70, 50, 240, 240)

    paint(painting, canvas, Brush(kind="class", what="church"), corners, "area", ticks=1, steps=16, detail=0)

    church = canvas.labels.index("church")
    before, after = (classify(canvas, region.cut(picture)[None] / 255)[0] for picture in (base, painting.picture))
    assert after.argmax() == church
    assert after[church] > 0.9 > 0.1 > before[church]


def test_a_few_steps_show_and_many_do_not_burn(canvas: RobustClassifier) -> None:
    differences, clipped = [], []
    for steps in (4, 200):
        painting = Painting(photo("photo"))
        box = paint(
            painting, canvas, Brush(kind="class", what="tulip"), along((150, 150), (200, 150)), steps=steps // 2
        )
        assert box is not None
        strong = box.cut(painting.painted)[0] > 200
        after, before = (box.cut(picture)[:, strong].float() for picture in (painting.picture, painting.base))
        differences.append(float((after - before).square().mean().sqrt()))
        clipped.append(float(((after == 0) | (after == 255)).float().mean()))
    assert differences[0] > 10, "of 255: hardly seen"
    assert differences[1] < 90
    assert clipped[1] < 0.2


def test_a_large_painting_needs_memory_for_its_box_alone(tiny: RobustClassifier) -> None:
    base = torch.full((3, 4096, 4096), 100, dtype=torch.uint8)
    painting = Painting(base)
    points = along((1000, 1000), (1400, 1100))
    paint(painting, tiny, brush("class", size=100), points)

    small = added_memory(lambda: paint(painting, tiny, brush("class", size=100), points))
    everything = [(0, 0, 1), (4096, 0, 1), (4096, 4096, 1), (0, 4096, 1)]
    large = added_memory(lambda: paint(painting, tiny, brush("class"), everything, "area", detail=0))

    assert small < 60e6
    assert large < 8 * base.numel()


def test_undo_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robust_synthesis.synthesis.live.painting.MOST_UNDO_BYTES", 4 * 3000)
    painting = Painting(random_picture(100, 100))
    states = []
    for index in range(8):
        states.append(painting.picture.clone())
        colour = f"#{index * 20:02x}0000"
        paint(painting, None, brush("colour", colour=colour, size=28, softness=0), [(50, 50, 1)])
    assert 2 <= painting.undo_count <= 3
    assert len(painting.strokes) == 8
    kept = painting.undo_count
    while painting.undo() is not None:
        pass
    assert torch.equal(painting.picture, states[8 - kept])


def test_after_200_strokes_memory_is_where_it_was(tiny: RobustClassifier) -> None:
    painting = Painting(random_picture(300, 300))

    def some(count: int) -> None:
        for index in range(count):
            kind = list(KINDS)[index % len(KINDS)]
            x = 40 + 7 * index % 220
            paint(painting, tiny, brush(kind, size=60), along((x, 60), (x + 20, 200)), steps=1, detail=1)

    some(60)
    assert added_memory(lambda: some(200)) < 12e6
    assert painting.undo_count == 50
    assert len(painting.strokes) > 250
