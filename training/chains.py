"""Contrastive pictures: what the sampler makes of random starts, a few of its steps at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import ClassSeeds, RobustClassifier
from ..synthesis import Mix, TranslateSettings
from ..synthesis.ascent import ascend
from ..synthesis.objectives import class_loss
from ..synthesis.seeds import detailed_class_seeds, photo_noise
from ..synthesis.tasks.classify import target_covariance
from . import distributed
from .pictures import Pictures
from .recipes import CHAIN_STEPS

GROUPS = 3
"""Chains that take their steps together. How many steps is random, so that the groups do not go in step."""
PHOTO_STARTS, NOISE_STARTS = 0.2, 0.1
"""The fractions of chains that start from photographs of other classes, and from noise; the others from class seeds."""
MAX_SEED = 2**62


class Chains:
    """Persistent chains of the sampler (Tieleman, ICML 2008, for Boltzmann machines): each goes on from where it was,
    with the network as it is by then, and starts anew when it is as long as chains may be."""

    def __init__(self, count: int, settings: TranslateSettings, seeds: ClassSeeds, photographs: Pictures) -> None:
        """Prepare chains that begin with the next `advance`.

        Args:
            count: how many, at least as many as there are groups.
            settings: of the sampler, for images of the classifier's input size.
            seeds: of all classes.
            photographs: of all classes, of the classifier's input size.
        """
        self.settings, self.seeds, self.photographs = settings, seeds, photographs
        side = photographs.images.shape[-1]
        self.ascent = replace(settings.ascent.at_size(side, side), keep_best=False)
        self.images = torch.zeros(count, 3, side, side)
        self.targets = torch.zeros(count, dtype=torch.long)
        self.taken = torch.full((GROUPS,), -1)
        """Steps of each group's chains; -1: they have to start."""

    def advance(self, classifier: RobustClassifier, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Let every chain take a few steps; randomness is drawn from torch's global generator.

        Args:
            classifier: that the sampler ascends, on the device that is to compute.
            length: how many steps a chain takes before it starts anew.

        Returns:
            Images `[B, 3, S, S]` in [0, 1] on the classifier's device, their classes `[B]`, and which have just
            reached the full length `[B]`.
        """
        device = classifier.mean.device
        ended = torch.zeros(len(self.targets), dtype=torch.bool)
        for group, rows in enumerate(torch.arange(len(self.targets)).chunk(GROUPS)):
            taken = int(self.taken[group])
            if taken < 0 or taken >= length:
                self.images[rows], self.targets[rows] = self._starts(len(rows))
                taken = 0
            steps = min(int(torch.randint(1, 2 * CHAIN_STEPS, ())), length - taken)
            self._ascend(classifier, rows[rows % distributed.world_size() == distributed.rank()], taken, steps)
            self.taken[group] = taken + steps
            ended[rows] = taken + steps >= length
        self.images = distributed.gathered(self.images[distributed.own_rows()], len(self.images))
        return self.images.to(device), self.targets.to(device), ended.to(device)

    def _ascend(self, classifier: RobustClassifier, rows: Tensor, taken: int, steps: int) -> None:
        """Take the chains of some rows some steps on."""
        if not len(rows):
            # Of fewer chains in a group than there are processes.
            return
        device = classifier.mean.device
        weights = F.one_hot(self.targets[rows], len(classifier.labels)).float().to(device)
        images = ascend(
            self.images[rows].to(device),
            class_loss(classifier, weights, self.settings.objective),
            self.ascent,
            covariance=target_covariance(classifier.with_seeds(self.seeds), weights, self.ascent),
            steps=range(taken, taken + steps),
        )
        self.images[rows] = images.cpu()

    def state(self) -> dict[str, Tensor]:
        """What the next `advance` depends on."""
        return {"images": self.images, "targets": self.targets, "taken": self.taken}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        self.images, self.targets, self.taken = (state[name].clone() for name in ("images", "targets", "taken"))

    def _starts(self, count: int) -> tuple[Tensor, Tensor]:
        """Images `[B, 3, S, S]` in [0, 1] to start from, and the classes `[B]` to go to."""
        side = self.images.shape[-1]
        targets = torch.randint(len(self.seeds.classes), (count,))
        kinds = torch.rand(count)
        images = []
        for target, kind in zip(targets.tolist(), kinds.tolist(), strict=True):
            seed = int(torch.randint(MAX_SEED, ()))
            if kind < PHOTO_STARTS:
                images.append(self._photograph_of_another(target))
            elif kind < PHOTO_STARTS + NOISE_STARTS:
                images.append(photo_noise(side, side, [seed])[0])
            else:
                images.append(detailed_class_seeds(self.seeds, Mix.single(target), side, side, [seed])[0])
        return torch.stack(images), targets

    def _photograph_of_another(self, target: int) -> Tensor:
        while True:
            row = int(torch.randint(len(self.photographs), ()))
            if self.photographs.classes[row] != target:
                return self.photographs.images[row].float() / 255
