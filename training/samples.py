"""Pictures that a classifier in training would paint: the eye is the best validator."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ..models import ClassSeeds, RobustClassifier
from ..synthesis import TRANSLATE_PRESETS, Mix, class_seeds, translate
from ..synthesis.ascent import Callback

MOST = 16


def painted(classifier: RobustClassifier, seeds: ClassSeeds, callback: Callback | None = None) -> Tensor:
    """Up to 16 pictures `[B, 3, S, S]` in [0, 1], on the CPU: of each class as many, the same seeds each time.

    For `callback` see `synthesis.ascent.Callback`.
    """
    settings, side = TRANSLATE_PRESETS["generate"], classifier.input_size
    classes = range(min(len(classifier.labels), MOST))
    numbers = range(max(1, MOST // len(classes)))
    made = []
    for index in classes:
        mix = Mix(((index, 1.0),))
        starts = class_seeds(seeds, mix, side, side, numbers).to(classifier.mean.device)
        made.append(translate(classifier, starts, mix, settings, numbers, callback=callback).cpu())
    return torch.cat(made)


def write_samples(folder: Path, samples: Tensor, epoch: int) -> None:
    """Write them as one sheet, `samples/epoch-012.png`."""
    sheet = folder / "samples" / f"epoch-{epoch:03}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image(make_grid(samples, nrow=4, padding=2, pad_value=1)).save(sheet)
