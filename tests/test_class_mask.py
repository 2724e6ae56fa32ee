"""Class Mask: it finds a thing, at any size, and its mask is what an artist asks for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from robust_synthesis.synthesis import cut_mask
from tools.paths import ROOT


@pytest.fixture(scope="module")
def classifier(pack: ModuleType) -> Any:
    return pack.RobustLoadClassifier.execute("canvas").result[0]


@pytest.fixture(scope="module")
def pony() -> tuple[Tensor, Tensor]:
    """A photograph `[1, H, W, 3]` of a horse, and where it was painted over, bool `[1, H, W]`."""
    photo = Image.open(ROOT / "workflows" / "assets" / "pony.png")
    # Resized together, what is transparent would turn black.
    colour, alpha = (
        np.asarray(part.resize((256, 192), Image.Resampling.BOX))
        for part in (photo.convert("RGB"), photo.getchannel("A"))
    )
    return torch.from_numpy(colour.copy()).float()[None] / 255, torch.from_numpy(alpha < 128)[None]


def test_the_horse_of_a_photograph_is_found(pack: ModuleType, classifier: Any, pony: tuple[Tensor, Tensor]) -> None:
    image, painted = pony
    mask, heat = pack.RobustClassMask.execute(classifier, image, "horse", 0.5, 0.0).result
    found = mask == 1
    assert torch.equal(found, mask > 0), "without softness there are no greys"
    assert (found & painted).sum() / (found | painted).sum() > 0.7
    assert heat.shape == image.shape
    assert heat[found].mean() > heat[~found].mean()
    for threshold, softness in ((0.3, 0.0), (0.5, 0.4)):
        other = pack.RobustClassMask.execute(classifier, image, "horse", threshold, softness).result[0]
        if softness:
            assert ((other > 0) & (other < 1)).any()
        else:
            assert bool((other >= mask).all())


@pytest.mark.parametrize(
    ("threshold", "mask"),
    [
        (0.0, [0, 1, 1, 1, 1]),
        (0.1, [0, 0.5, 1, 1, 1]),
        (0.5, [0, 0, 0.5, 1, 1]),
        (0.9, [0, 0, 0, 0.5, 1]),
        (1.0, [0, 0, 0, 0, 0]),
    ],
)
def test_a_soft_rim_leaves_no_veil_at_the_ends_of_the_threshold(threshold: float, mask: list[float]) -> None:
    probability = torch.tensor([0, 0.1, 0.5, 0.9, 1])
    torch.testing.assert_close(cut_mask(probability, threshold, 0.4), torch.tensor(mask, dtype=torch.float32))


@pytest.mark.parametrize("size", [(1, 1), (53, 37), (9, 1500)])
def test_pictures_of_any_size_get_a_mask_of_theirs(pack: ModuleType, classifier: Any, size: tuple[int, int]) -> None:
    image = torch.rand(2, *size, 4, generator=torch.Generator().manual_seed(0))
    mask, heat = pack.RobustClassMask.execute(classifier, image.half()).result
    assert mask.shape == (2, *size)
    assert heat.shape == (2, *size, 3)
    for values in (mask, heat):
        assert bool(values.isfinite().all())
        assert values.min() >= 0
        assert values.max() <= 1


def test_an_unknown_class_is_answered(pack: ModuleType, classifier: Any) -> None:
    with pytest.raises(ValueError, match="horse"):
        pack.RobustClassMask.execute(classifier, torch.rand(1, 40, 40, 3), "horsee")
