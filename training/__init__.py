"""Adversarial training: how the bundled classifiers were made, and how to make one of a folder of pictures."""

from .card import CardInfo
from .data import DataError, TrainingData, class_names, read_data
from .recipes import RECIPES, Attack, Recipe
from .run import Progress, RunError, RunExistsError, RunPaths, train

__all__ = [
    "RECIPES",
    "Attack",
    "CardInfo",
    "DataError",
    "Progress",
    "Recipe",
    "RunError",
    "RunExistsError",
    "RunPaths",
    "TrainingData",
    "class_names",
    "read_data",
    "train",
]
