"""The tensor names of CLIPs in transformers, and open_clip's for the same tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .state_dict import refuse_expanded

CLASS_EMBEDDING = "vision_model.embeddings.class_embedding"
"""Of a CLIP's image tower; SigLIP's has none."""
RENAMES = {
    r"^vision_model\.embeddings\.position_ids$": "position_ids",
    r"^vision_model\.embeddings\.patch_embedding\.": "visual.conv1.",
    r"^vision_model\.embeddings\.position_embedding\.weight$": "visual.positional_embedding",
    r"^vision_model\.embeddings\.": "visual.",
    r"^vision_model\.pre_layrnorm\.": "visual.ln_pre.",
    r"^vision_model\.post_layernorm\.": "visual.ln_post.",
    r"^vision_model\.": "visual.",
    r"^text_model\.embeddings\.position_embedding\.weight$": "positional_embedding",
    r"^text_model\.embeddings\.": "",
    r"^text_model\.final_layer_norm\.": "ln_final.",
    r"^text_model\.": "",
    r"^(visual\.|)encoder\.layers\.": r"\1transformer.resblocks.",
    r"\.layer_norm(\d)\.": r".ln_\1.",
    r"\.self_attn\.out_proj\.": ".attn.out_proj.",
    r"\.mlp\.fc1\.": ".mlp.c_fc.",
    r"\.mlp\.fc2\.": ".mlp.c_proj.",
}
TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
"""The linear layers that are matrices in open_clip."""
THIRDS = tuple(f".self_attn.{letter}_proj." for letter in "qkv")
"""The linear layers that are one in open_clip, in this order."""
WHOLE = ".attn.in_proj_"


def as_open_clip(path: Path, found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Give the tensors of a CLIP of transformers open_clip's names and shapes; other files are left as they are.

    Args:
        path: the file, for messages.
        found: all its tensors by their paths in it.

    Raises:
        CheckpointError: a tensor claims more numbers than the file holds.
    """
    prefix = next((name.removesuffix(CLASS_EMBEDDING) for name in found if name.endswith(CLASS_EMBEDDING)), None)
    if prefix is None:
        return found
    renamed: dict[str, Tensor] = {}
    for name, tensor in found.items():
        own = name.removeprefix(prefix)
        if not name.startswith(prefix):
            renamed[name] = tensor
        elif own in TRANSPOSED:
            renamed[prefix + TRANSPOSED[own]] = tensor.mT if tensor.ndim == 2 else tensor
        else:
            renamed[prefix + _renamed(own)] = tensor
    return _joined(path, renamed)


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def _joined(path: Path, renamed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join queries, keys and values; those that do not fit together stay apart, and are of no CLIP that is known."""
    for query in [name for name in renamed if THIRDS[0] in name]:
        names = [query.replace(THIRDS[0], third) for third in THIRDS]
        thirds = {name: renamed[name] for name in names if name in renamed}
        shapes = {tuple(tensor.shape) for tensor in thirds.values()}
        if len(thirds) == len(THIRDS) and len(shapes) == 1 and () not in shapes:
            refuse_expanded(path, thirds)
            renamed[query.replace(THIRDS[0], WHOLE)] = torch.cat([renamed.pop(name) for name in names])
    return renamed
