"""Read classifiers that others have trained: checkpoints of any training code, as long as the network is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from . import normalisation
from .architectures import build_network
from .classifier import ClassifierCard, RobustClassifier
from .label_file import SideFileError
from .labels import labels_of
from .recognition import Recognised, recognise
from .safe_load import load_tensors
from .state_dict import CheckpointError, assign_weights, checked_float32

ASSUMED = "assumed_normalisation"
"""Key of `card.training` in a classifier whose file had no mean and std: the sentence that says so."""


def read_third_party(path: Path, about: Mapping[str, Any] | None = None) -> tuple[RobustClassifier, str]:
    """Read a classifier that is not in this pack's format.

    The network is recognised from the names and shapes of its tensors, never from the file's name.

    Args:
        path: a pickle of a state dict, of a checkpoint with one in it, or of a network, or safetensors.
        about: `title`, `training`, `licence`, `mean` and `std` for its card, where they are known.

    Returns:
        The classifier in float32 on the CPU, and sentences on what was recognised. Where the file has no mean and std,
        `card.training` has a sentence under `ASSUMED`.

    Raises:
        CheckpointError: it is not such a file, is not whole, would run code, or its network is not in the registry.
    """
    found = load_tensors(path)
    recognised = recognise(path, found)
    entry, architecture, classes = recognised.entry, recognised.architecture, recognised.classes
    for name, tensor in recognised.tensors.items():
        # An expanded (stride-0) tensor claims more numbers than it stores, and a copy of it could fill the memory.
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path.name} is refused: its tensor {name} claims more numbers than the file holds.")
    try:
        labels, source = labels_of(path, classes, entry.label_lists)
    except SideFileError as error:
        raise CheckpointError(str(error)) from error
    own = set(recognised.origins.values())
    beside = {name: tensor for name, tensor in found.items() if name not in own}
    statistics = normalisation.find_normalisation(beside, recognised.prefix)
    about = about or {}
    training = dict(about.get("training", {}))
    sentences = [f"{path.name} is a {entry.name} with {classes} classes, {source}."]
    sentences += _which_weights(recognised)
    if statistics:
        mean, std = statistics.mean, statistics.std
        sentences.append(normalisation.sentence(statistics))
    elif "mean" in about:
        mean, std = about["mean"], about["std"]
    else:
        mean, std = entry.statistics(classes)
        unread = normalisation.unread_triples(beside, recognised.prefix)
        training[ASSUMED] = normalisation.assumption(mean, std, unread)
    card = ClassifierCard(
        title=str(about.get("title", path.stem)),
        architecture=architecture,
        labels=labels,
        input_size=architecture.get("image_size", entry.input_size),
        mean=mean,
        std=std,
        training=training,
        licence=str(about.get("licence", "")),
    )
    with torch.device("meta"):
        network = build_network(architecture, classes)
    assign_weights(network, {name: checked_float32(path, name, t) for name, t in recognised.tensors.items()})
    return RobustClassifier(network, card), " ".join(sentences)


def _which_weights(recognised: Recognised) -> list[str]:
    """Say which weights were taken, where there are several."""
    if not recognised.others:
        return []
    taken, *others = (prefix.rstrip(".") or "the top" for prefix in (recognised.prefix, *recognised.others))
    return [f"Its weights are those under {taken}; those under {', '.join(others[:3])} were not taken."]
