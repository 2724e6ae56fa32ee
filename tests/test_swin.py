"""Swin as timm names it: recognised at all its sizes and in the older names, and equal to timm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import Tensor

from robust_synthesis.models import CheckpointError
from robust_synthesis.models.architectures import ArchitectureError, build_network
from robust_synthesis.models.architectures.swin import WindowAttention
from robust_synthesis.models.recognition import recognise
from robust_synthesis.models.state_dict import weights
from robust_synthesis.models.third_party import read_third_party
from tests.checkpoint_layouts import vary
from tests.test_families import CLASSES, IMAGENET, SMALL, assert_equal, behind

FULL = {
    "swin_tiny_patch4_window7_224": 224,
    "swin_small_patch4_window7_224": 224,
    "swin_base_patch4_window7_224": 224,
    "swin_large_patch4_window7_224": 224,
    "swin_base_patch4_window12_384": 384,
}


def theirs(**sizes: Any) -> Any:
    torch.manual_seed(0)
    small = {"img_size": 64, "window_size": 2, "embed_dim": 16, "num_heads": (1, 2, 2, 4), "depths": (2, 2, 3, 2)}
    network = vary(SwinTransformer(num_classes=CLASSES, **{**small, **sizes}).eval())
    for name, parameter in network.named_parameters():
        if name.endswith("relative_position_bias_table"):
            torch.nn.init.normal_(parameter)
    return network


def older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the authors' files and of timm before 0.8: halving at the end of a stage, buffers among weights."""
    renamed = {}
    for name, tensor in state.items():
        for stage in (1, 2, 3):
            name = name.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")
        renamed[name.replace("head.fc.", "head.")] = tensor
    renamed["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 4, 4)
    renamed["layers.0.blocks.1.attn.relative_position_index"] = torch.zeros(4, 4, dtype=torch.long)
    return renamed


@pytest.mark.parametrize("names", ["timm's", "the older"])
def test_a_file_computes_as_in_timm(tmp_path: Path, names: str) -> None:
    network, path = theirs(), tmp_path / "any.pth"
    state = network.state_dict()
    if names == "the older":
        state = older(state)
        # timm reads them so, too.
        assert checkpoint_filter_fn(state, network).keys() == network.state_dict().keys()
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    ours, sentence = read_third_party(path)
    assert f"a swin with {CLASSES} classes" in sentence
    assert ((ours.card.mean, ours.card.std), ours.input_size) == (IMAGENET, 64)
    assert ours.card.architecture["halving_ends"] == (names == "the older")
    assert_equal(ours, behind(IMAGENET, network), torch.rand(2, 3, 64, 64))
    # Whole windows at another size; now the last stage has several, and shifts them.
    network.set_input_size((128, 192), window_size=2)
    assert_equal(ours, behind(IMAGENET, network), torch.rand(1, 3, 128, 192))


@pytest.mark.parametrize("name", FULL)
def test_the_public_sizes_are_recognised(name: str) -> None:
    with torch.device("meta"):
        network: Any = timm.create_model(name)
    recognised = recognise(Path(f"{name}.pth"), weights(network))
    sizes = recognised.architecture
    assert (sizes["name"], sizes["image_size"], recognised.classes) == ("swin", FULL[name], 1000)
    assert sizes["heads"] == [stage.blocks[0].attn.num_heads for stage in network.layers]
    assert sizes["depths"] == [len(stage.blocks) for stage in network.layers]


def everywhere(attention: WindowAttention, x: Tensor, shift: int) -> Tensor:
    """Attention of all tokens to all, those of other windows excepted; a window begins `shift` before each side."""
    window = attention.window
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in x.shape[1:3]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1)
    starts = torch.tensor([shift if side > window else 0 for side in x.shape[1:3]])
    of_window = (places + starts) // window
    same = (of_window[:, None] == of_window).all(2)
    offsets = (places[:, None] - places).clamp(1 - window, window - 1) + window - 1
    bias = attention.relative_position_bias_table[offsets[..., 0] * (2 * window - 1) + offsets[..., 1]].movedim(2, 0)
    q, k, v = attention.qkv(x).flatten(1, 2).unflatten(2, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.mT / math.sqrt(q.shape[-1]) + bias
    y = scores.masked_fill(~same, -math.inf).softmax(3) @ v
    result: Tensor = attention.proj(y.transpose(1, 2).flatten(2)).unflatten(1, x.shape[1:3])
    return result


@pytest.mark.parametrize("size", [(14, 21), (9, 16), (8, 7), (3, 5), (1, 20)])
@pytest.mark.parametrize("shifted", [False, True])
def test_windows_end_where_the_tokens_end(size: tuple[int, int], shifted: bool) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(16, 2, 7, shifted).eval()
    torch.nn.init.normal_(attention.relative_position_bias_table)
    x = torch.randn(2, *size, 16)
    torch.testing.assert_close(attention(x), everywhere(attention, x, 4 if shifted else 0), rtol=1e-4, atol=1e-5)


def test_a_relative_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relative.pth"
    torch.save({**theirs().state_dict(), "layers.0.blocks.0.attn.logit_scale": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"The nearest is swin, but it has layers\.0\.blocks\.0.* besides"):
        read_third_party(path)
    # Windows of a stage that are smaller than those of the others, as where the images were smaller than 32 windows.
    torch.save(theirs(window_size=(2, 2, 2, 1)).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"The nearest is swin, but layers\.3\.blocks\.0.* is \[1, 4\] instead"):
        read_third_party(path)


@pytest.mark.parametrize(
    "change", [{"depths": [2, 2, 2]}, {"heads": [3, 2, 2, 4]}, {"image_size": 65}, {"halving_ends": 1}, {"width": 0}]
)
def test_an_impossible_description_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureError):
        build_network({"name": "swin", **SMALL["swin"], **change}, 2)
