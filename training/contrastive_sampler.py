"""Contrastive pictures: what the sampler makes of random starts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import ClassSeeds, RobustClassifier
from ..synthesis import Mix, TranslateSettings
from ..synthesis.coarse_to_fine import coarse_to_fine
from ..synthesis.objectives import class_loss
from ..synthesis.seeds import detailed_class_seeds, photo_noise
from ..synthesis.tasks.classify import target_covariance
from ..synthesis.tasks.translate import translate_plan
from . import distributed
from .pictures import Pictures

PHOTO_STARTS, NOISE_STARTS = 0.2, 0.1
"""Fractions of the starts: photographs of other classes, and noise; the others are class seeds."""
MAX_SEED = 2**62


class ContrastiveSampler:
    """Makes pictures as the sampler makes them for users, in all of its steps.

    Pictures after only some of the steps still have the fine detail of their start. They would teach that it is not
    real, and the sampler would smooth it away.
    """

    def __init__(self, settings: TranslateSettings, seeds: ClassSeeds, photographs: Pictures) -> None:
        """Prepare.

        Args:
            settings: of the sampler, for images of the classifier's input size.
            seeds: of all classes.
            photographs: of all classes, of the classifier's input size.
        """
        self.settings, self.seeds, self.photographs = settings, seeds, photographs

    def draw(self, classifier: RobustClassifier, count: int) -> tuple[Tensor, Tensor]:
        """Make pictures of random classes; randomness is drawn from torch's global generator.

        Of several processes each makes its own rows, and gets all.

        Args:
            classifier: that is ascended, on the device that is to compute.
            count: how many.

        Returns:
            Images `[B, 3, S, S]` in [0, 1] and their classes `[B]`, on the classifier's device.
        """
        device = classifier.mean.device
        starts, targets = self.starts(count)
        height, width = starts.shape[2:]
        targets = targets.to(device)
        own = distributed.own_rows()
        weights = F.one_hot(targets[own], len(classifier.labels)).float()
        images = coarse_to_fine(
            starts[own].to(device),
            translate_plan(classifier.input_size, height, width, self.settings),
            classifier,
            lambda network: class_loss(network, weights, self.settings.objective),
            covariance=target_covariance(classifier.with_seeds(self.seeds), weights, self.settings.ascent),
        )
        return distributed.gathered(images, count), targets

    def starts(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw images `[B, 3, S, S]` in [0, 1] to start from, and the classes `[B]` to go to."""
        side: int = self.photographs.images.shape[-1]
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
