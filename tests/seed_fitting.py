"""Fit Class Seeds as ComfyUI calls it: every input is a list, and so is the output."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor


def fit(pack: ModuleType, classifier: Any, image: Tensor | list[Tensor] | None, target: str, folder: str = "") -> Any:
    """The classifier that the node gives for one batch, or for a list of them."""
    batches = [image] if isinstance(image, Tensor) else image
    ((fitted,),) = pack.RobustFitSeeds.execute([classifier], batches, [target], [folder]).result
    return fitted
