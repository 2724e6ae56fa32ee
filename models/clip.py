"""CLIPs: the image tower in a file, whole or alone, the text tower beside it, and classes from texts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from .architectures._clip import ClipTower
from .architectures._tokens import head_count
from .classifier import RobustClassifier
from .clip_names import as_open_clip
from .safe_load import load_tensors

TEXT = "text."
"""Prefix of the text tower's tensors in the pack's own format; behind it are open_clip's names."""
OPENAI_WIDTH, OPENAI_PATCH = 1024, 14
LOGIT_SCALE = math.log(100)
"""What CLIPs are trained to; used where a file has no text tower."""
LAST_NORM = "ln_final.weight"
PROJECTION = "text_projection"
SCALE = "logit_scale"


@dataclass(frozen=True)
class FoundTower:
    """An image tower among the tensors of a file."""

    architecture: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    """Those of the image tower, by its own names."""
    text: Mapping[str, Tensor]
    """Those of the text tower beside it, by open_clip's names; empty where there is none."""


def find_tower(found: Mapping[str, Tensor]) -> FoundTower | None:
    """Find a CLIP's image tower among the tensors of a file, under any prefix; None if there is none.

    Layouts: open_clip's (`visual.*`, and the text tower beside it), and `visual` alone without its prefix; for those
    of transformers see `as_open_clip`. Whether the activation is QuickGELU is not in the tensors: a tower alone is one
    of OpenAI's, and so is an L/14; others have the plain GELU.
    """
    for name in found:
        for first, hyperparameters in (("class_embedding", _vit), ("trunk.stem.0.weight", _convnext)):
            if name == first or name.endswith(f".{first}"):
                prefix = name.removesuffix(first)
                own = {key.removeprefix(prefix): tensor for key, tensor in found.items() if key.startswith(prefix)}
                text = _beside(found, prefix)
                architecture = hyperparameters(own, bool(text))
                if architecture is not None:
                    return FoundTower(architecture, own, text)
    return None


def text_tensors(path: Path) -> dict[str, Tensor]:
    """The text tower in a classifier's file by open_clip's names, as they are in the file; empty if it has none.

    Raises:
        CheckpointError: a file of another format than the pack's cannot be read.
    """
    with path.open("rb") as file:
        own = file.read(9)[8:] == b"{"
    if own:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(TEXT)]  # noqa: SIM118 (no mapping)
            if names:
                return {name.removeprefix(TEXT): file.get_tensor(name) for name in names}
    tower = find_tower(as_open_clip(path, load_tensors(path)))
    return dict(tower.text) if tower else {}


def tower_of(classifier: RobustClassifier) -> ClipTower | None:
    """The classifier's network, if it is a CLIP's image tower."""
    return classifier.network if isinstance(classifier.network, ClipTower) else None


def require_tower(classifier: RobustClassifier) -> ClipTower:
    """The classifier's network.

    Raises:
        ValueError: it is no CLIP's image tower.
    """
    tower = tower_of(classifier)
    if tower is None:
        raise ValueError(
            f"'{classifier.card.title}' is not the image tower of a CLIP, and has classes of its own: choose a robust "
            "CLIP in Load Robust Classifier."
        )
    return tower


def with_texts(
    classifier: RobustClassifier, embeddings: Tensor, labels: Sequence[str], logit_scale: float = LOGIT_SCALE
) -> RobustClassifier:
    """A classifier whose classes are texts: its logits are `exp(logit_scale)` times the cosine similarities.

    Args:
        classifier: a CLIP's image tower, with or without classes. All but the last layer is shared with it, so that
            moving it to another device moves both.
        embeddings: of the texts, `[classes, D]`, of any length.
        labels: a name for each text.
        logit_scale: the logarithm of the scale.

    Raises:
        ValueError: it is no CLIP's image tower, or the embeddings are of another CLIP.
    """
    tower = require_tower(classifier)
    if embeddings.shape[1] != classifier.feature_count:
        raise ValueError(
            f"The texts have {embeddings.shape[1]} numbers each, and the images of '{classifier.card.title}' "
            f"{classifier.feature_count}: they are of different CLIPs."
        )
    rows = torch.nn.functional.normalize(embeddings.detach().float(), dim=1) * math.exp(logit_scale)
    card = replace(classifier.card, labels=tuple(labels))
    return classifier.with_network(tower.with_classes(rows), card)


def _beside(found: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The text tower beside an image tower of this prefix."""
    if not re.search(r"(^|\.)visual\.$", prefix):
        return {}
    outer = prefix.removesuffix("visual.")
    names = [name for name in found if name.startswith(outer) and not name.startswith(prefix)]
    text = {name.removeprefix(outer): found[name] for name in names}
    kept = re.compile(r"(token_embedding|transformer|ln_final)\..+|positional_embedding|text_projection|logit_scale")
    return {key: tensor for key, tensor in text.items() if kept.fullmatch(key)} if LAST_NORM in text else {}


def _vit(own: Mapping[str, Tensor], has_text: bool) -> dict[str, Any] | None:
    """Hyperparameters of a vision transformer, from its tensors."""
    patches, positions, projection = (own.get(key) for key in ("conv1.weight", "positional_embedding", "proj"))
    if patches is None or positions is None or projection is None:
        return None
    if (patches.ndim, positions.ndim, projection.ndim) != (4, 2, 2) or not len(positions):
        return None
    width, patch_size = patches.shape[0], patches.shape[2]
    openai = (width, patch_size) == (OPENAI_WIDTH, OPENAI_PATCH) or not has_text
    return {
        "name": "clip_vit",
        "width": width,
        "layers": _count(own, r"transformer\.resblocks\.(\d+)\.ln_1\.weight"),
        "heads": head_count(width),
        "patch_size": patch_size,
        "grid": math.isqrt(len(positions) - 1),
        "embed_dim": projection.shape[-1],
        "quick_gelu": openai,
    }


def _convnext(own: Mapping[str, Tensor], _has_text: bool) -> dict[str, Any] | None:
    """Hyperparameters of a ConvNeXt, from its tensors."""
    projection = own.get("head.proj.weight")
    gammas = [own.get(f"trunk.stages.{stage}.blocks.0.gamma") for stage in range(4)]
    if projection is None or projection.ndim != 2 or any(gamma is None or gamma.ndim != 1 for gamma in gammas):
        return None
    return {
        "name": "clip_convnext",
        "widths": [len(gamma) for gamma in gammas if gamma is not None],
        "depths": [_count(own, rf"trunk\.stages\.{stage}\.blocks\.(\d+)\.gamma") for stage in range(4)],
        "embed_dim": projection.shape[0],
    }


def _count(own: Mapping[str, Tensor], pattern: str) -> int:
    return len([name for name in own if re.fullmatch(pattern, name)])
