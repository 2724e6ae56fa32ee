"""Classifiers in ComfyUI: listed, downloaded, loaded into memory that ComfyUI manages, saved."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import comfy.model_patcher
import torch
from comfy.cli_args import args

from ...models import RobustClassifier, native_bfloat16, open_classifier, optimize_for_inference, save_classifier
from ...models.architectures._clip import ClipTower
from ...models.catalog import CatalogFile, Choice, choices, find, user_classifiers
from ...models.clip import text_tensors
from ...models.combining import combine
from ...models.conversion import independent, side_files
from ...models.download import download
from ...models.files import is_file
from ...models.format import files_of
from ...models.sidecar import DataConfig
from ...models.thumbnails import sheet_of
from .folders import classifier_file, classifier_folders, numbered
from .status import Progress, show_status

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

STATUS_SECONDS = 1.0


@dataclass(frozen=True)
class Combination:
    """Two classifiers that are one; see `models.combining.combine`."""

    first: LoadedClassifier
    second: LoadedClassifier
    weight: float


@dataclass(frozen=True)
class LoadedClassifier:
    """The value of a ROBUST_CLASSIFIER socket."""

    opened: RobustClassifier
    """The classifier, or a CLIP's image tower, which has no classes yet."""
    patcher: ModelPatcher
    """ComfyUI's handle on the memory of `opened`."""
    source: Path
    """The file it was loaded from, whose weights have their full precision."""
    own_classes: bool = True
    """Whether its classes are those of its file."""
    combined: Combination | None = None
    """What it was made of, of which `source` is only the first one's file."""

    @property
    def model(self) -> RobustClassifier:
        """The classifier.

        Raises:
            ValueError: it has no classes.
        """
        if not self.opened.card.labels:
            raise ValueError(
                f"'{self.opened.card.title}' is the image tower of a CLIP and has no classes yet: put Classes from "
                "Text between it and this node, and write them there."
            )
        return self.opened

    @property
    def device(self) -> torch.device:
        """The device that the classifier computes on, once `to_device` was called."""
        device: torch.device = self.patcher.load_device
        return device

    def to_device(self, memory: float = 0) -> None:
        """Move the classifier to its device, and let ComfyUI free so many bytes beside it."""
        mm.load_models_gpu([self.patcher], memory_required=memory)
        if not self.own_classes:
            # A last layer that was made of texts is not the patcher's.
            self.opened.network.get_classifier().to(self.device)


def classifier_choices() -> dict[str, Choice]:
    """All classifiers that can be loaded: the bundled ones, the user's files, those to download."""
    return choices(classifier_folders())


def classifier_choice(name: str) -> Choice:
    """The classifier of a name.

    Raises:
        LookupError: there is none; the message has the nearest names.
    """
    return find(name, classifier_folders())


def classifier_version(name: str) -> object:
    """A value that changes when the files that `load` reads for this name change."""
    try:
        choice = classifier_choice(name)
    except LookupError:
        return name
    beside = side_files(choice.path) if choice.path else []
    # What is downloaded is what its hash says, before and after that.
    own = files_of(choice.path) if choice.path and not choice.download else []
    files = [file for file in (*own, *beside) if is_file(file)]
    return name, [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]


def load(choice: Choice, given: DataConfig | None = None) -> LoadedClassifier:
    """Load a classifier, and download it before if it is not on this machine.

    Args:
        choice: which.
        given: see `open_classifier`.

    Raises:
        DownloadError: it could not be downloaded.
        CheckpointError: the file is not a classifier this pack can read.
    """
    path = choice.path
    notes: list[str] = []
    if path is None:
        assert choice.download, "a classifier without a file is in the catalogue"
        path = _download(choice.download, notes)
        show_status(f"{path.name} is here. Reading it ...")
    return load_file(path, choice.download.about if choice.download else None, given, notes)


def load_file(
    path: Path,
    about: Mapping[str, Any] | None = None,
    given: DataConfig | None = None,
    notes: Sequence[str] = (),
) -> LoadedClassifier:
    """Load a classifier from a file, optimised for inference in the precision that suits the device.

    Args:
        path: the file.
        about: see `open_classifier`.
        given: see `open_classifier`.
        notes: sentences for the user about how the file came.

    Raises:
        CheckpointError: the file is not a classifier this pack can read.
    """
    # Tensors made in inference mode cannot take part in a backward pass.
    with torch.inference_mode(False):
        opened = open_classifier(path, about, given)
        if sentences := [*notes, *opened.notes]:
            show_status("\n".join(sentences))
        model = opened.classifier
        return LoadedClassifier(model, _managed(model), opened.source)


def combine_loaded(first: LoadedClassifier, second: LoadedClassifier, weight: float) -> LoadedClassifier:
    """Two classifiers as one; see `models.combining.combine`.

    Raises:
        CombineError: they cannot be combined.
        ValueError: one has no classes.
    """
    for loaded in (first, second):
        loaded.model  # noqa: B018 (it checks that there are classes)
    combination = Combination(first, second, weight)
    with torch.inference_mode(False):
        model = _combined(combination)
        return LoadedClassifier(model, _managed(model), first.source, combined=combination)


def _managed(model: RobustClassifier) -> ModelPatcher:
    """Optimise a classifier for inference, and let ComfyUI manage its memory."""
    device = mm.get_torch_device()
    optimize_for_inference(model, _precision(device, sum(parameter.numel() for parameter in model.parameters())))
    return comfy.model_patcher.CoreModelPatcher(model, load_device=device, offload_device=mm.unet_offload_device())


def _combined(combination: Combination) -> RobustClassifier:
    first, second = (_in_full_precision(loaded) for loaded in (combination.first, combination.second))
    return combine(first, second, combination.weight)


def _in_full_precision(loaded: LoadedClassifier) -> RobustClassifier:
    """The classifier from its file: its weights in memory may be rounded to the precision of the device."""
    opened = loaded.opened
    if loaded.combined:
        network = _combined(loaded.combined).network
    else:
        network = open_classifier(loaded.source).classifier.network
    if isinstance(network, ClipTower):
        # Its last layer is in memory alone.
        network = network.with_classes(opened.network.get_classifier().weight.float().cpu())
    return RobustClassifier(network, opened.card, opened.seeds)


def _precision(device: torch.device, parameters: int) -> torch.dtype:
    """The dtype for the weights of a network with so many parameters."""
    if mm.is_device_cpu(device) and native_bfloat16() and not (args.fp32_unet or args.force_fp32):
        return torch.bfloat16
    # float16 is left out even where a flag asks for it: small gradients vanish in it.
    dtype = mm.unet_dtype(device, model_params=parameters, supported_dtypes=[torch.bfloat16, torch.float32])
    return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32


def save(loaded: LoadedClassifier, name: str) -> Path:
    """Save a classifier and its class seeds; an existing file is kept, and the new one gets a number.

    Args:
        loaded: what to save.
        name: see `folders.classifier_file`.

    Returns:
        The path of the new file.

    Raises:
        ValueError: the name is empty, or leads out of the folder.
    """
    path = next(path for path in numbered(classifier_file(name)) if not path.exists())
    with torch.inference_mode(False):
        whole = _in_full_precision(loaded)
        text = text_tensors(loaded.source) if isinstance(whole.network, ClipTower) else None
        save_classifier(RobustClassifier(whole.network, independent(whole.card), whole.seeds), path, text)
    if loaded.own_classes and not loaded.combined and is_file(sheet_of(loaded.source)):
        shutil.copyfile(sheet_of(loaded.source), sheet_of(path))
    return path


def _download(file: CatalogFile, notes: list[str]) -> Path:
    progress, last = Progress(), 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        progress(done, total)
        if time.monotonic() - last >= STATUS_SECONDS:
            last = time.monotonic()
            show_status(f"Downloading {file.filename}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    folders = classifier_folders()
    copies = [path for path in user_classifiers(folders).values() if path.name == file.filename]
    return download(file, folders[0], report, notes.append, copies)
