"""Weights by number, and the grammar that classes and features share: `name:0.7, -other`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.001, 1000


class ExpressionError(ValueError):
    """The text names something that does not exist, or is not an expression; the message says what would do."""


@dataclass(frozen=True)
class Mix:
    """Weights of classes or features: an ascent raises those with a positive weight and lowers the others."""

    weights: tuple[tuple[int, float], ...]
    """Pairs of an index and its weight, each index once, no weight zero."""

    @classmethod
    def single(cls, index: int, weight: float = 1.0) -> Mix:
        """A mix of one class or feature."""
        return cls(((index, weight),))

    def vector(self, size: int) -> Tensor:
        """The weights as `[size]`, float32; what is not named has zero."""
        vector = torch.zeros(size)
        for index, weight in self.weights:
            vector[index] = weight
        return vector


def read_weight(number: str, term: str, example: str) -> float:
    """The weight written in a term.

    Raises:
        ExpressionError: it is no number, or out of range.
    """
    try:
        weight = float(number)
    except ValueError:
        raise ExpressionError(f"The weight in '{term}' is not a number. Write it like '{example}:0.7'.") from None
    # Refuses zero, infinity and NaN as well.
    if not SMALLEST_WEIGHT <= abs(weight) <= LARGEST_WEIGHT:
        raise ExpressionError(
            f"The weight in '{term}' must be from {SMALLEST_WEIGHT} to {LARGEST_WEIGHT}, or minus that."
        )
    return weight


def mixed(terms: list[tuple[int, float]], names: dict[int, str]) -> Mix:
    """The sum of terms.

    Raises:
        ExpressionError: the weights of an index cancel each other out.
    """
    weights: dict[int, float] = {}
    for index, weight in terms:
        weights[index] = weights.get(index, 0.0) + weight
    for index, weight in weights.items():
        if abs(weight) < SMALLEST_WEIGHT / 2:
            raise ExpressionError(f"The weights of '{names[index]}' cancel each other out: leave it away.")
    return Mix(tuple(weights.items()))
