"""torchvision's MobileNetV2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torchvision.models import mobilenetv2

from ._conv_norm_activation import ConvNormActivationNetwork
from ._entry import Architecture


class MobileNetV2(ConvNormActivationNetwork, mobilenetv2.MobileNetV2):  # type: ignore[misc]
    """torchvision's MobileNetV2."""

    def last_activation(self, x: Tensor) -> Tensor:
        return F.relu6(x)


ARCHITECTURES = (Architecture("mobilenet_v2", MobileNetV2, classifier="classifier.1"),)
