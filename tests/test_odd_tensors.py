"""Files whose tensors have the right names and impossible shapes: refused as any other, never an error of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robust_synthesis.models import CheckpointError
from robust_synthesis.models.third_party import read_third_party
from tests.clip_files import random_clip
from tests.test_families import file_state

NUMBER, EMPTY = torch.tensor(1.0), torch.zeros(0)


@pytest.mark.parametrize(
    ("family", "name", "odd"),
    [
        ("convnext", "stages.1.blocks.0.conv_dw.weight", NUMBER),
        ("convnext_convstem", "stem.stem.3.weight", NUMBER),
        ("cifar_wide_resnet", "conv1.weight", NUMBER),
        ("cifar_wide_resnet", "block2.layer.0.conv1.weight", NUMBER),
        ("vit", "pos_embed", torch.zeros(1, 0, 128)),
        ("vit", "patch_embed.proj.weight", torch.zeros(0, 3, 0, 0)),
        ("xcit", "blocks.0.attn.temperature", NUMBER),
        ("swin", "patch_embed.proj.weight", NUMBER),
        ("swin", "layers.0.blocks.0.attn.relative_position_bias_table", torch.zeros(0, 1)),
        ("swin", "layers.3.blocks.0.attn.relative_position_bias_table", EMPTY),
        ("clip vit", "visual.conv1.weight", NUMBER),
        ("clip vit", "visual.positional_embedding", torch.zeros(0, 128)),
        ("clip vit", "visual.proj", NUMBER),
        ("clip convnext", "visual.head.proj.weight", NUMBER),
        ("clip convnext", "visual.trunk.stages.1.blocks.0.gamma", NUMBER),
        ("clip convnext", "visual.trunk.stages.1.blocks.0.gamma", EMPTY),
    ],
)
def test_a_file_with_an_odd_tensor_is_refused(family: str, name: str, odd: torch.Tensor, tmp_path: Path) -> None:
    kind = family.removeprefix("clip ")
    state = dict(random_clip(kind).state_dict()) if kind != family else file_state(family)
    assert name in state
    torch.save({**state, name: odd}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"^odd\.pth "):
        read_third_party(tmp_path / "odd.pth")
