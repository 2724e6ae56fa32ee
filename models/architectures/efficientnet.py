"""EfficientNets, and EfficientNet-Lite0, as torchvision builds them; timm's tensor names are read too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import efficientnet

from ._conv_norm_activation import ConvNormActivationNetwork
from ._entry import Architecture

STAGES = 7
TENSORFLOW_EPSILON = 1e-3
"""Of the batch norms that the public weights were trained with."""
# The layers of a block: the first stage's do not widen the image first.
_FIRST = {"conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2", "conv_pw": "2.0"}
_FIRST |= {"bn2": "2.1"}
_OTHERS = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1"}
_OTHERS |= {"se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1"}
RENAMES = {
    r"^conv_stem\.": "features.0.0.",
    r"^bn1\.": "features.0.1.",
    r"^conv_head\.": f"features.{STAGES + 1}.0.",
    r"^bn2\.": f"features.{STAGES + 1}.1.",
    r"^classifier\.(?=weight|bias)": "classifier.1.",
} | {
    rf"^blocks\.{stage}\.(\d+)\.{theirs}\.": rf"features.{stage + 1}.\1.block.{ours}."
    for stage in range(STAGES)
    for theirs, ours in (_OTHERS if stage else _FIRST).items()
}
"""timm's names -> torchvision's."""


class EfficientNet(ConvNormActivationNetwork, efficientnet.EfficientNet):  # type: ignore[misc]
    """torchvision's EfficientNet (Tan and Le, arXiv 1905.11946)."""

    def __init__(self, width: float, depth: float, num_classes: int) -> None:
        settings, last = efficientnet._efficientnet_conf("efficientnet_b0", width_mult=width, depth_mult=depth)
        super().__init__(settings, 0.2, num_classes=num_classes, last_channel=last)

    def last_activation(self, x: Tensor) -> Tensor:
        return F.silu(x)


class SmoothEfficientNetLite(EfficientNet):
    """EfficientNet-Lite0 for synthesis: SiLU instead of ReLU6, a stride of 16 instead of 32, and even windows.

    Where a convolution halves the image, its windows of an even size cover every pixel equally often, so that they
    leave no grid in the gradient (Odena et al., Deconvolution and Checkerboard Artifacts, Distill 2016).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(1.0, 1.0, num_classes)
        _replace(self, efficientnet.SqueezeExcitation, nn.Identity)
        *halving, last = (m for m in self.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2))
        last.stride = (1, 1)
        for convolution in halving:
            convolution.weight = nn.Parameter(mean_of_neighbours(convolution.weight.detach()))
            convolution.kernel_size = (convolution.kernel_size[0] + 1, convolution.kernel_size[1] + 1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = TENSORFLOW_EPSILON


class EfficientNetLite(EfficientNet):
    """EfficientNet-Lite0: without squeeze-and-excitation, and with ReLU6."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(1.0, 1.0, num_classes)
        _replace(self, efficientnet.SqueezeExcitation, nn.Identity)
        _replace(self, nn.SiLU, partial(nn.ReLU6, inplace=True))

    def last_activation(self, x: Tensor) -> Tensor:
        return F.relu6(x)


def mean_of_neighbours(kernel: Tensor) -> Tensor:
    """The kernel `[O, I, K + 1, K + 1]` of the mean of four windows of a kernel `[O, I, K, K]`, one pixel apart."""
    return F.avg_pool2d(F.pad(kernel, (1, 1, 1, 1)), 2, 1)


def _replace(network: nn.Module, old: type[nn.Module], new: Callable[[], nn.Module]) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, old):
                setattr(module, name, new())


_efficientnet = partial(Architecture, classifier="classifier.1", renames=RENAMES)

ARCHITECTURES = (
    _efficientnet("efficientnet_b0", partial(EfficientNet, 1.0, 1.0)),
    _efficientnet("efficientnet_b1", partial(EfficientNet, 1.0, 1.1), input_size=240),
    _efficientnet("efficientnet_b2", partial(EfficientNet, 1.1, 1.2), input_size=260),
    _efficientnet("efficientnet_b3", partial(EfficientNet, 1.2, 1.4), input_size=300),
    _efficientnet("efficientnet_lite0", EfficientNetLite),
    # Third-party files of these tensors are of the one above.
    _efficientnet("smooth_efficientnet_lite0", lambda classes, _: SmoothEfficientNetLite(classes), configurable=True),
)
