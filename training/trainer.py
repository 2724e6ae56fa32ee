"""One network in training: its optimizer, learning rate schedule and moving average, resumable to the bit."""

from __future__ import annotations

import contextlib
import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..models import ClassifierCard, ClassSeeds, RobustClassifier, fast_precision, optimize_for_inference
from ..models.depthwise import avoid_slow_gradients
from ..models.network import ClassifierNetwork
from . import distributed

EMA_RAMP = 10
"""Early weights are soon forgotten: the decay of the average is at most step / (step + 10)."""
SEED_STRIDE = 0x9E3779B1
"""Between the seeds of neighbouring recipes, so that their steps share no random numbers."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """Stochastic gradient descent with Nesterov momentum, its schedule, and the average of the weights."""

    steps: int
    learning_rate: float
    """The peak."""
    warmup: float
    """The fraction of the steps, below 1, in which the learning rate rises linearly; then it falls as a cosine."""
    momentum: float
    weight_decay: float
    max_grad_norm: float
    """Gradients are clipped to this L2 norm over all parameters."""
    ema_decay: float
    """The decay of the exponential moving average of the weights."""


class Trainer(ABC):
    """What the stages of a training share.

    All randomness of a step derives from the recipe's seed and the step's number. On a CPU a resumed run is therefore
    bit-identical to one that was never stopped. Of several processes each draws the random numbers of the whole batch,
    and takes its rows: the result is that of one process up to rounding.
    """

    def __init__(
        self, network: ClassifierNetwork, card: ClassifierCard, optimization: Optimization, device: torch.device
    ) -> None:
        """Prepare the first step.

        Args:
            network: to train; it is moved to the device.
            card: of the network, with the normalisation that it expects.
            optimization: how its weights change.
            device: that computes.
        """
        self.card, self.optimization, self.device = card, optimization, device
        # Batch norm's backward pass on Apple's GPU is wrong in channels-last (pytorch issue 175189).
        self.layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        # A classifier that was loaded asks for no gradients of its weights.
        self.network = network.to(device).to(memory_format=self.layout).requires_grad_()
        self.precision = fast_precision(device)
        if self.precision == torch.bfloat16:
            avoid_slow_gradients(self.network, weights=True)
        self.ema: AveragedModel = AveragedModel(
            self.network, multi_avg_fn=_ema_update(optimization.ema_decay), use_buffers=True
        )
        # The first update copies: from here on the average begins with the initial weights.
        self.ema.update_parameters(self.network)
        self.data_parallel = distributed.data_parallel(self.network)
        self.optimizer = torch.optim.SGD(
            _parameter_groups(self.network, optimization.weight_decay),
            optimization.learning_rate,
            optimization.momentum,
            nesterov=True,
        )
        self.scheduler = self._scheduler(0)
        self.step = 0

    @abstractmethod
    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss, and the accuracy on the adversarial pictures of its batch."""

    @property
    def steps(self) -> int:
        """Of the whole stage."""
        return self.optimization.steps

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
        return flat(
            {"network": self.network.state_dict(), "average": self.averaged_network.state_dict(), "momentum": momenta}
        )

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Resume from a `state` after so many steps."""
        self.network.load_state_dict(part(tensors, "network"))
        self.averaged_network.load_state_dict(part(tensors, "average"))
        self.ema.n_averaged.fill_(step + 1)
        momenta = part(tensors, "momentum")
        for name, parameter in self.network.named_parameters():
            if name in momenta:
                momentum = torch.empty_like(parameter).copy_(momenta[name])
                self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.scheduler = self._scheduler(step)
        self.step = step

    def logits(self, images: Tensor) -> Tensor:
        """Logits `[B, classes]` of the network, in the mode in which it is and in the training precision.

        Args:
            images: `[B, 3, S, S]` in [0, 1], those that this process takes of its batch.
        """
        self.data_parallel.train(self.network.training)
        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (self.card.mean, self.card.std)
        )
        reduced = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision) if reduced else contextlib.nullcontext():
            logits: Tensor = self.data_parallel(((images - mean) / std).contiguous(memory_format=self.layout))
        return logits

    def update(self, loss: Tensor) -> None:
        """One step of the optimizer, the schedule and the average."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.optimization.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.ema.update_parameters(self.network)
        self.step += 1

    def _scheduler(self, step: int) -> LambdaLR:
        """Linear warm-up and cosine decay, in closed form, so that it resumes exactly."""
        steps, warmup = self.optimization.steps, self.optimization.warmup
        return LambdaLR(
            self.optimizer, lambda taken: _rel_learning_rate(taken / max(steps, 1), warmup), last_epoch=step - 1
        )


def flat(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of several parts by `part.name`, as a file has them."""
    return {f"{key}.{name}": t.contiguous() for key, tensors in parts.items() for name, t in tensors.items()}


def part(tensors: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """One part of what `flat` gave."""
    return {name.removeprefix(f"{key}."): tensor for name, tensor in tensors.items() if name.startswith(f"{key}.")}


Tensors = tuple[Tensor, ...] | list[Tensor]


def _ema_update(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    def update(averages: Tensors, values: Tensors, updates: Tensor | int) -> None:
        step = int(updates)
        get_ema_multi_avg_fn(min(decay, step / (step + EMA_RAMP)))(averages, values, updates)

    return update


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
