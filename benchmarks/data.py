"""The data sets of the benchmarks; docs/numbers.md says what they hold and where they come from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.training.data import Pictures, read_split

BUILD = Path(__file__).resolve().parent.parent / "build"
"""Where judges, trained networks and sheets of pictures are kept."""


def data_set(folder: Path, name: str) -> Path:
    """The zip or the folder `name` in `folder`.

    Raises:
        SystemExit: there is neither.
    """
    for path in (folder / f"{name}.zip", folder / name):
        if path.exists():
            return path
    raise SystemExit(f"There is no {name}.zip and no folder {name} in {folder}: see docs/numbers.md.")


def held_out(data: Path, classifier: RobustClassifier, scale: int = 1) -> Pictures:
    """The `test` split, at the classifier's input size or a multiple of it.

    Raises:
        SystemExit: its classes are not the classifier's.
    """
    test, labels = read_split(data, "test", scale * classifier.input_size)
    if labels != classifier.labels:
        raise SystemExit(f"The classes of {data.name} are not those of '{classifier.card.title}'.")
    return test


def first_of_each(pictures: Pictures, count: int) -> Pictures:
    """The first `count` pictures of every class."""
    classes = pictures.classes
    return pictures[torch.cat([(classes == c).nonzero().flatten()[:count] for c in classes.unique()])]


def as_float(pictures: Pictures) -> Tensor:
    """`[N, 3, S, S]` in [0, 1], float32."""
    return pictures.images.float() / 255
