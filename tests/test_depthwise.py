"""Depthwise convolutions whose gradients a CPU computes slowly in bfloat16 compute in float32."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from robust_synthesis.models.depthwise import avoid_slow_gradients
from tests.checkpoint_layouts import random_network

CHANNELS = 8


def images(dtype: torch.dtype) -> Tensor:
    return torch.rand(2, CHANNELS, 12, 12, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()


def depthwise(kernel_size: int, stride: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(CHANNELS, CHANNELS, kernel_size, stride, kernel_size // 2, groups=CHANNELS)


def computed(network: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    output = network(pictures)
    (gradient,) = torch.autograd.grad(output.float().square().sum(), pictures)
    return output, gradient


@pytest.mark.parametrize(("kernel_size", "stride", "weights"), [(3, 2, False), (5, 2, False), (5, 1, True)])
def test_they_round_only_what_they_return(kernel_size: int, stride: int, weights: bool) -> None:
    network = nn.Sequential(depthwise(kernel_size, stride)).to(torch.bfloat16)
    exact = copy.deepcopy(network).float()
    avoid_slow_gradients(network, weights)
    output, gradient = computed(network, images(torch.bfloat16))
    same, _ = computed(exact, images(torch.bfloat16).float().detach().requires_grad_())
    assert output.dtype == gradient.dtype == torch.bfloat16
    assert torch.equal(output, same.to(torch.bfloat16))


def test_they_do_so_beside_layers_of_lower_precision() -> None:
    network = nn.Sequential(depthwise(3, 2), nn.Conv2d(CHANNELS, CHANNELS, 1))
    exact = copy.deepcopy(network[0])
    avoid_slow_gradients(network)
    with torch.autocast("cpu", torch.bfloat16):
        between = network[0](images(torch.float32))
        assert network(images(torch.float32)).dtype == torch.bfloat16
    assert torch.equal(between, exact(images(torch.float32)).to(torch.bfloat16))


@pytest.mark.parametrize(
    "convolution",
    [
        depthwise(3, 1),
        depthwise(5, 1),
        nn.Conv2d(CHANNELS, CHANNELS, 3, 2),
        nn.Conv2d(CHANNELS, CHANNELS, 3, 2, groups=2),
    ],
    ids=["small", "large, without the gradient of its weights", "dense", "grouped"],
)
def test_others_stay_in_bfloat16(convolution: nn.Conv2d) -> None:
    network = nn.Sequential(convolution).to(torch.bfloat16)
    before, _ = computed(network, images(torch.bfloat16))
    avoid_slow_gradients(network)
    assert type(network[0]) is nn.Conv2d
    assert torch.equal(computed(network, images(torch.bfloat16))[0], before)


def test_a_network_keeps_the_names_of_its_tensors() -> None:
    network = random_network("mobilenet_v2", 5)
    names = list(network.state_dict())
    avoid_slow_gradients(network, weights=True)
    assert list(network.state_dict()) == names
    assert any(type(module) is not nn.Conv2d for module in network.modules() if isinstance(module, nn.Conv2d))
