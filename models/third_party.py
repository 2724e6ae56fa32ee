"""Read classifiers that others have trained: checkpoints of any training code, as long as the network is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from . import normalisation
from .architectures import ArchitectureError, build_network, find_architecture
from .classifier import ClassifierCard, RobustClassifier
from .clip import FoundTower, find_tower
from .clip_names import CLASS_EMBEDDING, as_open_clip
from .label_file import SideFileError
from .labels import labels_of
from .recognition import Recognised, recognise
from .safe_load import load_tensors
from .state_dict import (
    CheckpointError,
    assign_weights,
    checked_float32,
    refuse_expanded,
    shape_mismatches,
    shapes_of,
    weights,
)

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
    tower = find_tower(as_open_clip(path, found))
    if tower:
        return _read_tower(path, tower, about or {})
    if any(name.endswith(CLASS_EMBEDDING) for name in found):
        raise CheckpointError(
            f"{path.name} is the image tower of a CLIP without its visual_projection, which takes images to where "
            "texts are: take a file of the whole CLIP."
        )
    recognised = recognise(path, found)
    entry, architecture, classes = recognised.entry, recognised.architecture, recognised.classes
    refuse_expanded(path, recognised.tensors)
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


def _read_tower(path: Path, tower: FoundTower, about: Mapping[str, Any]) -> tuple[RobustClassifier, str]:
    """Read a CLIP's image tower; see `read_third_party`."""
    # The text tower is read later, and from the file of the pack's own format that is written of both.
    refuse_expanded(path, {**tower.tensors, **tower.text})
    entry = find_architecture(tower.architecture["name"])
    try:
        with torch.device("meta"):
            network = build_network(tower.architecture, 0)
    except ArchitectureError as error:
        raise CheckpointError(f"{path.name} is a CLIP of no kind that this pack knows: {error}.") from error
    found = {**tower.tensors, "classes.weight": torch.empty(0, network.get_classifier().in_features)}
    found["classes.bias"] = torch.empty(0)
    expected = shapes_of(weights(network))
    wrong = shape_mismatches(expected, shapes_of(found))
    if wrong or found.keys() - expected.keys():
        faults = [*wrong.values(), *(f"it has {name} besides" for name in found.keys() - expected.keys())]
        raise CheckpointError(f"{path.name} is a CLIP of no kind that this pack knows: {'; '.join(faults[:3])}.")
    assign_weights(network, {name: checked_float32(path, name, tensor) for name, tensor in found.items()})
    card = ClassifierCard(
        title=str(about.get("title", path.stem)),
        architecture=tower.architecture,
        labels=(),
        input_size=tower.architecture.get("grid", 0) * tower.architecture.get("patch_size", 0) or entry.input_size,
        mean=entry.mean,
        std=entry.std,
        training=dict(about.get("training", {})),
        licence=str(about.get("licence", "")),
    )
    kind = "vision transformer" if tower.architecture["name"] == "clip_vit" else "ConvNeXt"
    text = "its text tower beside it" if tower.text else "no text tower"
    sentence = f"{path.name} is the image tower of a CLIP, a {kind}, with {text}: Classes from Text gives it classes."
    return RobustClassifier(network, card), sentence


def _which_weights(recognised: Recognised) -> list[str]:
    """Say which weights were taken, where there are several."""
    if not recognised.others:
        return []
    taken, *others = (prefix.rstrip(".") or "the top" for prefix in (recognised.prefix, *recognised.others))
    return [f"Its weights are those under {taken}; those under {', '.join(others[:3])} were not taken."]
