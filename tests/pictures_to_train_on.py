"""Small folders of class folders, a recipe that learns them in seconds, and what it made compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from robust_synthesis.models import load_classifier
from robust_synthesis.training import Attack, Contrastive, Recipe

ARCHITECTURE = {"name": "narrow_resnet", "widths": [2, 3], "blocks": [1, 1], "stem_stride": 2, "activation": "silu"}
TINY = Recipe(
    summary="tiny",
    architecture=ARCHITECTURE,
    input_size=24,
    attack=Attack("l2", 0.5, 2, 0.7),
    samples_seen=400,
    max_epochs=10,
    batch_size=16,
    learning_rate=1.0,
    ema_decay=0.8,
    crop_padding=2,
    min_crop_scale=0.8,
    color_jitter=0.1,
    small_data_cutmix_prob=0.3,
    contrastive=Contrastive(rel_work=0.2, batch_size=6),
)
UNEVEN = replace(TINY, batch_size=15, preconditioned_epsilon=1.0, contrastive=Contrastive(rel_work=0.5, batch_size=5))
"""Neither batch is divisible by two processes."""
COLOURS = {"red": (200, 60, 50), "green": (60, 170, 70), "blue": (50, 80, 200)}


def picture(colour: str, number: int, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """A plain colour with some noise, a noise of its own for each number."""
    random = np.random.default_rng([sum(map(ord, colour)), number])
    pixels = np.array(COLOURS[colour]) + random.normal(0, 25, (size[1], size[0], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make_folder(place: Path, *colours: str, each: int = 20, first: int = 0) -> Path:
    """A folder of class folders, with so many pictures in each, of this number and the following ones."""
    for colour in colours:
        (place / colour).mkdir(parents=True)
        for number in range(first, first + each):
            picture(colour, number).save(place / colour / f"{number:02}.png")
    return place


def same_weights(one: Path, other: Path) -> bool:
    """Whether two files have the same classifier, to the bit."""
    first, second = (load_classifier(path).network.state_dict() for path in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)
