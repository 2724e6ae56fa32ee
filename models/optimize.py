"""Optimise a loaded classifier for speed: the same function of the image in fewer passes over memory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .classifier import RobustClassifier
from .depthwise import avoid_slow_gradients


def optimize_for_inference(classifier: RobustClassifier, dtype: torch.dtype = torch.float32) -> RobustClassifier:
    """Fold batch norms into convolutions, use the channels-last layout, and compute in `dtype`; in place.

    In float32 the logits stay the same up to rounding. In bfloat16 the last layer, the logits and the images stay in
    float32, and images synthesised with it look the same (PSNR around 50 dB).

    Args:
        classifier: changed in place, so that its weights are no longer those of its file.
        dtype: float32, or bfloat16 where the device computes it natively (see `native_bfloat16`). Not float16, in
            which small gradients underflow.

    Returns:
        The same classifier.
    """
    fold_batch_norms(classifier.network)
    classifier.network.to(dtype=dtype).to(memory_format=torch.channels_last)
    if dtype == torch.bfloat16:
        avoid_slow_gradients(classifier.network)
    # In bfloat16, logits would not change with a small step.
    classifier.network.get_classifier().float()
    return classifier


def native_bfloat16() -> bool:
    """Whether this machine's CPU is known to multiply bfloat16 natively; otherwise float32 is faster."""
    # Older versions of torch lack the function.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def fast_precision(device: torch.device) -> torch.dtype:
    """bfloat16 if the device computes it natively, else float32."""
    if device.type == "cuda":
        # torch.cuda.is_bf16_supported() includes emulation, which is slow.
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = device.type == "cpu" and native_bfloat16()
    return torch.bfloat16 if native else torch.float32


def fold_batch_norms(network: nn.Module) -> None:
    """Fold, in place, each batch norm behind a convolution into the convolution's weights."""
    # Submodules are registered in the order in which they are applied (see ClassifierNetwork), so that a batch norm
    # behind a convolution is applied to the convolution's output.
    for module in network.modules():
        for (first, convolution), (second, norm) in pairwise(module.named_children()):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())
