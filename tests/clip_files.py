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


def write_clip(model: Any, folder: Path, layout: str) -> Path:
    """Write a CLIP in one of `LAYOUTS`."""
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
