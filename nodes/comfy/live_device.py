"""Turns at the device between the prompts of ComfyUI, and the classifiers that the open paintings share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from PIL import Image

from ...models.sidecar import DataConfig
from .classifiers import LoadedClassifier, classifier_choice, classifier_version, load

TILES = 8
"""So many views of the classifier's size are in memory at once, when detail is painted."""
HANDOVER_SECONDS = 0.001


class PromptRunsError(Exception):
    """A prompt runs or waits: it has the device."""


class NotHereError(Exception):
    """A classifier has not been downloaded."""


class PromptQueue(Protocol):
    """What is used of ComfyUI's `execution.PromptQueue`."""

    mutex: Any
    queue: list[Any]
    currently_running: dict[int, Any]


class Turns:
    """Turns at the device. None begins while a prompt runs or waits, and no prompt begins during one.

    Prompts and turns both load models, which ComfyUI does in one thread at a time only. So a turn holds the lock of the
    queue, and is short: whoever adds a prompt waits for its end.
    """

    def __init__(self, queue: PromptQueue) -> None:
        self._queue = queue

    def check(self) -> None:
        """Raises: PromptRunsError."""
        with self._queue.mutex:
            self._refuse()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Compute in the block, with gradients.

        Raises:
            PromptRunsError: before the block begins.
        """
        with self._queue.mutex, torch.inference_mode(False), torch.enable_grad():
            self._refuse()
            yield

    def let_in(self) -> None:
        """Within a turn: let a prompt begin that waits.

        Raises:
            PromptRunsError: one has begun.
        """
        self._queue.mutex.release()
        try:
            # A lock that is taken again at once is hardly ever given to another thread.
            time.sleep(HANDOVER_SECONDS)
        finally:
            self._queue.mutex.acquire()
        self._refuse()

    def _refuse(self) -> None:
        if self._queue.queue or self._queue.currently_running:
            raise PromptRunsError


@dataclass
class SharedClassifier:
    """A classifier, for all open paintings that use it."""

    name: str
    loaded: LoadedClassifier
    memory: float
    """How many bytes an ascent takes beside the weights."""
    features: dict[int, bytes] = field(default_factory=dict)
    """What its features look like, as JPEG files, as far as somebody asked."""

    classes: dict[int, Image.Image] = field(default_factory=dict)
    """What it paints of its classes, as far as somebody asked."""


class SharedClassifiers:
    """The classifiers of the open paintings, each of them once."""

    def __init__(self) -> None:
        self._loaded: dict[object, SharedClassifier] = {}

    def load(self, name: str, config: DataConfig) -> SharedClassifier:
        """The classifier of a name, as the loader would load it; it is never downloaded.

        Raises:
            ValueError: there is none; the message has the nearest names.
            NotHereError: it is not on this machine.
            CheckpointError: its file cannot be read.
        """
        try:
            choice = classifier_choice(name)
        except LookupError as error:
            raise ValueError(error.args[0]) from None
        if choice.path is None:
            raise NotHereError(
                f"The classifier '{name}' is not on this machine yet: run Load Robust Classifier once, which downloads "
                "it."
            )
        key = repr((classifier_version(name), config))
        if key not in self._loaded:
            loaded = load(choice, config)
            side = loaded.model.input_size
            memory = loaded.model.activation_bytes(side, side, TILES)
            self._loaded[key] = SharedClassifier(name, loaded, memory)
        return self._loaded[key]

    def keep_only(self, used: list[SharedClassifier]) -> None:
        """Drop those that no painting uses; ComfyUI forgets a model when nothing refers to it."""
        kept = {id(shared) for shared in used}
        self._loaded = {key: shared for key, shared in self._loaded.items() if id(shared) in kept}
