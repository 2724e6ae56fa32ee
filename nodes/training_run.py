"""Training inside ComfyUI, for Train Robust Classifier."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..training import (
    CardInfo,
    Recipe,
    RunExistsError,
    RunPaths,
    TrainingData,
    TrainingRecord,
    beginning,
    generate_samples,
    read_data,
    train,
)
from ..training import Progress as TrainingProgress
from .comfy.classifiers import STATUS_SECONDS, LoadedClassifier, load_file
from .comfy.execution import empty_device
from .comfy.folders import classifier_file, input_folder, numbered, training_folder
from .comfy.status import Cancelled, Progress, show_status


def train_classifier(folder: str, recipe: Recipe, epochs: int | None, name: str) -> tuple[LoadedClassifier, Tensor]:
    """Train a classifier on a folder of class folders inside ComfyUI's input folder, or resume its training.

    The same folder, recipe and name resume a stopped training. An existing classifier is kept, and the new one gets
    a number. Progress and sample pictures are shown on the node.

    Args:
        folder: its name; a zip file does as well.
        recipe: how to train.
        epochs: overrides the recipe's.
        name: of the classifier's file, without an extension.

    Returns:
        The classifier, and pictures `[B, 3, S, S]` in [0, 1] of its classes.

    Raises:
        ValueError: the name leads out of its folder, or the pictures cannot be trained on.
        RunError: the classifier could not be saved.
    """
    source, wanted = input_folder(folder), classifier_file(name)
    with torch.inference_mode(False), torch.enable_grad():
        data = _read(source, recipe, beginning(RunPaths(wanted, training_folder(wanted))).near_copies)
        device, kept = empty_device(), list[str]()
        for path in numbered(wanted):
            run = RunPaths(path, training_folder(path))
            # Runs of earlier versions resume with the pictures and the stages that they began with.
            begun = beginning(run)
            if data.keeps_near_copies != begun.near_copies:
                data = _read(source, recipe, begun.near_copies)
            as_begun = recipe if begun.stage_two else replace(recipe, contrastive=None)
            info = CardInfo(path.stem, f"'{folder}'")
            try:
                trained = train(data, as_begun, run, info, device, epochs, _Reporter(path.stem))
                break
            except RunExistsError as error:
                logging.info("Robust Synthesis: %s A number is appended to the name.", error)
                kept.append(path.name)
            except Cancelled:
                show_status(f"Stopped. The best so far is {path.name}; run it again to go on.")
                raise
        figures = TrainingRecord.from_dict(trained.card.training).evaluation
        assert figures, "the training has finished"
        others = f" {', '.join(kept)}: kept, being of other pictures or settings." if kept else ""
        # Progress has covered what was left out.
        show_status(
            f"Saved as {path.name}: it recognises {figures.clean_accuracy:.0%} of the pictures kept aside, and "
            f"{figures.robust_accuracy:.0%} of them under attack.{others}\n{data.left_out}".strip()
        )
        loaded = load_file(path)
        loaded.to_device()
        assert loaded.model.seeds, "training fits class seeds"
        return loaded, generate_samples(loaded.model, loaded.model.seeds)


def _read(source: Path, recipe: Recipe, keep_near_copies: bool) -> TrainingData:
    data = read_data(source, recipe.input_size, Progress(), keep_near_copies)
    if str(data.left_out):
        show_status(str(data.left_out))
    return data


class _Reporter:
    """The callback of a training: progress, a message now and then, and the sample pictures."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.progress = Progress()
        self.next_status = 0.0

    def __call__(self, progress: TrainingProgress) -> None:
        self.progress(progress.step, progress.steps, progress.samples)
        if time.monotonic() >= self.next_status:
            self.next_status = time.monotonic() + STATUS_SECONDS
            show_status(f"{self.name}: {progress}")
