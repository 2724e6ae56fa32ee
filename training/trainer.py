"""The training loop, a step at a time: attack the classifier, and teach it what the attacked pictures show."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from ..models import (
    ClassifierCard,
    ClassSeeds,
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    native_bfloat16,
    optimize_for_inference,
)
from ..models.architectures import build_network
from ..models.network import ClassifierNetwork
from .attack import pgd_attack
from .data import Pictures
from .randomness import seeded
from .recipes import WIDE_STAGES, Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MORE_SEEDS = 0x9E3779B1
FIRST_STAGES = ("conv1.", "bn1.", *(f"layer{stage}." for stage in range(1, WIDE_STAGES + 1)))
"""How the names of the weights begin that a start gives."""


class Trainer:
    """Adversarial training (Madry et al., arXiv 1706.06083) of one network on pictures in memory.

    Everything random in a step comes from the recipe's seed and the step's number, so that a run that goes on from
    a saved state is, on a CPU, the same to the bit as one that never stopped.
    """

    def __init__(
        self,
        pictures: Pictures,
        labels: tuple[str, ...],
        recipe: Recipe,
        epochs: int,
        device: torch.device,
    ) -> None:
        self.pictures, self.recipe, self.epochs, self.device = pictures, recipe, epochs, device
        self.batch_size = recipe.batch(len(pictures))
        self.steps_an_epoch = len(pictures) // self.batch_size
        self.step = 0
        architecture = recipe.network(len(pictures))
        self.card = ClassifierCard("", architecture, labels, recipe.input_size, MEAN, STD)
        with seeded(recipe.seed, device):
            network = build_network(architecture, len(labels))
        start = recipe.begins_with(len(pictures))
        if start:
            known = load_classifier(bundled_classifiers()[start]).network.state_dict()
            first = {name: tensor for name, tensor in known.items() if name.startswith(FIRST_STAGES)}
            network.load_state_dict(first, strict=False)
        # Batch norm's backward pass on Apple's GPU is wrong in this layout (pytorch issue 175189).
        self.layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self.network = network.to(device).to(memory_format=self.layout)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.SGD(
            _decayed_apart(self.network, recipe.weight_decay), 0.0, recipe.momentum, nesterov=True
        )
        self.precision = training_precision(device)
        self.augment = _augmentation(recipe)
        self.cut_mix = v2.CutMix(num_classes=len(labels))

    @property
    def steps(self) -> int:
        """Of all epochs together."""
        return self.epochs * self.steps_an_epoch

    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss and the accuracy on its attacked pictures."""
        recipe, progress = self.recipe, self.step / self.steps
        batch = self.pictures[self._rows()]
        classes = batch.classes.to(self.device)
        with seeded(recipe.seed * _MORE_SEEDS + self.step, self.device):
            images = torch.stack([self.augment(image) for image in batch.images]).to(self.device).float() / 255
            shares = F.one_hot(classes, len(self.card.labels)).float()
            if torch.rand(()) < recipe.mixing(len(self.pictures)):
                images, shares = self.cut_mix(images, classes)
            ramp = min(1.0, (self.step + 1) / (self.steps * recipe.warm_up)) if recipe.warm_up else 1.0
            attack = replace(recipe.attack, epsilon=recipe.attack.epsilon * ramp)
            images = pgd_attack(self.fast(self.network), images, shares, attack)
        self.network.train()
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        mixed = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision) if mixed else contextlib.nullcontext():
            logits = self.network(((images - mean) / std).contiguous(memory_format=self.layout))
        loss = F.cross_entropy(logits.float(), shares, label_smoothing=recipe.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * self.batch_size / 128 * _schedule(progress, recipe.warm_up)
        self.optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach()), float((logits.argmax(1) == shares.argmax(1)).float().mean())

    def fast(self, network: ClassifierNetwork) -> RobustClassifier:
        """A network as it is now, made fast to climb and to attack."""
        return optimize_for_inference(
            RobustClassifier(copy.deepcopy(network), self.card).to(self.device), self.precision
        )

    def classifier(self, seeds: ClassSeeds | None = None) -> RobustClassifier:
        """The averaged network as it is now, on the CPU."""
        return RobustClassifier(copy.deepcopy(self.average).cpu(), self.card, seeds)

    def state(self) -> dict[str, Tensor]:
        """All that the next steps depend on, besides the number of this one."""
        momenta = {
            name: self.optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.network.named_parameters()
            if parameter in self.optimizer.state
        }
        parts = {"network": self.network.state_dict(), "average": self.average.state_dict(), "momentum": momenta}
        return {f"{part}.{name}": t.contiguous() for part, tensors in parts.items() for name, t in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Go on from a state of `state`, after so many steps."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "momentum": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        for name, parameter in self.network.named_parameters():
            if name in parts["momentum"]:
                momentum = torch.empty_like(parameter).copy_(parts["momentum"][name])
                self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.step = step

    def _rows(self) -> Tensor:
        epoch, place = divmod(self.step, self.steps_an_epoch)
        order = torch.randperm(len(self.pictures), generator=torch.Generator().manual_seed(self.recipe.seed + epoch))
        return order[place * self.batch_size : (place + 1) * self.batch_size]

    def _average(self) -> None:
        # Early weights are soon forgotten.
        decay = min(self.recipe.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - decay)
                else:
                    kept.copy_(now)


def training_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes it natively, else float32."""
    if device.type == "cuda":
        # torch's own answer counts emulation, which is slow.
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = device.type == "cpu" and native_bfloat16()
    return torch.bfloat16 if native else torch.float32


def _augmentation(recipe: Recipe) -> v2.Transform:
    side = recipe.input_size
    chain: list[nn.Module] = [v2.RandomHorizontalFlip()]
    if recipe.crop_padding:
        chain.append(v2.RandomCrop(side, padding=recipe.crop_padding, padding_mode="reflect"))
    if recipe.smallest_crop < 1:
        chain.append(v2.RandomResizedCrop(side, (recipe.smallest_crop, 1.0), (0.85, 1.18)))
    if recipe.colour:
        chain.append(v2.ColorJitter(recipe.colour, recipe.colour, recipe.colour))
    return v2.Compose(chain)


def _decayed_apart(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay for convolutions and the last layer, not for what batch norms and biases add and multiply."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _schedule(progress: float, warm_up: float) -> float:
    """The learning rate, as a share of the highest: up in a line, down in a cosine."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))
