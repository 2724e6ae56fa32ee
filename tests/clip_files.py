"""CLIPs of open_clip with random weights, and their files in the public layouts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt
from torch import Tensor

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
SMALL: dict[str, dict[str, Any]] = {
    # Two heads of 64 channels.
    "vit": {
        "embed_dim": 48,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 128, "patch_size": 16},
        "text_cfg": TEXT,
    },
    "vit with quick gelu": {
        "embed_dim": 48,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 42, "layers": 3, "width": 64, "patch_size": 14},
        "text_cfg": TEXT,
    },
    # The width and the patches by which OpenAI's L/14 is known.
    "as wide as L/14": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 28, "layers": 1, "width": 1024, "patch_size": 14},
        "text_cfg": TEXT,
    },
    "as wide as H/14": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 28, "layers": 1, "width": 1280, "head_width": 80, "patch_size": 14},
        "text_cfg": TEXT,
    },
    "convnext": {
        "embed_dim": 48,
        "vision_cfg": {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear", "image_size": 256},
        "text_cfg": TEXT,
    },
}
FULL_SIZE = ("ViT-L-14-quickgelu", "ViT-B-16", "ViT-B-32", "ViT-H-14", "convnext_base_w")
LAYOUTS = ("safetensors", "bin", "training checkpoint", "image tower alone")
OF_TRANSFORMERS = ("transformers", "transformers, wrapped", "transformers, image tower alone")
"""Layouts of vision transformers alone."""


@cache
def random_clip(kind: str) -> Any:
    """One of `SMALL`; its norms and scales differ from channel to channel, as trained ones do."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = CLIP(**SMALL[kind])
        if kind == "convnext":
            # timm's own small one has another activation and other norms than those of CLIPs.
            trunk = ConvNeXt(depths=(1, 2, 2, 1), dims=(24, 32, 48, 64), ls_init_value=0.5)
            trunk.reset_classifier(0)
            model.visual.trunk = trunk
        model.eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 1 and "embedding" not in name:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.requires_grad_(False)


def full_size_clip(name: str) -> Any:
    """One of `FULL_SIZE`, without its numbers."""
    folder = Path(open_clip.__file__).parent / "model_configs"
    with torch.device("meta"):
        return CLIP(**json.loads((folder / f"{name}.json").read_text("utf-8")))


def transformers_state(model: Any) -> dict[str, Tensor]:
    """The tensors of a CLIP with a vision transformer, by the names and shapes of transformers' `CLIPModel`."""
    names = {
        "class_embedding": "embeddings.class_embedding",
        "conv1.weight": "embeddings.patch_embedding.weight",
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_pre": "pre_layrnorm",
        "ln_post": "post_layernorm",
        "ln_final": "final_layer_norm",
        "transformer.resblocks": "encoder.layers",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name == "logit_scale":
            state[name] = tensor
        elif name in ("visual.proj", "text_projection"):
            state["visual_projection.weight" if "visual" in name else "text_projection.weight"] = tensor.mT.contiguous()
        else:
            tower, own = ("vision_model", name[7:]) if name.startswith("visual.") else ("text_model", name)
            for ours, theirs in names.items():
                own = own.replace(ours, theirs)
            if "in_proj_" in own:
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    part = own.replace("attn.in_proj_", f"self_attn.{letter}_proj.")
                    state[f"{tower}.{part}"] = third.contiguous()
            else:
                state[f"{tower}.{own}"] = tensor.contiguous()
    return state


def write_of_transformers(model: Any, folder: Path, layout: str) -> Path:
    """Write a CLIP in one of `OF_TRANSFORMERS`."""
    state = transformers_state(model)
    if layout == "transformers":
        save_file(state, folder / "tower.safetensors")
        return folder / "tower.safetensors"
    if layout == "transformers, wrapped":
        # Older files have the numbers of the positions, too, some of them as floats.
        positions = {"vision_model.embeddings.position_ids": torch.arange(5.0)[None].half()}
        content = {f"module.model.{name}": tensor for name, tensor in {**state, **positions}.items()}
        torch.save({"state_dict": content}, folder / "tower.pt")
        return folder / "tower.pt"
    alone = {name: tensor for name, tensor in state.items() if name.startswith(("vision_model.", "visual_projection."))}
    torch.save(alone, folder / "tower_vision.pt")
    return folder / "tower_vision.pt"


def write_clip(model: Any, folder: Path, layout: str) -> Path:
    """Write a CLIP in one of `LAYOUTS`, or of `OF_TRANSFORMERS`."""
    if layout in OF_TRANSFORMERS:
        return write_of_transformers(model, folder, layout)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if layout == "safetensors":
        path = folder / "tower.safetensors"
        save_file(state, path)
        return path
    if layout == "training checkpoint":
        content = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
        torch.save(content, folder / "tower.pt")
        return folder / "tower.pt"
    path = folder / ("tower.bin" if layout == "bin" else "tower_vision.pt")
    visual = {name.removeprefix("visual."): tensor for name, tensor in state.items() if name.startswith("visual.")}
    torch.save(state if layout == "bin" else visual, path)
    return path
