"""What an example workflow is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Values = dict[str, str | int | float | bool]
"""Of the widgets of a node, by their names."""


@dataclass(frozen=True)
class Node:
    """One node of an example: what it is, where it lies, and what goes in."""

    key: str
    type: str
    place: tuple[int, int]
    size: tuple[int, int]
    title: str = ""
    values: Values = field(default_factory=dict)
    inputs: dict[str, tuple[str, int]] = field(default_factory=dict)
    muted: bool = False
    model: str = ""
    """The classifier on the Hub that a loader names, for the editor's dialog of missing models."""


@dataclass(frozen=True)
class Group:
    """A titled frame around some nodes."""

    title: str
    place: tuple[int, int]
    size: tuple[int, int]
    color: str


@dataclass(frozen=True)
class Example:
    """A workflow, and the input picture that its thumbnail shows beside the result."""

    name: str
    nodes: Sequence[Node]
    groups: Sequence[Group]
    before: str = ""
    needs: str = ""
    """What has to be downloaded before it can run; its thumbnail says so instead of showing a result."""


CHOOSE, WORK, LOOK = "#3f789e", "#88A", "#8A8"


def read_me(text: str) -> Node:
    """The note that stands left of every example."""
    return Node("note", "MarkdownNote", (0, 0), (400, 800), "Read me first", {"text": text.strip()})
