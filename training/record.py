"""What happened in a run: a JSON log, and a plot of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EvalRecord:
    """One measurement on the way. Shares are from 0 to 1."""

    epoch: int
    loss: float
    """The mean over the steps since the last one, on attacked training pictures."""
    training_robust: float
    """The share of attacked training pictures that were named rightly in those steps; of a picture that was cut
    together, by its larger share."""
    clean: float
    """The share of validation pictures that are named rightly."""
    robust: float
    """The share that still is under attack."""
    seconds: float
    """Of work, since the run began."""


def write_record(folder: Path, identity: dict[str, Any], history: Sequence[EvalRecord]) -> None:
    """Write `log.json`, and `accuracy.png` where matplotlib is there to draw it."""
    folder.mkdir(parents=True, exist_ok=True)
    log = {**identity, "history": [asdict(entry) for entry in history]}
    (folder / "log.json").write_text(json.dumps(log, indent=2) + "\n", "utf-8")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        # ComfyUI does without it.
        return
    figure = Figure((7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    epochs = [entry.epoch for entry in history]
    axes.plot(epochs, [100 * entry.clean for entry in history], label="clean")
    axes.plot(epochs, [100 * entry.robust for entry in history], label="under attack")
    axes.plot(epochs, [100 * entry.training_robust for entry in history], ":", label="under attack, training pictures")
    axes.set_xlabel("epoch")
    axes.set_ylabel("% of validation pictures named rightly")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "accuracy.png")
