"""Stage two, a step at a time: adversarial training, and an energy that tells real pictures from generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import RobustClassifier
from ..synthesis import TranslateSettings
from ..synthesis.presets import preset
from . import distributed
from .adversarial import augmentation, figures_of_all, shuffled_rows
from .attack import pgd_attack
from .contrastive_sampler import ContrastiveSampler
from .pictures import Pictures
from .randomness import seeded
from .recipes import TrainingPlan
from .samples import SAMPLER
from .trainer import SEED_STRIDE, Optimization, Trainer, flat, part

AUC_STEPS = 10
"""Over so many steps the area under the curve is averaged, at most."""
AGREEMENT_RATE = 0.1
"""How much one picture counts in the running agreement of its class."""


class ContrastiveTrainer(Trainer):
    """Dual adversarial training (DAT; arXiv 2510.13872), after stage one.

    Three terms: cross-entropy of adversarial pictures, as in stage one; binary cross-entropy of the energy, real
    pictures against contrastive ones, which are what the sampler makes (see `ContrastiveSampler`); and cross-entropy of
    the contrastive pictures, which keep their class. The batch norms' statistics are frozen. Where the classifier of
    stage one no longer recognises what is made of a class, the energy term leaves out that class's pictures, real and
    contrastive, until it does.
    """

    def __init__(
        self, pictures: Pictures, classifier: RobustClassifier, plan: TrainingPlan, device: torch.device
    ) -> None:
        """Begin with what stage one made.

        Args:
            pictures: to train on.
            classifier: of stage one, with seeds of all classes, on the CPU.
            plan: with a contrastive stage, for so many pictures.
            device: that computes.
        """
        assert plan.contrastive is not None, "the recipe has a stage two"
        assert classifier.seeds is not None, "stage one fits seeds"
        self.pictures, self.plan, self.contrastive = pictures, plan, plan.contrastive
        stage = self.contrastive.settings
        optimization = Optimization(
            steps=self.contrastive.steps,
            learning_rate=self.contrastive.learning_rate,
            warmup=stage.warmup,
            momentum=plan.recipe.momentum,
            weight_decay=plan.recipe.weight_decay,
            max_grad_norm=stage.max_grad_norm,
            ema_decay=stage.ema_decay,
        )
        self.seeds = classifier.seeds
        card = replace(classifier.card, title="", training={})
        super().__init__(classifier.network, card, optimization, device)
        # A copy, taken before the first step.
        self.reference_weights = {name: t.cpu().clone() for name, t in self.network.state_dict().items()}
        self.reference = self.inference_copy(self.network)
        self.augment = augmentation(plan.recipe)
        self.sampler = ContrastiveSampler(preset(TranslateSettings, SAMPLER).settings, self.seeds, pictures)
        self.offset = torch.tensor(0.0)
        """Subtracted from the energy: real and contrastive lie around 0 at the start."""
        self.aucs = torch.empty(0)
        """Of the last steps, see `auc`."""
        self.agreement = torch.ones(len(card.labels))
        """How many of the last pictures of each class stage one's classifier recognises, from 0 to 1."""

    @property
    def auc(self) -> float | None:
        """Of the last steps: how often a real picture's energy is below a contrastive one's, from 0 to 1.

        None before the first step.
        """
        return float(self.aucs.mean()) if len(self.aucs) else None

    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss, and the accuracy on the adversarial pictures of its batch."""
        stage = self.contrastive.settings
        with seeded((self.plan.recipe.seed + 1) * SEED_STRIDE + self.step, self.device):
            sampled = self.inference_copy(self.network)
            real, augmented, classes = self._batch()
            own = distributed.own_rows()
            adversarial = pgd_attack(sampled, augmented, classes, self.plan.recipe.attack, own)
            contrastive, targets = self.sampler.draw(sampled, self.contrastive.sampled)
        self._watch(contrastive, targets)
        # Batch norm's running statistics are of adversarial pictures; three kinds of pictures share this batch.
        self.network.eval()
        count, sampled_count = len(classes), len(targets)
        real, contrastive, classes, targets = real[own], contrastive[own], classes[own], targets[own]
        logits = self.logits(torch.cat([adversarial, real, contrastive])).float()
        of_adversarial, of_real, of_contrastive = logits.split([len(classes), len(classes), len(targets)])
        # The negative energy: how real the network finds a picture.
        real_scores, contrastive_scores = of_real.logsumexp(1), of_contrastive.logsumexp(1)
        self._compare(
            distributed.gathered(real_scores.detach(), count).cpu(),
            distributed.gathered(contrastive_scores.detach(), sampled_count).cpu(),
        )
        lost, offset = self.agreement.to(self.device) < stage.min_agreement, self.offset.to(self.device)
        real_loss = F.softplus(offset - real_scores).masked_fill(lost[classes], 0).mean()
        contrastive_loss = F.softplus(contrastive_scores - offset).masked_fill(lost[targets], 0).mean()
        share = distributed.own_share(len(classes), count)
        sampled_share = distributed.own_share(len(targets), sampled_count)
        loss = share * (
            F.cross_entropy(of_adversarial, classes, label_smoothing=self.plan.recipe.label_smoothing)
            + stage.energy_weight * real_loss
        ) + sampled_share * (
            stage.energy_weight * contrastive_loss + stage.label_weight * F.cross_entropy(of_contrastive, targets)
        )
        self.update(loss)
        return figures_of_all(loss, share * (of_adversarial.argmax(1) == classes).float().mean())

    def state(self) -> dict[str, Tensor]:
        """Everything that the next steps depend on, beside the number of steps taken."""
        watched = {"offset": self.offset, "aucs": self.aucs, "agreement": self.agreement}
        further = {"reference": self.reference_weights, "watched": watched}
        return {**super().state(), **flat(further)}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Resume from a `state` after so many steps, in a trainer that began with the state's `reference`."""
        super().restore(tensors, step)
        watched = part(tensors, "watched")
        self.offset, self.aucs, self.agreement = (watched[name] for name in ("offset", "aucs", "agreement"))

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Images `[B, 3, S, S]` in [0, 1], the same augmented, and their classes `[B]`."""
        rows = shuffled_rows(
            len(self.pictures), self.contrastive.batch_size, self.step, self.plan.recipe.seed + self.plan.epochs
        )
        batch = self.pictures[rows]
        flipped = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, batch.images, batch.images.flip(3))
        augmented = torch.stack([self.augment(image) for image in batch.images])
        real, changed = (images.to(self.device).float() / 255 for images in (flipped, augmented))
        return real, changed, batch.classes.to(self.device)

    def _watch(self, images: Tensor, targets: Tensor) -> None:
        """Update the agreement of the classes of some pictures that the sampler made."""
        with torch.no_grad():
            recognised = (self.reference(images).argmax(1) == targets).float().cpu()
        for target, right in zip(targets.tolist(), recognised, strict=True):
            self.agreement[target] += AGREEMENT_RATE * (right - self.agreement[target])

    def _compare(self, real: Tensor, contrastive: Tensor) -> None:
        """Note how the negative energies of a step's pictures, real ones and contrastive ones, compare."""
        if self.step == 0:
            self.offset = (real.mean() + contrastive.mean()) / 2
        auc = (real[:, None] > contrastive[None]).float().mean()
        self.aucs = torch.cat([self.aucs, auc[None]])[-AUC_STEPS:]
