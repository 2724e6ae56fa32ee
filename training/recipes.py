"""How to train, as data: named recipes, and the plan that a recipe gives for a number of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from ..synthesis import TranslateSettings
from ..synthesis.constraints import Constraint
from ..synthesis.presets import preset
from .samples import SAMPLER

AttackNorm = Literal["l2", "linf"]
MIN_STEPS_PER_EPOCH, MIN_BATCH_SIZE = 20, 16
REFERENCE_BATCH_SIZE = 128
SMALL_DATA = 5000
"""Fewer training pictures than this get the smaller network, the pretrained layers and their own CutMix."""
FULL_WIDTH_STAGES = 3
"""The first stages keep their widths in the smaller network, so that pretrained layers fit."""


@dataclass(frozen=True)
class Attack:
    """Projected gradient ascent of the classifier's cross-entropy (PGD; Madry et al., arXiv 1706.06083).

    Raises:
        ValueError: a value out of its range.
    """

    norm: AttackNorm
    epsilon: float
    """The radius of the ball, for pixel values in [0, 1]: of the whole picture for `l2`, of each value for `linf`."""
    steps: int
    rel_step_size: float
    """The step size as a fraction of epsilon, in (0, 4]."""
    restarts: int = 1
    """Random restarts; the worst case counts."""

    def __post_init__(self) -> None:
        if self.norm not in get_args(AttackNorm):
            raise ValueError(f"An attack stays in a ball: its norm is l2 or linf, not {self.norm}.")
        if self.steps < 1 or self.restarts < 1:
            raise ValueError(f"An attack has {self.steps} steps and {self.restarts} restarts; each must be 1 or more.")
        if not 0 < self.rel_step_size <= 4:
            raise ValueError(f"The step size is {self.rel_step_size} of epsilon; it must be above 0, and 4 at most.")
        self.constraint  # noqa: B018 (it checks epsilon)

    @property
    def constraint(self) -> Constraint:
        """The ball around each picture."""
        return Constraint(self.norm, self.epsilon)

    @property
    def passes(self) -> int:
        """Of a picture through the network and back in one step of training, the attack's included."""
        return self.steps * self.restarts + 1


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Stage two: dual adversarial training (DAT; arXiv 2510.13872), see `contrastive.ContrastiveTrainer`."""

    rel_work: float = 0.25
    """The work of its steps, as a fraction of that of stage one's."""
    steps: int = 0
    """How many, whatever the work of stage one; 0: see `rel_work`."""
    batch_size: int = 48
    """The largest, of adversarial pictures and of real ones."""
    rel_sampled: float = 1 / 3
    """Contrastive pictures in a batch, as a fraction of its adversarial ones: each takes all the sampler's steps."""
    learning_rate: float = 0.006
    """The peak, for a batch of 48; it is scaled linearly with the batch size."""
    warmup: float = 0.05
    max_grad_norm: float = 2.0
    ema_decay: float = 0.99
    energy_weight: float = 0.2
    """Of the binary cross-entropy of the energy, real pictures and contrastive ones. Its gradients are large, and are
    clipped together with the others': a large weight costs robust accuracy."""
    label_weight: float = 0.5
    """Of the cross-entropy of contrastive pictures; that of adversarial pictures has 1."""
    min_agreement: float = 0.6
    """A class of which stage one's classifier recognises fewer contrastive pictures has no energy term."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is trained, whatever the pictures; `plan` resolves what depends on how many there are."""

    summary: str
    """What it is for, in a few words."""
    architecture: Mapping[str, Any]
    """A `narrow_resnet`, unless a classifier is fine-tuned; see `models.architectures.build_network`."""
    input_size: int
    """Height and width of the pictures, in pixels."""
    attack: Attack
    samples_seen: int
    """How many pictures the network sees in all, repeats counted: fewer pictures get more epochs."""
    max_epochs: int
    batch_size: int = REFERENCE_BATCH_SIZE
    """The largest; few pictures get smaller batches."""
    learning_rate: float = 0.2
    """The peak, for a batch of 128; it is scaled linearly with the batch size."""
    warmup: float = 0.1
    """The fraction of the steps, below 1, in which the learning rate and epsilon rise linearly."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 5.0
    """Gradients are clipped to this L2 norm over all parameters."""
    ema_decay: float = 0.995
    """The decay of the exponential moving average of the weights; the average is the classifier that is kept."""
    label_smoothing: float = 0.0
    crop_padding: int = 8
    """Random crops of the picture padded by so many pixels."""
    min_crop_scale: float = 1.0
    """Random resized crops of at least this fraction of the area; 1: none."""
    color_jitter: float = 0.0
    """How much brightness, contrast and saturation vary, each as a fraction."""
    cutmix_prob: float = 0.0
    """The probability that a batch is mixed by CutMix (Yun et al., arXiv 1905.04899), which reduces robust overfitting
    (Rebuffi et al., arXiv 2111.05328)."""
    small_data_cutmix_prob: float = 0.0
    """The same for fewer than `SMALL_DATA` pictures: CutMix costs simple patterns their shapes."""
    seed: int = 0
    pretrained: str = ""
    """The bundled classifier that gives the first stages of a network for fewer than `SMALL_DATA` pictures; empty:
    random weights. Robust features transfer well (Salman et al., arXiv 2007.08489)."""
    fine_tune: str = ""
    """The classifier that gives every layer but the last, whatever the number of pictures, and the normalisation: the
    name of a bundled one, or the path of a file; see `fine_tuning`. Empty: see `pretrained`."""
    preconditioned_epsilon: float = 0.0
    """Above 0: in stage one half of each batch is attacked in an L2 ball of this radius instead, along the gradients
    that the sampler follows (see `samples.SAMPLER` and `synthesis.preconditioning`), and without a random start."""
    contrastive: Contrastive | None = None
    """Stage two; None: only stage one."""

    def plan(self, count: int, epochs: int | None = None) -> TrainingPlan:
        """The training on `count` pictures.

        Args:
            count: training pictures, 1 or more.
            epochs: of stage one, instead of the recipe's; 0: the classifier that is fine-tuned goes to stage two.
        """
        few = count < SMALL_DATA
        small = few and not self.fine_tune
        architecture = dict(self.architecture)
        if small:
            # Half the width in the last stages: a wider network overfits.
            widths = architecture["widths"]
            narrowed = [width // 2 for width in widths[FULL_WIDTH_STAGES:]]
            architecture["widths"] = [*widths[:FULL_WIDTH_STAGES], *narrowed]
        batch_size = self.batch_size
        while batch_size > MIN_BATCH_SIZE and count < batch_size * MIN_STEPS_PER_EPOCH:
            batch_size //= 2
        batch_size = min(batch_size, count)
        if epochs is None:
            epochs = max(1, min(round(self.samples_seen / count), self.max_epochs))
        passes = epochs * (count // batch_size) * batch_size * self.attack.passes
        return TrainingPlan(
            recipe=self,
            pictures=count,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=self.learning_rate * batch_size / REFERENCE_BATCH_SIZE,
            architecture=architecture,
            cutmix_prob=self.small_data_cutmix_prob if few else self.cutmix_prob,
            pretrained=self.pretrained if small else "",
            contrastive=None if self.contrastive is None else _contrastive_plan(self.contrastive, self, count, passes),
        )


@dataclass(frozen=True, kw_only=True)
class ContrastivePlan:
    """Stage two resolved for a number of training pictures."""

    settings: Contrastive
    steps: int
    batch_size: int
    sampled: int
    """Contrastive pictures in a batch."""
    learning_rate: float
    """The peak, for this batch size."""
    passes: int
    """Of one picture through the network and back, in one step."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A recipe resolved for a number of training pictures."""

    recipe: Recipe
    pictures: int
    epochs: int
    batch_size: int
    learning_rate: float
    """The peak, for this batch size."""
    architecture: Mapping[str, Any]
    cutmix_prob: float
    pretrained: str
    """The bundled classifier that gives the first stages; empty: random weights."""
    contrastive: ContrastivePlan | None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches only."""
        return self.pictures // self.batch_size

    @property
    def steps(self) -> int:
        """Of all epochs together."""
        return self.epochs * self.steps_per_epoch


def _contrastive_plan(settings: Contrastive, recipe: Recipe, count: int, passes: int) -> ContrastivePlan:
    """Stage two for so many pictures, after stage one's `passes` through the network and back."""
    batch_size = min(settings.batch_size, count)
    sampled = math.ceil(settings.rel_sampled * batch_size)
    sampler = preset(TranslateSettings, SAMPLER).settings.ascent
    # Adversarial pictures, real ones, and contrastive ones.
    passes_per_step = batch_size * (recipe.attack.passes + 1) + sampled * (sampler.steps + 1)
    return ContrastivePlan(
        settings=settings,
        steps=settings.steps or max(1, round(settings.rel_work * passes / passes_per_step)),
        batch_size=batch_size,
        sampled=sampled,
        learning_rate=settings.learning_rate * batch_size / settings.batch_size,
        passes=passes_per_step,
    )


def _recipe(summary: str, widths: list[int], blocks: list[int], **settings: Any) -> Recipe:
    architecture = {
        "name": "narrow_resnet",
        "widths": widths,
        "blocks": blocks,
        "stem_stride": 2,
        "activation": "silu",
        "downsampling": "overlapping",
    }
    return Recipe(summary=summary, architecture=architecture, contrastive=Contrastive(), **settings)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "quick": _recipe(
            "small and soon done, two hours at most on two CPU cores with bfloat16, four without",
            [32, 64, 128, 256, 384],
            [1, 1, 1, 1, 1],
            input_size=96,
            attack=Attack("l2", 1.5, 2, 0.94),
            samples_seen=400_000,
            max_epochs=32,
            cutmix_prob=0.5,
            pretrained="canvas",
        ),
        "good": _recipe(
            "half as wide again, and a stronger attack; a night on two CPU cores, minutes on a GPU",
            [48, 96, 192, 384, 512],
            [1, 1, 2, 2, 1],
            input_size=96,
            attack=Attack("l2", 1.5, 3, 0.6),
            samples_seen=1_000_000,
            max_epochs=200,
            ema_decay=0.999,
            min_crop_scale=0.5,
        ),
        "best": _recipe(
            "as large as a ResNet-18, 128 pixels, seven attack steps; for a GPU",
            [64, 128, 256, 512],
            [2, 2, 2, 2],
            input_size=128,
            attack=Attack("l2", 2.0, 7, 0.25),
            samples_seen=2_000_000,
            max_epochs=300,
            batch_size=256,
            ema_decay=0.999,
            min_crop_scale=0.5,
        ),
    }
)
