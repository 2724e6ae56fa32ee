"""Depthwise convolutions in float32 where a CPU computes their gradients slowly in bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FAST_KERNEL_SIZE = 3
"""The gradients of the weights of larger kernels are slow."""


class Float32OnCPU(nn.Conv2d):
    """A convolution that computes in float32 on a CPU, and returns the precision of the layers around it."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 (torch's name)
        output: Tensor
        if input.device.type != "cpu":
            output = super()._conv_forward(input, weight, bias)
            return output
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        with torch.autocast("cpu", enabled=False):
            output = super()._conv_forward(input.float(), weight.float(), None if bias is None else bias.float())
        return output.to(dtype)


def avoid_slow_gradients(network: nn.Module, weights: bool = False) -> None:
    """Let the depthwise convolutions compute in float32 whose gradients are slow in bfloat16; in place.

    oneDNN, which computes convolutions on CPUs for torch, has no fast bfloat16 code for the gradient of a strided
    depthwise convolution: it takes 10 to 40 times as long as in float32.

    Args:
        network: whose layers have their own or a lower precision by then; the names of its tensors stay.
        weights: whether it is trained, so that the gradients of its weights are needed too.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and 1 < module.groups == module.in_channels:
            large = max(module.kernel_size) > FAST_KERNEL_SIZE
            if max(module.stride) > 1 or (weights and large):
                module.__class__ = Float32OnCPU
