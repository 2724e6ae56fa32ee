"""The network of our own: how it halves the size of a picture."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robust_synthesis.models.architectures import ArchitectureError, build_network
from robust_synthesis.models.architectures.narrow_resnet import Downsampling

KINDS = get_args(Downsampling)


def architecture(downsampling: str, stem_stride: int = 2) -> dict[str, Any]:
    return {
        "name": "narrow_resnet",
        "widths": [4, 6, 8],
        "blocks": [1, 1, 2],
        "stem_stride": stem_stride,
        "activation": "silu",
        "downsampling": downsampling,
    }


@given(
    downsampling=st.sampled_from(KINDS),
    stem_stride=st.sampled_from([1, 2]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_a_picture_of_any_size_has_logits(downsampling: str, stem_stride: int, height: int, width: int) -> None:
    network = build_network(architecture(downsampling, stem_stride), 3).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 3)


@pytest.mark.parametrize(("downsampling", "even"), [("strided", False), ("even", True)])
def test_only_even_windows_cover_every_pixel_as_often(downsampling: str, even: bool) -> None:
    first = build_network(architecture(downsampling), 3).get_submodule("conv1")
    torch.nn.init.ones_(first.weight)  # type: ignore[arg-type]
    picture = torch.zeros(1, 3, 12, 12, requires_grad=True)
    first(picture).sum().backward()
    assert picture.grad is not None
    inside = picture.grad[..., 2:-2, 2:-2]
    assert bool((inside == inside[0, 0, 0, 0]).all()) == even


@pytest.mark.parametrize(("downsampling", "blocks"), [("even", True), ("overlapping", False)])
def test_only_averages_that_overlap_leave_no_blocks(downsampling: str, blocks: bool) -> None:
    pool = build_network(architecture(downsampling), 3).get_submodule("layer2.0.pool")
    picture = torch.zeros(1, 1, 12, 12, requires_grad=True)
    (pool(picture) * torch.rand(1, 1, 6, 6)).sum().backward()
    assert picture.grad is not None
    two_by_two = torch.nn.functional.pixel_unshuffle(picture.grad, 2)
    assert bool((two_by_two == two_by_two[:, :1]).all()) == blocks


def test_an_unknown_way_to_halve_is_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"unknown downsampling 'dilated' \(known: strided, even, over"):
        build_network(architecture("dilated"), 3)
