"""Checkpoints with random weights, in the layouts of the public ones."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.network import ClassifierNetwork

Network = TypeVar("Network", bound=nn.Module)
# torchvision's names -> those of the `robustness` library's CIFAR networks.
CIFAR_NAMES = {"downsample": "shortcut", "fc.": "linear."}
ONE_OF_EACH_FAMILY = [
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "cifar_resnet18",
    "vgg11_bn",
    "densenet121",
    "mobilenet_v2",
    "mnasnet1_0",
    "shufflenet_v2_x1_0",
    "vgg11",
    "seresnet50",
    "resnest50d",
    "efficientnet_lite0",
    {"name": "cifar_wide_resnet", "stem": 4, "widths": [16, 20, 24], "depth": 2},
]
MEAN, STD = (0.4717, 0.4499, 0.3837), (0.2600, 0.2516, 0.2575)


def random_network(architecture: str | Mapping[str, Any], classes: int, seed: int = 0) -> ClassifierNetwork:
    """Build a network of a name, or of a description, with random weights; see `vary`."""
    described = {"name": architecture} if isinstance(architecture, str) else architecture
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return vary(build_network(described, classes).eval())


def vary(network: Network) -> Network:
    """Let norms and scales differ from channel to channel, in place."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
        for name, parameter in module.named_parameters(recurse=False):
            # timm's layer scales begin at a millionth.
            if name.startswith("gamma"):
                nn.init.uniform_(parameter, 0.5, 1.0)
            elif name in ("cls_token", "pos_embed"):
                nn.init.normal_(parameter, std=0.5)
    return network


def robustness_state(network: nn.Module, *, cifar: bool = False, wrapped: bool = False) -> OrderedDict[str, Tensor]:
    """Return the state dict of the `robustness` library's AttackerModel in a DataParallel."""
    state: OrderedDict[str, Tensor] = OrderedDict()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    state["module.normalizer.new_mean"], state["module.normalizer.new_std"] = mean, std
    for owner in ("module.model.", "module.attacker.model."):
        if "attacker" in owner:
            state["module.attacker.normalize.new_mean"], state["module.attacker.normalize.new_std"] = mean, std
        for name, tensor in network.state_dict().items():
            if cifar:
                for ours, theirs in CIFAR_NAMES.items():
                    name = name.replace(ours, theirs)
            state[f"{owner}{'model.' if wrapped else ''}{name}"] = tensor
    return state


def write_robustness_checkpoint(
    path: Path,
    architecture: str = "resnet50",
    classes: int = 1000,
    *,
    old: bool = False,
    legacy: bool = False,
    wrapped: bool = False,
    seed: int = 0,
    pickle_module: Any = pickle,
    more: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Write a training checkpoint as the `robustness` library does, with `more` in it, and return its network."""
    network = random_network(architecture, classes, seed)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    for parameter in network.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    content: dict[str, Any] = {
        "state_dict" if old else "model": robustness_state(
            network, cifar=architecture.startswith("cifar"), wrapped=wrapped
        ),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 90,
        "amp": {"loss_scaler0": {"loss_scale": 65536.0, "unskipped": 12}},
        "nat_prec1": 62.83,
        "adv_prec1": torch.tensor(35.2),
    }
    content |= more or {}
    torch.save(content, path, pickle_module=pickle_module, _use_new_zipfile_serialization=not legacy)
    return network


class Normalised(nn.Module):
    """A network behind its normalisation, as RobustBench and many others wrap it, with the buffers' names given."""

    def __init__(
        self,
        network: nn.Module,
        mean: str = "normalize.mean",
        std: str = "normalize.std",
        inner: str = "model",
        shape: tuple[int, ...] = (1, 3, 1, 1),
        scale: float = 1,
    ) -> None:
        super().__init__()
        self.names = mean, std
        self.scale = scale
        self.inner = inner
        self.add_module(inner, network)
        for name, values in ((mean, MEAN), (std, STD)):
            *owners, leaf = name.split(".")
            owner: nn.Module = self
            for part in owners:
                if part not in dict(owner.named_children()):
                    owner.add_module(part, nn.Module())
                owner = owner.get_submodule(part)
            owner.register_buffer(leaf, torch.tensor(values).view(shape) * scale)

    def forward(self, images: Tensor) -> Tensor:
        """Take images in [0, 1], or in [0, `scale`]."""
        mean, std = (self.get_buffer(name).view(1, 3, 1, 1) for name in self.names)
        result: Tensor = self.get_submodule(self.inner)((images - mean) / std)
        return result
