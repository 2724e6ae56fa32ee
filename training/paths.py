"""Where a run keeps its files, and the errors of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class RunError(RuntimeError):
    """A run that cannot go on; the message says why, and what to do."""


class RunExistsError(RunError):
    """Another classifier, or another run, has these paths."""


@dataclass(frozen=True)
class RunPaths:
    """Where a run keeps what it makes."""

    result: Path
    """The classifier, `.safetensors`: the best so far. Its card, `.md`, and the pictures of its classes,
    see `models.thumbnails`, are written beside it."""
    folder: Path
    """The log, its plot, and the samples."""

    @property
    def state(self) -> Path:
        """What the run resumes from: beside the classifier, because the folder may be cleared."""
        return self.result.with_name(f".{self.result.stem}.resume")
