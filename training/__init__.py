"""Adversarial training: how the bundled classifiers were made, and how to make one of a folder of pictures."""

from .card import About
from .data import DataError, TrainingData, class_names, read_data
from .recipes import RECIPES, Attack, Recipe
from .run import Place, Progress, RunError, TakenError, train

__all__ = [
    "RECIPES",
    "About",
    "Attack",
    "DataError",
    "Place",
    "Progress",
    "Recipe",
    "RunError",
    "TakenError",
    "TrainingData",
    "class_names",
    "read_data",
    "train",
]
