"""Robust classifiers: the networks, their file format, and where to find them."""

from .catalog import bundled_classifiers
from .checkpoints import CheckpointError, load_classifier, save_classifier
from .classifier import ClassifierCard, ClassSeeds, RobustClassifier

__all__ = [
    "CheckpointError",
    "ClassSeeds",
    "ClassifierCard",
    "RobustClassifier",
    "bundled_classifiers",
    "load_classifier",
    "save_classifier",
]
