"""Adversarial training, a step at a time."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
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
from .recipes import FULL_WIDTH_STAGES, Attack, Recipe, TrainingPlan

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PRETRAINED_PREFIXES = ("conv1.", "bn1.", *(f"layer{stage}." for stage in range(1, FULL_WIDTH_STAGES + 1)))
"""Prefixes of the pretrained layers."""
EMA_RAMP = 10
"""Early weights are soon forgotten: the decay of the average is at most step / (step + 10)."""
_SEED_STRIDE = 0x9E3779B1
_PARTS = ("network", "average", "momentum")


class Trainer:
    """Adversarial training (Madry et al., arXiv 1706.06083) of one network on pictures in memory.

    All randomness of a step derives from the recipe's seed and the step's number. On a CPU a resumed run is therefore
    bit-identical to one that was never stopped.
    """

    def __init__(self, pictures: Pictures, labels: tuple[str, ...], plan: TrainingPlan, device: torch.device) -> None:
        """Build the network.

        Args:
            pictures: to train on.
            labels: the names of their classes.
            plan: for so many pictures.
            device: that computes.
        """
        self.pictures, self.plan, self.device = pictures, plan, device
        recipe = plan.recipe
        self.card = ClassifierCard("", plan.architecture, labels, recipe.input_size, IMAGENET_MEAN, IMAGENET_STD)
        # Batch norm's backward pass on Apple's GPU is wrong in channels-last (pytorch issue 175189).
        self.layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self.network = _initial_network(plan, len(labels), device).to(device).to(memory_format=self.layout)
        self.ema: AveragedModel = AveragedModel(
            self.network, multi_avg_fn=_ema_update(recipe.ema_decay), use_buffers=True
        )
        # The first update copies: from here on the average begins with the initial weights.
        self.ema.update_parameters(self.network)
        self.optimizer = torch.optim.SGD(
            _parameter_groups(self.network, recipe.weight_decay), plan.learning_rate, recipe.momentum, nesterov=True
        )
        self.scheduler = self._scheduler(0)
        self.precision = training_precision(device)
        self.augment = _augmentation(recipe)
        self.cutmix = v2.CutMix(num_classes=len(labels))
        self.step = 0

    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss, and the accuracy on the adversarial pictures of its batch."""
        with seeded(self.plan.recipe.seed * _SEED_STRIDE + self.step, self.device):
            images, targets = self._batch()
            images = pgd_attack(self.inference_copy(self.network), images, targets, self._attack())
        logits = self._logits(images)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=self.plan.recipe.label_smoothing)
        self._update(loss)
        self.step += 1
        return float(loss.detach()), float((logits.argmax(1) == targets.argmax(1)).float().mean())

    def inference_copy(self, network: ClassifierNetwork) -> RobustClassifier:
        """A copy of a network as it is now, optimised for inference, on the trainer's device."""
        classifier = RobustClassifier(copy.deepcopy(network), self.card).to(self.device)
        return optimize_for_inference(classifier, self.precision)

    @property
    def averaged_network(self) -> ClassifierNetwork:
        """The exponential moving average of the network."""
        network = self.ema.module
        assert isinstance(network, ClassifierNetwork), "it is a copy of the network"
        return network

    def classifier(self, seeds: ClassSeeds | None = None) -> RobustClassifier:
        """A copy of the averaged network as it is now, in float32 on the CPU."""
        return RobustClassifier(copy.deepcopy(self.averaged_network).cpu(), self.card, seeds)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next steps depend on, beside the number of steps taken."""
        momenta = {
            name: self.optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.network.named_parameters()
            if parameter in self.optimizer.state
        }
        parts = zip(_PARTS, (self.network.state_dict(), self.averaged_network.state_dict(), momenta), strict=True)
        return {f"{part}.{name}": t.contiguous() for part, tensors in parts for name, t in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Resume from a `state` after so many steps."""
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        self.network.load_state_dict(parts["network"])
        self.averaged_network.load_state_dict(parts["average"])
        self.ema.n_averaged.fill_(step + 1)
        for name, parameter in self.network.named_parameters():
            if name in parts["momentum"]:
                momentum = torch.empty_like(parameter).copy_(parts["momentum"][name])
                self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.scheduler = self._scheduler(step)
        self.step = step

    def _scheduler(self, step: int) -> LambdaLR:
        """Linear warm-up and cosine decay, in closed form, so that it resumes exactly."""
        steps, warmup = self.plan.steps, self.plan.recipe.warmup
        return LambdaLR(self.optimizer, lambda taken: _rel_learning_rate(taken / steps, warmup), last_epoch=step - 1)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Augmented images `[B, 3, S, S]` in [0, 1] and class probabilities `[B, classes]`."""
        batch = self.pictures[self._rows()]
        classes = batch.classes.to(self.device)
        images = torch.stack([self.augment(image) for image in batch.images]).to(self.device).float() / 255
        if torch.rand(()) < self.plan.cutmix_prob:
            images, targets = self.cutmix(images, classes)
            return images, targets
        return images, F.one_hot(classes, len(self.card.labels)).float()

    def _rows(self) -> Tensor:
        """The step's batch, by the indices of its pictures: a part of the epoch's permutation."""
        epoch, index = divmod(self.step, self.plan.steps_per_epoch)
        generator = torch.Generator().manual_seed(self.plan.recipe.seed + epoch)
        start = index * self.plan.batch_size
        return torch.randperm(len(self.pictures), generator=generator)[start : start + self.plan.batch_size]

    def _attack(self) -> Attack:
        """The recipe's, with epsilon rising during the warm-up."""
        recipe = self.plan.recipe
        ramp = min(1.0, (self.step + 1) / (self.plan.steps * recipe.warmup)) if recipe.warmup else 1.0
        return replace(recipe.attack, epsilon=recipe.attack.epsilon * ramp)

    def _logits(self, images: Tensor) -> Tensor:
        """Logits `[B, classes]` of the network in training mode, in the training precision."""
        self.network.train()
        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        reduced = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision) if reduced else contextlib.nullcontext():
            logits: Tensor = self.network(((images - mean) / std).contiguous(memory_format=self.layout))
        return logits

    def _update(self, loss: Tensor) -> None:
        """One step of the optimizer, the schedule and the average."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.recipe.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.ema.update_parameters(self.network)


def training_precision(device: torch.device) -> torch.dtype:
    """bfloat16 if the device computes it natively, else float32."""
    if device.type == "cuda":
        # torch.cuda.is_bf16_supported() includes emulation, which is slow.
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = device.type == "cpu" and native_bfloat16()
    return torch.bfloat16 if native else torch.float32


def _initial_network(plan: TrainingPlan, classes: int, device: torch.device) -> ClassifierNetwork:
    with seeded(plan.recipe.seed, device):
        network = build_network(plan.architecture, classes)
    if plan.pretrained:
        weights = load_classifier(bundled_classifiers()[plan.pretrained]).network.state_dict()
        first = {name: tensor for name, tensor in weights.items() if name.startswith(PRETRAINED_PREFIXES)}
        network.load_state_dict(first, strict=False)
    return network


Tensors = tuple[Tensor, ...] | list[Tensor]


def _ema_update(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    def update(averages: Tensors, values: Tensors, updates: Tensor | int) -> None:
        step = int(updates)
        get_ema_multi_avg_fn(min(decay, step / (step + EMA_RAMP)))(averages, values, updates)

    return update


def _augmentation(recipe: Recipe) -> v2.Transform:
    side = recipe.input_size
    transforms: list[nn.Module] = [v2.RandomHorizontalFlip()]
    if recipe.crop_padding:
        transforms.append(v2.RandomCrop(side, padding=recipe.crop_padding, padding_mode="reflect"))
    if recipe.min_crop_scale < 1:
        transforms.append(v2.RandomResizedCrop(side, (recipe.min_crop_scale, 1.0), (0.85, 1.18)))
    if recipe.color_jitter:
        transforms.append(v2.ColorJitter(recipe.color_jitter, recipe.color_jitter, recipe.color_jitter))
    return v2.Compose(transforms)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay applies to convolutions and the last layer, not to batch norms and biases."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _rel_learning_rate(progress: float, warmup: float) -> float:
    """The learning rate as a fraction of its peak: linear warm-up, cosine decay."""
    if progress < warmup:
        return progress / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1 - warmup))
