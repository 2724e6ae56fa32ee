"""The command line of training with a tiny recipe, as torchrun starts it: stopped or killed.

It is no test itself: `test_distributed.py` starts it twice.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from pictures_to_train_on import UNEVEN  # type: ignore[import-not-found]

from robust_synthesis.training import Progress, __main__, trainer
from robust_synthesis.training.saved_state import read_state

STOPPED_AFTER, KILLED_AFTER = 5, 10
"""Steps: in stage one, whose 8 are in epochs of 2, and in stage two."""

FATE = os.environ["FATE"]


class _Reporter(__main__._TrainingReporter):
    def __call__(self, progress: Progress) -> None:
        if os.environ["RANK"] == "1" and not progress.evaluating:
            if FATE == "killed" and progress.step == KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            if FATE == "stopped" and progress.step == STOPPED_AFTER:
                os.kill(os.getpid(), signal.SIGINT)
        super().__call__(progress)


if __name__ == "__main__":
    torch.set_num_threads(1)
    state = read_state(Path(sys.argv[-1]).with_name(".colours.resume"))
    if state is not None and os.environ["RANK"] == "0":
        sys.stderr.write(f"Resumes stage {state.stage} after step {state.step}\n")
    trainer.fast_precision = lambda device: torch.float32  # type: ignore[attr-defined]  # noqa: ARG005
    __main__.RECIPES = {"quick": UNEVEN}  # type: ignore[attr-defined]
    __main__._TrainingReporter = _Reporter  # type: ignore[misc]
    sys.exit(__main__.main())
