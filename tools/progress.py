"""A run's progress as lines of text: one per node, and the steps of the one that works."""

from __future__ import annotations

import sys
import time

from .client import Event, Prompt, describe

_SECONDS_BETWEEN_LINES = 5


class ProgressPrinter:
    """Prints the events of one run; give it to `ComfyClient.run` as `on_event`."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._done: set[str] = set()
        self._started: dict[str, float] = {}
        self._shown_at = time.monotonic()
        self._width = 0

    def __call__(self, event: Event) -> None:
        """Print what is new in one event."""
        if event.kind != "progress_state":
            return
        for node, state in event.data["nodes"].items():
            # Nodes that a node expands into are its own business.
            if node in self._done or node not in self._prompt:
                continue
            started = self._started.setdefault(node, time.monotonic())
            if state["state"] == "finished":
                self._done.add(node)
                self._line(f"{self._label(node)}  {time.monotonic() - started:.1f} s")
            elif state["state"] == "running" and state["max"] > 1:
                self._step(f"{self._label(node)}  step {state['value']:.0f} of {state['max']:.0f}")

    def _label(self, node: str) -> str:
        return f"  [{len(self._done)}/{len(self._prompt)}] {describe(self._prompt, node)}"

    def _step(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{text:<{self._width}}", end="", flush=True)
            self._width = len(text)
        elif time.monotonic() - self._shown_at > _SECONDS_BETWEEN_LINES:
            self._line(text)

    def _line(self, text: str) -> None:
        start = "\r" if self._width else ""
        print(f"{start}{text:<{self._width}}", flush=True)
        self._width, self._shown_at = 0, time.monotonic()
