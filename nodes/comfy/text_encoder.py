"""Texts as embeddings of a CLIP, by ComfyUI's text encoders: the wired one, or that in a classifier's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...models.clip import LAST_NORM, PROJECTION, SCALE
from .status import Progress

if TYPE_CHECKING:
    from comfy.sd import CLIP as CLIP

TEXTS_AT_ONCE = 32
VOCABULARY = 49408
HEAD_WIDTH = 64
# open_clip's names of some tensors -> ComfyUI's; the last block's is added.
COMPARED = {
    LAST_NORM: "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
}
PLAUSIBLE = (0.05, 20.0)
"""Lengths of the rows of a text projection. Where a file has none, ComfyUI's is not initialised."""


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP's text tower in ComfyUI."""

    clip: CLIP
    key: str
    """Of its tokens among those of the other text encoders of `clip`."""
    inner: Any
    """Its `SDClipModel`."""

    @property
    def width(self) -> int:
        return int(self.inner.transformer.get_input_embeddings().weight.shape[1])


def encoder_of_file(text: Mapping[str, Tensor], quick_gelu: bool) -> TextEncoder:
    """Make a text encoder of the text tower of a classifier's file.

    Args:
        text: see `models.clip.text_tensors`.
        quick_gelu: its activation.

    Raises:
        ValueError: its words are not CLIP's.
    """
    # Imported here, because they take seconds where no server has them yet, and most graphs have no texts.
    import comfy.sd
    import comfy.sd1_clip
    import comfy.utils

    words, width = text["token_embedding.weight"].shape
    if words != VOCABULARY:
        raise ValueError(
            f"The text tower of this CLIP has a vocabulary of its own ({words} words instead of CLIP's {VOCABULARY}), "
            "and ComfyUI has no tokenizer for it."
        )
    config = {
        "hidden_size": width,
        "num_hidden_layers": _layers(text),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": len(text["transformer.resblocks.0.mlp.c_fc.weight"]),
        "hidden_act": "quick_gelu" if quick_gelu else "gelu",
        "max_position_embeddings": len(text["positional_embedding"]),
    }
    # The projection is applied here, because ComfyUI's must be square.
    state = {name: tensor for name, tensor in text.items() if name not in (PROJECTION, SCALE)}
    state = comfy.utils.clip_text_transformers_convert(state, "", "")
    state["text_projection.weight"] = torch.eye(width)
    clip = comfy.sd.CLIP(
        SimpleNamespace(params={}, clip=comfy.sd1_clip.SD1ClipModel, tokenizer=comfy.sd1_clip.SD1Tokenizer),
        parameters=sum(tensor.numel() for tensor in state.values()),
        state_dict=[state],
        model_options={"clip_l_model_config": config},
    )
    return TextEncoder(clip, "l", clip.cond_stage_model.clip_l)


def encoder_in(clip: CLIP, width: int) -> TextEncoder:
    """Find the CLIP of some width among the text encoders of a wired CLIP.

    Raises:
        ValueError: there is none.
    """
    model, found = clip.cond_stage_model, []
    for key in clip.tokenize(""):
        inner = getattr(model, f"clip_{key}", None)
        if inner is not None and hasattr(inner.transformer, "text_model"):
            found.append(TextEncoder(clip, key, inner))
    for encoder in found:
        if encoder.width == width:
            return encoder
    widths = " and ".join(str(encoder.width) for encoder in found) or "none of CLIP's"
    raise ValueError(
        f"The wired text encoder does not fit this classifier: it needs a CLIP whose texts are {width} wide, and the "
        f"wired one's are {widths}. CLIP-L (768) is in Stable Diffusion 1.x, SDXL and Flux. Leave clip unconnected if "
        "the classifier's file has a text tower of its own."
    )


def is_another(encoder: TextEncoder, text: Mapping[str, Tensor]) -> bool:
    """Whether a text encoder is another one than a file's text tower, by some of their tensors, or is patched."""
    if encoder.clip.patcher.patches:
        return True
    last = _layers(text) - 1
    names = {
        **COMPARED,
        f"transformer.resblocks.{last}.mlp.c_fc.weight": f"text_model.encoder.layers.{last}.mlp.fc1.weight",
    }
    theirs = encoder.inner.transformer.state_dict()
    return any(other not in theirs or _differ(text[name], theirs[other]) for name, other in names.items())


def embed_texts(encoder: TextEncoder, projection: Tensor | None, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
    """The embeddings of texts: last layer, final norm, the end token's place, projection.

    Args:
        encoder: of the texts.
        projection: `[width, D]`; None for the encoder's own.
        texts: as they are; parentheses mean nothing.

    Returns:
        `[len(texts), D]`, float32 on the CPU, and the indices of texts that were too long and are cut.

    Raises:
        ValueError: there is no projection.
    """
    clip, inner, progress = encoder.clip, encoder.inner, Progress()
    clip.load_model()
    if projection is None:
        projection = _own_projection(inner)
    cut: list[int] = []
    rows: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = []
            for index, text in enumerate(texts[start : start + TEXTS_AT_ONCE], start):
                # Parentheses would be weights, which the end token does not feel.
                escaped = text.replace("(", "\\(").replace(")", "\\)")
                first, *rest = clip.tokenize(escaped)[encoder.key]
                chunk.append([token for token, *_ in first])
                cut += [index] if rest else []
            inner.reset_clip_options()
            inner.set_clip_options({"projected_pooled": False, "execution_device": clip.patcher.load_device})
            rows.append(inner(chunk)[1].float().cpu() @ projection.float().cpu())
            inner.reset_clip_options()
            progress(min(start + TEXTS_AT_ONCE, len(texts)), len(texts))
    return torch.cat(rows), cut


def _own_projection(inner: Any) -> Tensor:
    weight: Tensor = inner.transformer.text_projection.weight.detach().float().cpu()
    lengths = weight.norm(dim=1)
    low, high = PLAUSIBLE
    made = bool(weight.isfinite().all()) and bool(((lengths > low) & (lengths < high)).all())
    if not made or torch.equal(weight, torch.eye(len(weight))):
        raise ValueError(
            "There is no text_projection, which takes texts to where images are: this classifier's file has no text "
            "tower, and the wired text encoder is from a file without one, as those of Stable Diffusion 1.x are. Take "
            "the classifier's whole file (open_clip's), or wire Load CLIP with a whole CLIP-L."
        )
    return weight.mT


def _layers(text: Mapping[str, Tensor]) -> int:
    return len([name for name in text if name.startswith("transformer.resblocks.") and name.endswith(".ln_1.weight")])


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors differ by more than their roundings."""
    if one.shape != other.shape:
        return True
    tolerance = max(torch.finfo(tensor.dtype).eps for tensor in (one, other, torch.empty(0, dtype=torch.float16)))
    first, second = (tensor.detach().float().cpu() for tensor in (one, other))
    return bool((first - second).norm() > tolerance * first.norm())
