"""One painting that is open in a browser. All of it runs on the worker thread of `LiveSessions`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...synthesis import parse_class_expression, parse_feature_expression, region_features
from ...synthesis.live import Box, Brush, LiveStroke, Painting
from ...synthesis.tasks.classify import classify
from ..live_requests import MOST_STROKE_POINTS, LookRequest, PointsRequest, StrokeRequest
from .live_device import SharedClassifier, Turns

TICK_SECONDS, MOST_STEPS = 0.07, 8
REST_SECONDS = 0.1
LONGEST_PREVIEW = 1024
"""Pixels of a side of what is shown while a stroke goes on."""
STRONGEST = 6
"""So many classes and features are told of a place."""
SMALLEST_SHARE = 0.001


class NoStrokeError(Exception):
    """Points came without a stroke that could take them."""


@dataclass(frozen=True)
class Answer:
    """What a browser is told after each request that paints."""

    state: str
    """`live`, `resting` or `done`."""
    box: Box | None = None
    """What has changed of the picture."""
    pixels: Tensor | None = None
    """`uint8 [3, h, w]`, what the box shows: exactly, if it is `done`."""
    steps: int = 0
    left: int = 0


class Session:
    """A painting, the stroke under way on it, and where it is saved."""

    def __init__(
        self,
        painting: Painting,
        shared: SharedClassifier,
        folder: Path,
        number: int,
        turns: Turns,
        changed: Callable[[Session], None],
    ) -> None:
        """Begin.

        Args:
            painting: what is painted on.
            shared: the classifier to paint with.
            folder: of the painting's revisions.
            number: of the revision that this session writes.
            turns: at the device.
            changed: called when the painting has changed and is to be saved.
        """
        self.painting, self.shared, self.folder, self.number = painting, shared, folder, number
        self.name = ""
        """The painting's name as it is on the disk."""
        self.problem = ""
        """Why it could not be saved, or empty."""
        self.used = time.monotonic()
        self._turns, self._changed = turns, changed
        self._stroke: LiveStroke | None = None
        self._resting, self._points = False, 0
        self._unsent: Box | None = None
        self._step_seconds = TICK_SECONDS

    @property
    def resting(self) -> bool:
        """Whether a stroke waits for its detail."""
        return self._stroke is not None and self._resting

    @property
    def undo_count(self) -> int:
        """How many strokes can be taken back, one that is under way among them."""
        return self.painting.undo_count + (self._stroke is not None)

    def replace(self, painting: Painting, number: int) -> None:
        """Go on with another painting, which is the revision of that number."""
        self.settle()
        # What no answer has told yet was of the other one.
        self.painting, self.number, self._unsent = painting, number, None

    def begin(self, request: StrokeRequest) -> Answer:
        """Begin a stroke, and finish the one before.

        Raises:
            PromptRunsError: nothing was done.
            ValueError: the brush names what there is not.
        """
        self._check(request.brush)
        self._turns.check()
        self.settle()
        self._unsent = None
        with self._turns.turn():
            self.shared.loaded.to_device(self.shared.memory)
            stroke = self.painting.begin(self.shared.loaded.model, request.brush, request.shape)
            self._stroke, self._resting, self._points = stroke, False, len(request.points)
            return self._tick(stroke, request)

    def go_on(self, request: PointsRequest) -> Answer:
        """Further points and steps; at the end the stroke rests, or is done where it has no detail.

        Raises:
            PromptRunsError: nothing was done.
            NoStrokeError: there is no stroke under way.
            ValueError: there are too many points.
        """
        stroke = self._stroke
        if stroke is None or self._resting:
            raise NoStrokeError("No stroke is under way: begin one.")
        if self._points + len(request.points) > MOST_STROKE_POINTS:
            raise ValueError(f"A stroke has at most {MOST_STROKE_POINTS} points: end it, and begin another.")
        with self._turns.turn():
            self.shared.loaded.to_device(self.shared.memory)
            self._points += len(request.points)
            answer = self._tick(stroke, request)
            if not request.end:
                return answer
            left = stroke.rest(0)
        if left == 0:
            return self._done(self.settle(), answer.steps)
        self._resting = True
        return Answer("resting", answer.box, answer.pixels, answer.steps, left)

    def rest(self) -> Answer:
        """Some steps of detail; the last finish the stroke.

        Raises:
            PromptRunsError: nothing was done.
        """
        stroke = self._stroke
        if stroke is None or not self._resting:
            return self._done(None) if stroke is None else self._seen(stroke, "live", 0)
        started, before = time.monotonic(), stroke.detail_left
        left = before
        with self._turns.turn():
            self.shared.loaded.to_device(self.shared.memory)
            while left and time.monotonic() - started < REST_SECONDS:
                left = stroke.rest(1)
            answer = self._seen(stroke, "resting", before - left, left)
        return answer if left else self._done(self.settle(), answer.steps)

    def cancel(self) -> Answer:
        """Take the stroke under way back."""
        stroke, self._stroke = self._stroke, None
        return self._done(stroke.cancel() if stroke else None)

    def undo(self) -> Answer:
        """Take the last stroke back, also one that is under way.

        Raises:
            PromptRunsError: nothing was done.
        """
        return self._step_back(self.painting.undo)

    def redo(self) -> Answer:
        """Do the stroke again that was taken back last.

        Raises:
            PromptRunsError: nothing was done.
        """
        return self._step_back(self.painting.redo)

    def settle(self) -> Box | None:
        """Finish the stroke that is under way, if one is: what it changed, also what no answer has told yet."""
        stroke, self._stroke = self._stroke, None
        box = stroke.finish() if stroke is not None else None
        if box is not None:
            self._changed(self)
        self._unsent = box or self._unsent
        return self._unsent

    def look(self, request: LookRequest) -> tuple[list[tuple[str, float]], list[tuple[int, float]]]:
        """The strongest classes with their shares, and the strongest features with their activations, at a place.

        Raises:
            PromptRunsError: nothing was done.
            ValueError: it is outside of the picture.
        """
        model = self.shared.loaded.model
        around = _box_around(request, model.input_size, *self.painting.picture.shape[1:])
        with self._turns.turn():
            self.shared.loaded.to_device(self.shared.memory)
            image = around.cut(self.painting.picture)[None].to(self.shared.loaded.device).float() / 255
            mask = _circle(request, around).to(image)
            activations = region_features(model, image, mask)[0]
            shares = classify(model, image)[0]
            features = activations.topk(min(STRONGEST, len(activations)))
            classes = shares.topk(min(STRONGEST, len(shares)))
            told = [
                (model.labels[index], share)
                for index, share in zip(classes.indices.tolist(), classes.values.tolist(), strict=True)
                if share >= SMALLEST_SHARE
            ]
            return told, list(zip(features.indices.tolist(), features.values.tolist(), strict=True))

    def _check(self, brush: Brush) -> None:
        """Raises: ValueError: the brush names what the classifier does not know."""
        model = self.shared.loaded.model
        if brush.kind == "class":
            parse_class_expression(brush.what, model.card.labels)
        elif brush.kind == "feature":
            parse_feature_expression(brush.what, model.feature_count)

    def _tick(self, stroke: LiveStroke, request: StrokeRequest | PointsRequest) -> Answer:
        steps = min(max(int(TICK_SECONDS / self._step_seconds), 1), MOST_STEPS)
        started = time.monotonic()
        taken = stroke.advance(request.points, steps)
        # The preview is part of the time: on a GPU the steps end with it.
        answer = self._seen(stroke, "live", taken)
        if taken:
            self._step_seconds += ((time.monotonic() - started) / taken - self._step_seconds) / 2
        return answer

    def _seen(self, stroke: LiveStroke, state: str, steps: int, left: int = 0) -> Answer:
        box, pixels = stroke.preview(LONGEST_PREVIEW)
        if pixels.numel() == 0:
            return Answer(state, None, None, steps, left)
        return Answer(state, box, pixels, steps, left)

    def _step_back(self, step: Callable[[], Box | None]) -> Answer:
        self._turns.check()
        before = self.settle()
        box = step()
        if box is not None:
            self._changed(self)
        if box is None or before is None:
            return self._done(box or before)
        return self._done(box.with_box(before))

    def _done(self, box: Box | None, steps: int = 0) -> Answer:
        box = box or self._unsent
        self._unsent = None
        return Answer("done", box, None if box is None else box.cut(self.painting.picture), steps)


def _box_around(request: LookRequest, side: int, height: int, width: int) -> Box:
    """The part of a picture that the classifier looks at: what is told of, and as much again on each side."""
    half = max(request.size, side / 2)
    left, top = int(request.x - half), int(request.y - half)
    box = Box(left, top, int(2 * half) + 1, int(2 * half) + 1).inside(Box(0, 0, width, height))
    if box is None or request.x >= width or request.y >= height:
        raise ValueError(f"The picture is {width} x {height} pixels: there is nothing at {request.x:g}, {request.y:g}.")
    return box


def _circle(request: LookRequest, box: Box) -> Tensor:
    """A mask `[1, 1, h, w]` of the circle, on a box of the picture; at least the pixel in its middle."""
    rows = torch.arange(box.height)[:, None] + box.top - int(request.y)
    columns = torch.arange(box.width) + box.left - int(request.x)
    return ((rows**2 + columns**2) <= (request.size / 2) ** 2)[None, None].float()
