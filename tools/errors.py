"""The one kind of error that is shown to a person as a sentence instead of a traceback."""

from __future__ import annotations


class ToolError(Exception):
    """Something went wrong that the reader of the message can act on."""
