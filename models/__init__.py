"""Robust classifiers: networks, file formats, and where to find them."""

from .catalog import bundled_classifiers as bundled_classifiers
from .classifier import ClassifierCard as ClassifierCard
from .classifier import ClassSeeds as ClassSeeds
from .classifier import RobustClassifier as RobustClassifier
from .combining import combine as combine
from .conversion import Opened as Opened
from .conversion import open_classifier as open_classifier
from .format import load_classifier as load_classifier
from .format import save_classifier as save_classifier
from .optimize import fast_precision as fast_precision
from .optimize import native_bfloat16 as native_bfloat16
from .optimize import optimize_for_inference as optimize_for_inference
from .state_dict import CheckpointError as CheckpointError
