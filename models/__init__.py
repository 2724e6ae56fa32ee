"""Robust classifiers: the networks, their file format, and where to find them."""

from .catalog import bundled_classifiers
from .checkpoints import CheckpointError, load_classifier, save_classifier
from .classifier import ClassifierCard, ClassSeeds, RobustClassifier
from .conversion import Opened, open_classifier
from .optimize import native_bfloat16, optimize_for_inference

__all__ = [
    "CheckpointError",
    "ClassSeeds",
    "ClassifierCard",
    "Opened",
    "RobustClassifier",
    "bundled_classifiers",
    "load_classifier",
    "native_bfloat16",
    "open_classifier",
    "optimize_for_inference",
    "save_classifier",
]
