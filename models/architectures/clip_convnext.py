"""The ConvNeXt tower of open_clip: timm's trunk without its classifier, and a linear projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..network import whole_strides
from ._clip import CLIP_MEAN, CLIP_STD, ClipTower, layer_norm, text_layer
from ._entry import Architecture, ArchitectureError, read_integer, read_integers
from ._tokens import EPSILON
from .convnext import STRIDE, patch_stem, stages


class Trunk(nn.Module):
    """Stem, stages, and the norm that is applied after pooling."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = patch_stem(widths[0])
        self.stages = stages(widths, depths)
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(widths[-1], EPSILON)})

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.stages(self.stem(x))
        return result


class ClipConvNeXt(ClipTower):
    """open_clip's `convnext_*_w` image tower. Its features are the last stage's maps `[B, width, h, w]`."""

    def __init__(self, classes: int, widths: tuple[int, ...], depths: tuple[int, ...], embed_dim: int) -> None:
        super().__init__()
        self.trunk = Trunk(widths, depths)
        self.head = nn.ModuleDict({"proj": nn.Linear(widths[-1], embed_dim, bias=False)})
        self.classes = text_layer(embed_dim, classes)

    def forward_features(self, x: Tensor, fake_relu: bool = False) -> Tensor:  # noqa: ARG002 (no last activation)
        result: Tensor = self.trunk(whole_strides(x, STRIDE))
        return result

    def embed_image(self, features: Tensor) -> Tensor:
        return self._embed(features.mean((2, 3), dtype=self.classes.weight.dtype))

    def embed_positions(self, features: Tensor) -> Tensor:
        return self._embed(features.movedim(1, -1)).movedim(-1, 1)

    def _embed(self, features: Tensor) -> Tensor:
        norm, proj = self.trunk.head["norm"], self.head["proj"]
        assert isinstance(norm, nn.LayerNorm)
        assert isinstance(proj, nn.Linear)
        dtype = self.classes.weight.dtype
        return layer_norm(features, norm, dtype) @ proj.weight.mT.to(dtype)


def build_clip_convnext(classes: int, hyperparameters: Mapping[str, Any]) -> ClipConvNeXt:
    """Build the network with random weights.

    Args:
        classes: the number of texts; 0: none yet.
        hyperparameters: `widths` and `depths` of the stages, and `embed_dim`.

    Raises:
        ArchitectureError: a hyperparameter is missing or out of range.
    """
    widths = read_integers(hyperparameters, "widths", 1, 4096)
    depths = read_integers(hyperparameters, "depths", 1, 128)
    if len(widths) != len(depths):
        raise ArchitectureError(f"{len(widths)} widths but {len(depths)} depths")
    return ClipConvNeXt(classes, widths, depths, read_integer(hyperparameters, "embed_dim", 1, 8192))


ARCHITECTURES = (
    Architecture(
        "clip_convnext",
        build_clip_convnext,
        configurable=True,
        classifier="classes",
        input_size=256,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        takes_texts=True,
    ),
)
