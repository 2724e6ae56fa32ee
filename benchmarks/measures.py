"""How close pictures are, and the table that says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import Mix
from robust_synthesis.training.data import read_split

BATCH = 32

Climb = Callable[[Tensor, Mix | None], Tensor]
"""From the indices `[B]` of some pictures, and the class they are to show (None: what the classifier sees), to what
becomes of them, `[B, 3, H, W]`."""


@dataclass(frozen=True)
class Pictures:
    """Photographs and the class of each."""

    images: Tensor
    """`[N, 3, H, W]`, float32 in [0, 1]."""
    classes: Tensor
    """`[N]`."""

    def __len__(self) -> int:
        return len(self.images)

    def each(self, count: int) -> Tensor:
        """The indices of the first so many of every class."""
        rows = [(self.classes == c).nonzero().flatten()[:count] for c in self.classes.unique()]
        return torch.cat(rows)

    def __getitem__(self, indices: Tensor) -> Pictures:
        return Pictures(self.images[indices], self.classes[indices])


def held_out(data: Path, classifier: RobustClassifier, each: int) -> Pictures:
    """The `test` split of a zip, at most so many pictures of every class.

    Raises:
        SystemExit: its classes are not the classifier's.
    """
    test, labels = read_split(data, "test", classifier.input_size)
    if labels != classifier.labels:
        raise SystemExit(f"The classes of {data.name} are not those of '{classifier.card.title}'.")
    pictures = Pictures(test.images.float() / 255, test.classes)
    return pictures[pictures.each(each)]


def climbed(climb: Climb, classes: Tensor, given: bool = True) -> tuple[Tensor, float]:
    """What a climb makes of pictures of some classes `[N]`, with the class given or not; and seconds a picture."""
    started = time.perf_counter()
    if given:
        rows = [
            (chunk, Mix(((int(c), 1.0),))) for c in classes.unique() for chunk in (classes == c).nonzero().split(BATCH)
        ]
        done = [(chunk.flatten(), climb(chunk.flatten(), mix)) for chunk, mix in rows]
    else:
        done = [(chunk, climb(chunk, None)) for chunk in torch.arange(len(classes)).split(BATCH)]
    order = torch.cat([chunk for chunk, _ in done]).argsort()
    return torch.cat([images for _, images in done])[order], (time.perf_counter() - started) / len(classes)


def psnr(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, the mean over pictures `[N, 3, H, W]`; of the pixels of a mask where given."""
    squares = (images - truth).square().double()
    weights = torch.ones_like(squares) if mask is None else mask.double().expand_as(squares)
    error = (squares * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    return float((-10 * error.log10()).mean())


def ssim(images: Tensor, truth: Tensor) -> float:
    """Structural similarity as Wang et al. (2004) define it, of colour pictures `[N, 3, H, W]`, the mean over them."""
    pairs = zip(images.double().numpy(), truth.double().numpy(), strict=True)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values = [
        structural_similarity(a, b, data_range=1.0, channel_axis=0, **options)  # type: ignore[no-untyped-call]
        for a, b in pairs
    ]
    return float(sum(values) / len(values))


def grid(images: Tensor) -> float:
    """How strong a grid with a period of two pixels is in square pictures `[N, 3, S, S]`; 1: there is none.

    The power at that frequency over the power three and four frequencies below it, which in photographs is as high;
    the geometric mean of both directions.
    """
    grey = images.mean(1).double()
    grey = grey - grey.mean((1, 2), keepdim=True)
    # Without a window, the step from one border to the other has power at every frequency.
    window = torch.hann_window(grey.shape[-1], periodic=False, dtype=grey.dtype)
    power = torch.fft.fft2(grey * window * window[:, None]).abs().square().mean(0)
    highest = grey.shape[-1] // 2
    ratios = [p[highest] / p[highest - 4 : highest - 2].mean() for p in (power.sum(0), power.sum(1))]
    return float((ratios[0] * ratios[1]).sqrt())


@dataclass
class Table:
    """A Markdown table that prints each row as soon as it is known."""

    title: str
    columns: dict[str, str]
    """The name of each column after the first, and how to format its values."""
    width: int = 44
    rows: list[tuple[str, Sequence[float | None]]] = field(default_factory=list)

    def row(self, name: str, *values: float | None) -> None:
        """Print a row, a dash for a value that there is not."""
        if not self.rows:
            print(f"\n**{self.title}**\n")
            self._line("", list(self.columns))
            print("|---" * (len(self.columns) + 1) + "|")
        self.rows.append((name, values))
        formats = zip(values, self.columns.values(), strict=True)
        self._line(name, ["-" if value is None else format(value, spec) for value, spec in formats])

    def _line(self, name: str, cells: Sequence[str]) -> None:
        padded = [f"{cell:>{max(len(column), 6)}}" for cell, column in zip(cells, self.columns, strict=True)]
        print(f"| {name:<{self.width}} | {' | '.join(padded)} |", flush=True)
