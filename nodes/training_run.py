"""Training inside ComfyUI, for Train Robust Classifier."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from ..training import CardInfo, Recipe, RunExistsError, RunPaths, read_data, train
from ..training import Progress as TrainingProgress
from ..training.samples import painted
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
        data = read_data(source, recipe.input_size, Progress())
        if data.left_out:
            show_status(data.left_out)
        device = empty_device()
        for path in numbered(wanted):
            run = RunPaths(path, training_folder(path))
            try:
                trained = train(
                    data, recipe, run, CardInfo(path.stem, f"'{folder}'"), device, epochs, _Reporter(path.stem)
                )
                break
            except RunExistsError:
                continue
            except Cancelled:
                show_status(f"Stopped. The best so far is {path.name}; run it again to go on.")
                raise
        record = trained.card.training
        show_status(
            f"Saved as {path.name}: it recognises {record['clean_accuracy']:.0%} of the pictures kept aside, and "
            f"{record['robust_accuracy']:.0%} of them under attack."
        )
        loaded = load_file(path)
        loaded.to_device()
        assert loaded.model.seeds, "training fits class seeds"
        return loaded, painted(loaded.model, loaded.model.seeds)


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
