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
from .chains import Chains
from .pictures import Pictures
from .randomness import seeded
from .recipes import TrainingPlan
from .samples import SAMPLER
from .trainer import SEED_STRIDE, Optimization, Trainer, flat, part

AUC_STEPS = 10
"""Over so many steps the area under the curve is measured, at most; over fewer where the chains could not grow to the
sampler's length in half of the training."""
AGREEMENT_RATE = 0.1
"""How much one picture counts in the running agreement of its class."""


class ContrastiveTrainer(Trainer):
    """Dual adversarial training (DAT; arXiv 2510.13872), after stage one.

    Three terms: cross-entropy of adversarial pictures, as in stage one; binary cross-entropy of the energy, real
    pictures against contrastive ones, which are what the sampler makes (see `Chains`); and cross-entropy of the
    contrastive pictures, which keep their class. The batch norms' statistics are frozen. Chains grow by a step whenever
    the area under the curve of the energy, real against contrastive, reaches the threshold. Where the classifier of
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
        sampler = preset(TranslateSettings, SAMPLER).settings
        self.chains = Chains(self.contrastive.batch_size, sampler, self.seeds, pictures)
        self.max_length = sampler.ascent.steps
        self.length = 1
        """Of the chains, in steps."""
        self.auc_steps = max(1, min(AUC_STEPS, self.contrastive.steps // (2 * self.max_length)))
        self.offset = torch.tensor(0.0)
        """Subtracted from the energy: real and contrastive lie around 0 at the start."""
        self.scores = torch.empty(0, 2, self.contrastive.batch_size)
        """Negative energies of the last steps' pictures, real and contrastive."""
        self.agreement = torch.ones(len(card.labels))
        """How many of the last pictures of each class stage one's classifier recognises, from 0 to 1."""

    @property
    def auc(self) -> float | None:
        """Of the last steps: how often a real picture's energy is below a contrastive one's, from 0 to 1.

        None before the first step at a length of chains.
        """
        if not len(self.scores):
            return None
        real, contrastive = self.scores[:, 0].flatten(), self.scores[:, 1].flatten()
        return float((real[:, None] > contrastive[None]).float().mean())

    def advance(self) -> tuple[float, float]:
        """Take the next step; the loss, and the accuracy on the adversarial pictures of its batch."""
        stage = self.contrastive.settings
        with seeded((self.plan.recipe.seed + 1) * SEED_STRIDE + self.step, self.device):
            sampled = self.inference_copy(self.network)
            real, augmented, classes = self._batch()
            own = distributed.own_rows()
            adversarial = pgd_attack(sampled, augmented, classes, self.plan.recipe.attack, own)
            contrastive, targets, ended = self.chains.advance(sampled, self.length)
        if self.length == self.max_length:
            # Shorter chains are not recognised yet.
            self._watch(contrastive[ended], targets[ended])
        # Batch norm's running statistics are of adversarial pictures; three kinds of pictures share this batch.
        self.network.eval()
        count = len(classes)
        real, contrastive, classes, targets = real[own], contrastive[own], classes[own], targets[own]
        logits = self.logits(torch.cat([adversarial, real, contrastive])).float()
        of_adversarial, of_real, of_contrastive = logits.split([len(classes), len(classes), len(targets)])
        # The negative energy: how real the network finds a picture.
        scores = torch.stack([of_real.logsumexp(1), of_contrastive.logsumexp(1)])
        all_scores = distributed.gathered(scores.detach().T, count).T
        if self.step == 0:
            self.offset = all_scores.mean().cpu()
        held = self.agreement.to(self.device) < stage.min_agreement
        margins = scores - self.offset.to(self.device)
        energies = torch.stack([F.softplus(-margins[0]), F.softplus(margins[1])])
        energy = energies.masked_fill(torch.stack([held[classes], held[targets]]), 0).mean(1).sum()
        share = distributed.own_share(len(classes), count)
        loss = share * (
            F.cross_entropy(of_adversarial, classes, label_smoothing=self.plan.recipe.label_smoothing)
            + stage.energy_weight * energy
            + stage.label_weight * F.cross_entropy(of_contrastive, targets)
        )
        self.update(loss)
        self._lengthen(all_scores.cpu())
        return figures_of_all(loss, share * (of_adversarial.argmax(1) == classes).float().mean())

    def state(self) -> dict[str, Tensor]:
        """Everything that the next steps depend on, beside the number of steps taken."""
        watched = {"offset": self.offset, "scores": self.scores, "agreement": self.agreement}
        further = {
            "reference": self.reference_weights,
            "chains": self.chains.state(),
            "watched": {**watched, "length": torch.tensor(self.length)},
        }
        return {**super().state(), **flat(further)}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Resume from a `state` after so many steps, in a trainer that began with the state's `reference`."""
        super().restore(tensors, step)
        self.chains.restore(part(tensors, "chains"))
        watched = part(tensors, "watched")
        self.offset, self.scores, self.agreement = (watched[name] for name in ("offset", "scores", "agreement"))
        self.length = int(watched["length"])

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
        """Update the agreement of the classes of some pictures that the sampler finished."""
        if not len(images):
            return
        with torch.no_grad():
            recognised = (self.reference(images).argmax(1) == targets).float().cpu()
        for target, right in zip(targets.tolist(), recognised, strict=True):
            self.agreement[target] += AGREEMENT_RATE * (right - self.agreement[target])

    def _lengthen(self, scores: Tensor) -> None:
        self.scores = torch.cat([self.scores, scores[None]])[-self.auc_steps :]
        auc = self.auc
        if auc is not None and len(self.scores) == self.auc_steps and auc >= self.contrastive.settings.auc_threshold:
            self.length = min(self.length + 1, self.max_length)
            self.scores = self.scores[:0]
