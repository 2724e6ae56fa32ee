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
    loss: float | None
    """The mean training loss since the last evaluation; None where no step was taken."""
    training_robust: float | None
    """The mean accuracy on adversarial training pictures since the last evaluation; under CutMix the larger part of a
    picture is its class. None where no step was taken."""
    clean: float
    """Accuracy on the validation pictures."""
    robust: float
    """Accuracy on the validation pictures under attack."""
    seconds: float
    """Of work, since the run began."""
    stage: int = 1
    contrastive_step: int = 0
    """After how many steps of stage two."""
    distance: float | None = None
    """In stage two: the kernel distance of generated pictures to training pictures, see `stages.ContrastiveStage`."""
    auc: float | None = None
    """In stage two: how often the energy of a real picture is below that of a contrastive one, from 0 to 1; None before
    the first step."""

    @property
    def name(self) -> str:
        """For a file."""
        return f"epoch-{self.epoch:03}" if self.stage == 1 else f"stage-two-{self.contrastive_step:05}"


def write_log(folder: Path, about: dict[str, Any], history: Sequence[EvalRecord]) -> None:
    """Write `log.json` with what is said about the run, and the plot `accuracy.png` if matplotlib is installed.

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
    minutes = [entry.seconds / 60 for entry in history]
    axes.plot(minutes, [100 * entry.clean for entry in history], label="clean")
    axes.plot(minutes, [100 * entry.robust for entry in history], label="under attack")
    trained = [
        (entry.seconds / 60, 100 * entry.training_robust) for entry in history if entry.training_robust is not None
    ]
    if trained:
        axes.plot(*zip(*trained, strict=True), ":", label="under attack, training pictures")
    axes.set_xlabel("minutes")
    axes.set_ylabel("accuracy on validation pictures (%)")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    distances = [(entry.seconds / 60, entry.distance) for entry in history if entry.distance is not None]
    if distances:
        right = axes.twinx()
        right.plot(*zip(*distances, strict=True), "k--")
        right.set_ylabel("stage two (dashed): kernel distance")
    axes.legend()
    figure.savefig(folder / "accuracy.png")
