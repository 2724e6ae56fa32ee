"""How a classifier was trained and how good it is: the typed form of `ClassifierCard.training`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .recipes import AttackNorm

_KEYS = {"cutmix_prob": "cut_mix", "pretrained": "began_with"}
"""The fields that have another key in a classifier's file, whose format is older than their names."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The final figures. Accuracies are from 0 to 1."""

    clean_accuracy: float
    robust_accuracy: float
    """At the epsilon of training."""
    robust_accuracies: Mapping[str, float]
    """By epsilon, as text (`"1.5"`)."""
    attack: str
    """In words."""
    measured_on: str
    """The pictures, in words."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What a run writes into the card of its classifier."""

    norm: AttackNorm
    epsilon: float
    pgd_steps: int
    epochs: int
    pictures: int
    """Training pictures."""
    cutmix_prob: float = 0.0
    pretrained: str = ""
    """The bundled classifier that gave the first stages; empty: random weights."""
    fine_tuned: str = ""
    """The classifier that gave every layer but the last, by the name of its file."""
    data: str
    """Where the pictures are from, and on what terms."""
    command: str = ""
    """That trains it again; empty: it was not trained from the command line."""
    minutes: float
    device: str
    epoch: int
    """Of stage one, after which its weights were kept."""
    contrastive_steps: int = 0
    """Of stage two."""
    contrastive_step: int = 0
    """Of these, after which the weights were kept; 0: stage one's were."""
    left_out: str = ""
    """Which files of the folder were not used, and why, in words."""
    evaluation: Evaluation | None = None
    """None: the run has not finished."""

    @classmethod
    def from_dict(cls, training: Mapping[str, Any]) -> TrainingRecord:
        """Read `ClassifierCard.training`; further keys are ignored.

        Raises:
            ValueError: it is not what a run writes, as for classifiers that were trained elsewhere.
        """
        names = {field.name: _KEYS.get(field.name, field.name) for field in fields(cls)}
        figures = {field.name: training[field.name] for field in fields(Evaluation) if field.name in training}
        try:
            evaluation = Evaluation(**figures) if figures else None
            known = {name: training[key] for name, key in names.items() if key in training}
            return cls(**known, evaluation=evaluation)
        except TypeError as error:
            raise ValueError(f"This classifier's card is not of a run of this pack: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """As the card of a classifier's file has it: flat, JSON values only."""
        values = {_KEYS.get(name, name): value for name, value in asdict(self).items() if name != "evaluation"}
        if not self.contrastive_steps:
            del values["contrastive_steps"], values["contrastive_step"]
        return {**values, **(asdict(self.evaluation) if self.evaluation else {"unfinished": True})}
