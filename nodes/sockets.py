"""Inputs and outputs that several nodes share."""

from __future__ import annotations

from comfy_api.latest import io

from ..models import RobustClassifier
from ..synthesis import Mix, parse_class_expression

CATEGORY = "robust synthesis"
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF

RobustClassifierSocket = io.Custom("ROBUST_CLASSIFIER")


def classifier_input() -> io.Input:
    return RobustClassifierSocket.Input(
        "classifier", tooltip="The robust classifier that guides the changes, from Load Robust Classifier."
    )


def target_class_input(tooltip: str, default: str = "church") -> io.Input:
    return io.String.Input("target_class", default=default, optional=True, tooltip=tooltip)


def guessable_class_input(guess: str) -> io.Input:
    return target_class_input(
        f"The class to move towards: a name (church), a number, or a mix (sea:0.7, mountain:0.3). Empty: {guess}.", ""
    )


def read_class(target_class: str, classifier: RobustClassifier, may_guess: bool = True) -> Mix | None:
    """The classes of an expression; None for an empty one, where the classifier may guess.

    Raises:
        ExpressionError: the expression names no class of the classifier.
    """
    if may_guess and not target_class.strip():
        return None
    return parse_class_expression(target_class, classifier.card.labels)


def seed_input(tooltip: str) -> io.Input:
    return io.Int.Input(
        "seed", default=0, min=0, max=LARGEST_SEED, control_after_generate=True, optional=True, tooltip=tooltip
    )


def same_seed_input() -> io.Input:
    return io.Boolean.Input(
        "same_seed",
        default=False,
        optional=True,
        advanced=True,
        tooltip="The same seed for every picture of the batch. For the frames of a film: like frames give like "
        "pictures, and nothing flickers. Off: picture n (from 0) uses seed + n.",
    )


def seeds_of_batch(seed: int, count: int, same: bool = False) -> list[int]:
    """One seed for each picture of a batch: picture n uses seed + n, or `same` the seed itself."""
    return [seed if same else (seed + index) % (LARGEST_SEED + 1) for index in range(count)]


def animate_input() -> io.Input:
    return io.Int.Input(
        "animate",
        default=0,
        min=0,
        max=2000,
        optional=True,
        advanced=True,
        tooltip="For a film of how the picture comes about: the output frames gets a picture every so many steps (1: "
        "at each). 0: no film.",
    )


def frames_output() -> io.Output:
    return io.Image.Output(
        "frames",
        tooltip="The film that animate asks for, from the start to the result, one picture of the batch after the "
        "other. Wire it into Create Video or Save Animated WEBP. Without animate: the result. Frames of a picture with "
        "transparency have it too, which Save Video does not take: put Split Image with Alpha between.",
    )
