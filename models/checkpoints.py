"""Reading and writing classifiers: one self-describing safetensors file, and nothing that can run code.

The header's `robust_classifier` entry is JSON and describes the classifier whole: format, title, architecture,
labels, input_size, mean, std, training, licence, and the grain of its class seeds and the classes they are for
(all, where none are named). The tensors are the network's state dict (`num_batches_tracked` left out), plus
`seeds.mean` and `seeds.factors` where there are class seeds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .architectures import ArchitectureError, build_network
from .classifier import ClassifierCard, ClassSeeds, RobustClassifier

FORMAT = 1
ENTRY = "robust_classifier"
SEEDS_MEAN = "seeds.mean"
SEEDS_FACTORS = "seeds.factors"
LARGEST_PIXEL = 1e6
"""Means and deviations beyond this, and deviations below its inverse, are no pictures'; NaN is beyond."""
PICKLE_SIGNATURES = (b"\x80", b"PK\x03\x04")


class CheckpointError(ValueError):
    """A file that is not a classifier this pack can read; the message names the file and what is wrong."""


def load_classifier(path: Path) -> RobustClassifier:
    """Read a classifier, in float32 on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is truncated, is no safetensors file, does not describe a classifier, or its
            tensors do not fit its description.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no classifier file at {path}.")
    header, tensors = _read_safetensors(path)
    try:
        return _assemble(header, tensors)
    except (ArchitectureError, _DescriptionError) as error:
        raise CheckpointError(f"{path.name} is not a classifier this pack can load: {error}.") from error


def save_classifier(classifier: RobustClassifier, path: Path) -> None:
    """Write a classifier in half precision. The file appears under its name only when it is whole.

    Raises:
        ValueError: a weight that half precision cannot hold.
    """
    card = classifier.card
    header: dict[str, Any] = {
        "format": FORMAT,
        "title": card.title,
        "architecture": dict(card.architecture),
        "labels": list(card.labels),
        "input_size": card.input_size,
        "mean": list(card.mean),
        "std": list(card.std),
        "training": dict(card.training),
        "licence": card.licence,
    }
    tensors = _weights(classifier.network)
    if classifier.seeds is not None:
        seeds = classifier.seeds
        header["seeds"] = {
            "grain": seeds.grain,
            "rank": seeds.factors.shape[1],
            "classes": list(seeds.classes),
        }
        tensors |= {SEEDS_MEAN: seeds.mean, SEEDS_FACTORS: seeds.factors}
    half = {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}
    too_large = [name for name, tensor in half.items() if not bool(tensor.isfinite().all())]
    if too_large:
        raise ValueError(f"{_some(too_large)} does not fit into half precision; the file would not load again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        # Without the extension: a list of classifiers made meanwhile must not show it.
        whole = Path(folder) / "whole"
        save_file(half, whole, metadata={ENTRY: json.dumps(header)})
        whole.replace(path)


class _DescriptionError(ValueError):
    """The header, or a tensor, is not what the format asks for."""


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    with path.open("rb") as file:
        start = file.read(9)
    # Safetensors begin with the length of their header, whose first byte may well be a pickle's, and then a brace.
    if start.startswith(PICKLE_SIGNATURES) and not start.endswith(b"{"):
        raise CheckpointError(
            f"{path.name} is a pickle (a PyTorch .pt or .ckpt file), whatever its name says. A pickle can run "
            "code when it is read, so it is not opened. Convert it to safetensors first."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if ENTRY not in metadata:
                raise CheckpointError(
                    f"{path.name} is a safetensors file, but its header has no '{ENTRY}' entry that describes a "
                    "classifier. It is probably another kind of model."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file: {error}. It may have been cut off while it was "
            "copied or downloaded: fetch it again."
        ) from error
    try:
        header = json.loads(metadata[ENTRY])
    # A number of too many digits is a ValueError, too deep a nesting a RecursionError.
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a '{ENTRY}' entry that is not JSON: {error}.") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name} has a '{ENTRY}' entry that is not a JSON object.")
    return header, tensors


def _assemble(header: Mapping[str, Any], tensors: dict[str, Tensor]) -> RobustClassifier:
    if header.get("format") != FORMAT:
        raise _DescriptionError(
            f"its format is {header.get('format')!r}, and this version of the pack reads format {FORMAT}"
        )
    card = _card(header)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.float().isfinite().all()):
            raise _DescriptionError(f"its tensor {name} holds something else than finite numbers")
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    seeds = _seeds(header, tensors, len(card.labels))
    # On the meta device a network costs no memory, so a description of any size is safe to compare with.
    with torch.device("meta"):
        network = build_network(card.architecture, len(card.labels))
    expected = {name: tuple(tensor.shape) for name, tensor in _weights(network).items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise _DescriptionError(f"it lacks {_some(missing)}")
    unknown = sorted(found.keys() - expected.keys())
    if unknown:
        raise _DescriptionError(f"it holds tensors its architecture does not have: {_some(unknown)}")
    misshapen = [
        f"{name} is {list(found[name])} instead of {list(expected[name])}"
        for name in sorted(expected)
        if found[name] != expected[name]
    ]
    if misshapen:
        raise _DescriptionError(f"its shapes do not fit: {_some(misshapen)}")
    for name, _ in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(0)
    network.load_state_dict(tensors, assign=True)
    return RobustClassifier(network, card, seeds)


def _card(header: Mapping[str, Any]) -> ClassifierCard:
    architecture = header.get("architecture")
    if not isinstance(architecture, dict):
        raise _DescriptionError("its header has no architecture")
    labels = header.get("labels")
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(label, str) for label in labels):
        raise _DescriptionError("its header has no list of labels (two or more)")
    input_size = header.get("input_size")
    if not isinstance(input_size, int) or not 8 <= input_size <= 4096:
        raise _DescriptionError(f"its input_size is {input_size!r}, not a number of pixels from 8 to 4096")
    training = header.get("training", {})
    if not isinstance(training, dict):
        raise _DescriptionError("its training entry is not an object")
    std = _three_numbers(header, "std")
    if min(std) < 1 / LARGEST_PIXEL:
        raise _DescriptionError("its std is not above zero")
    return ClassifierCard(
        title=str(header.get("title", "")),
        architecture=architecture,
        labels=tuple(labels),
        input_size=input_size,
        mean=_three_numbers(header, "mean"),
        std=std,
        training=training,
        licence=str(header.get("licence", "")),
    )


def _three_numbers(header: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    values = header.get(key)
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(value, (int, float)) and abs(value) <= LARGEST_PIXEL for value in values)
    ):
        raise _DescriptionError(f"its {key} is {values!r}, not three numbers")
    return float(values[0]), float(values[1]), float(values[2])


def _seeds(header: Mapping[str, Any], tensors: dict[str, Tensor], classes: int) -> ClassSeeds | None:
    mean, factors = tensors.pop(SEEDS_MEAN, None), tensors.pop(SEEDS_FACTORS, None)
    if mean is None and factors is None:
        return None
    described = header.get("seeds")
    described = described if isinstance(described, dict) else {}
    grain, rows = described.get("grain"), described.get("classes", list(range(classes)))
    if mean is None or factors is None or not isinstance(grain, int) or grain < 1:
        raise _DescriptionError(f"its class seeds are not whole ({SEEDS_MEAN}, {SEEDS_FACTORS} and a grain)")
    if (
        not isinstance(rows, list)
        or not all(isinstance(row, int) and 0 <= row < classes for row in rows)
        or len(set(rows)) != len(rows)
    ):
        raise _DescriptionError(f"its class seeds are for {rows!r}, not for some of its {classes} classes")
    fits = mean.ndim == 4 and factors.ndim == 5 and mean.shape[:2] == (len(rows), 3)
    if not fits or factors.shape[0] != len(rows) or factors.shape[2:] != mean.shape[1:]:
        raise _DescriptionError(
            f"its class seeds do not fit {len(rows)} classes: {SEEDS_MEAN} is {list(mean.shape)}, "
            f"{SEEDS_FACTORS} is {list(factors.shape)}"
        )
    return ClassSeeds(mean, factors, grain, tuple(rows))


def _weights(network: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = network.state_dict()
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def _some(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
