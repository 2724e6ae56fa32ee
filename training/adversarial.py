"""Stage one: adversarial training, a step at a time."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from ..models import ClassifierCard, RobustClassifier, bundled_classifiers, load_classifier
from ..models.architectures import build_network
from ..models.network import ClassifierNetwork
from ..synthesis import TranslateSettings
from ..synthesis.presets import preset
from . import distributed
from .attack import Logits, pgd_attack, preconditioned_attack
from .data import Pictures
from .fine_tuning import classifier_to_fine_tune, layers_to_fine_tune
from .randomness import seeded
from .recipes import FULL_WIDTH_STAGES, Attack, Recipe, TrainingPlan
from .samples import SAMPLER
from .trainer import SEED_STRIDE, Optimization, Trainer

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PRETRAINED_PREFIXES = ("conv1.", "bn1.", *(f"layer{stage}." for stage in range(1, FULL_WIDTH_STAGES + 1)))
"""Prefixes of the pretrained layers."""


class AdversarialTrainer(Trainer):
    """Adversarial training (Madry et al., arXiv 1706.06083) of one network on pictures in memory."""

    def __init__(self, pictures: Pictures, labels: tuple[str, ...], plan: TrainingPlan, device: torch.device) -> None:
        """Build the network.

        Args:
            pictures: to train on.
            labels: the names of their classes.
            plan: for so many pictures.
            device: that computes.

        Raises:
            ValueError: there are no epochs, and no classifier of these classes to fine-tune.
        """
        self.pictures, self.plan = pictures, plan
        recipe = plan.recipe
        begun = classifier_to_fine_tune(recipe) if recipe.fine_tune else None
        mean, std = (begun.card.mean, begun.card.std) if begun else (IMAGENET_MEAN, IMAGENET_STD)
        card = ClassifierCard("", plan.architecture, labels, recipe.input_size, mean, std)
        optimization = Optimization(
            steps=plan.steps,
            learning_rate=plan.learning_rate,
            warmup=recipe.warmup,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.max_grad_norm,
            ema_decay=recipe.ema_decay,
        )
        super().__init__(_initial_network(plan, labels, begun, device), card, optimization, device)
        self.augment = augmentation(recipe)
        self.cutmix = v2.CutMix(num_classes=len(labels))

    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss, and the accuracy on the adversarial pictures of its batch."""
        with seeded(self.plan.recipe.seed * SEED_STRIDE + self.step, self.device):
            images, targets = self._batch()
            attacked = self.attacked(self.inference_copy(self.network), images, targets)
        share = distributed.own_share(len(attacked), len(targets))
        targets = targets[distributed.own_rows()]
        self.network.train()
        logits = self.logits(attacked)
        loss = share * F.cross_entropy(logits.float(), targets, label_smoothing=self.plan.recipe.label_smoothing)
        self.update(loss)
        return figures_of_all(loss, share * (logits.argmax(1) == targets.argmax(1)).float().mean())

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Augmented images `[B, 3, S, S]` in [0, 1] and class probabilities `[B, classes]`."""
        rows = shuffled_rows(len(self.pictures), self.plan.batch_size, self.step, self.plan.recipe.seed)
        batch = self.pictures[rows]
        classes = batch.classes.to(self.device)
        images = torch.stack([self.augment(image) for image in batch.images]).to(self.device).float() / 255
        if torch.rand(()) < self.plan.cutmix_prob:
            images, targets = self.cutmix(images, classes)
            return images, targets
        return images, F.one_hot(classes, len(self.card.labels)).float()

    def attacked(self, logits_of: Logits, images: Tensor, targets: Tensor) -> Tensor:
        """What images `[B, 3, S, S]` of class probabilities `[B, classes]` become under the attacks of this step.

        Of several processes each attacks its own rows.
        """
        own = distributed.own_rows()
        recipe, plain = self.plan.recipe, self._attack(self.plan.recipe.attack)
        if not recipe.preconditioned_epsilon:
            return pgd_attack(logits_of, images, targets, plain, own)
        strong = self._attack(replace(recipe.attack, norm="l2", epsilon=recipe.preconditioned_epsilon))
        metric = preset(TranslateSettings, SAMPLER).settings.ascent.preconditioning
        # The rows of a batch are in random order.
        half = len(images) // 2
        first = preconditioned_attack(logits_of, images[:half][own], targets[:half][own], strong, metric)
        second = pgd_attack(logits_of, images[half:], targets[half:], plain, distributed.own_rows(half))
        return torch.cat([first, second])

    def _attack(self, attack: Attack) -> Attack:
        """An attack with epsilon rising during the warm-up."""
        warmup = self.plan.recipe.warmup
        ramp = min(1.0, (self.step + 1) / (self.plan.steps * warmup)) if warmup else 1.0
        return replace(attack, epsilon=attack.epsilon * ramp)


def figures_of_all(loss: Tensor, accuracy: Tensor) -> tuple[float, float]:
    """Loss and accuracy of a batch, of each process's share in them."""
    loss, accuracy = distributed.mean_of_all(torch.stack([loss.detach(), accuracy]))
    return float(loss), float(accuracy)


def shuffled_rows(count: int, batch_size: int, step: int, seed: int) -> Tensor:
    """The batch of a step, by the indices of its pictures: a part of its epoch's permutation of `count`."""
    epoch, index = divmod(step, count // batch_size)
    generator = torch.Generator().manual_seed(seed + epoch)
    start = index * batch_size
    return torch.randperm(count, generator=generator)[start : start + batch_size]


def _initial_network(
    plan: TrainingPlan, labels: tuple[str, ...], begun: RobustClassifier | None, device: torch.device
) -> ClassifierNetwork:
    with seeded(plan.recipe.seed, device):
        network = build_network(plan.architecture, len(labels))
    untrained = True
    if begun:
        weights = layers_to_fine_tune(begun, labels)
        untrained = bool(network.load_state_dict(weights, strict=False).missing_keys)
    elif plan.pretrained:
        weights = load_classifier(bundled_classifiers()[plan.pretrained]).network.state_dict()
        first = {name: tensor for name, tensor in weights.items() if name.startswith(PRETRAINED_PREFIXES)}
        network.load_state_dict(first, strict=False)
    if untrained and not plan.epochs:
        raise ValueError(
            "Without epochs the training begins with stage two, of a classifier that has the classes of the pictures: "
            "fine-tune one, or set the epochs to 1 or more."
        )
    return network


def augmentation(recipe: Recipe) -> v2.Transform:
    """Random flips, crops and colours of pictures `[3, S, S]`."""
    side = recipe.input_size
    transforms: list[nn.Module] = [v2.RandomHorizontalFlip()]
    if recipe.crop_padding:
        transforms.append(v2.RandomCrop(side, padding=recipe.crop_padding, padding_mode="reflect"))
    if recipe.min_crop_scale < 1:
        transforms.append(v2.RandomResizedCrop(side, (recipe.min_crop_scale, 1.0), (0.85, 1.18)))
    if recipe.color_jitter:
        transforms.append(v2.ColorJitter(recipe.color_jitter, recipe.color_jitter, recipe.color_jitter))
    return v2.Compose(transforms)
