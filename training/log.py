"""The log of a run: JSON, and a plot of the accuracies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EvalRecord:
    """One evaluation during a run. Accuracies are from 0 to 1."""

    epoch: int
    loss: float
    """The mean training loss since the last evaluation."""
    training_robust: float
    """The mean accuracy on adversarial training pictures since the last evaluation; under CutMix the larger part of a
    picture is its class."""
    clean: float
    """Accuracy on the validation pictures."""
    robust: float
    """Accuracy on the validation pictures under attack."""
    seconds: float
    """Of work, since the run began."""


def write_log(folder: Path, about: dict[str, Any], history: Sequence[EvalRecord]) -> None:
    """Write `log.json` with what is said about the run, and `accuracy.png` if matplotlib is installed.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = {**about, "history": [asdict(entry) for entry in history]}
    (folder / "log.json").write_text(json.dumps(log, indent=2) + "\n", "utf-8")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        # ComfyUI does not require it.
        return
    figure = Figure((7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    epochs = [entry.epoch for entry in history]
    axes.plot(epochs, [100 * entry.clean for entry in history], label="clean")
    axes.plot(epochs, [100 * entry.robust for entry in history], label="under attack")
    axes.plot(epochs, [100 * entry.training_robust for entry in history], ":", label="under attack, training pictures")
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on validation pictures (%)")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "accuracy.png")
