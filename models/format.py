"""The pack's own file format: one safetensors file that describes itself and contains nothing that could run.

The metadata entry `robust_classifier` is JSON: format, title, architecture, labels, input_size, mean, std, training,
licence, and for class seeds their grain and classes (all classes where none are named). The tensors are the network's
state dict without `num_batches_tracked`, `seeds.mean` and `seeds.factors` where there are class seeds, and a CLIP's
text tower under `text.`, which is not read with the classifier (see `clip.text_tensors`).

A file that combines two others has no tensors. Its header has `members`, their file names, and they lie beside it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .architectures import ArchitectureError, build_network, find_architecture
from .classifier import PIXEL_LIMIT, ClassifierCard, ClassSeeds, RobustClassifier
from .clip import TEXT
from .combining import CombineError, combine
from .files import is_file
from .state_dict import CheckpointError, assign_weights, checked_float32, shape_mismatches, shapes_of, weights

FORMAT = 1
ENTRY = "robust_classifier"
MEMBERS = "members"
SEEDS_MEAN = "seeds.mean"
SEEDS_FACTORS = "seeds.factors"
TENSORS_PER_OPEN = 16
"""How many tensors are read before the file is reopened: what was read stays in memory until the file is closed."""
PICKLE_SIGNATURES = (b"\x80", b"PK\x03\x04")


def load_classifier(path: Path) -> RobustClassifier:
    """Read a classifier, in float32 on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is truncated, is no safetensors file, does not describe a classifier, or its
            tensors do not fit the description; or it combines two others, and one is missing or is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no classifier file at {path}.")
    header, tensors = _read_safetensors(path)
    try:
        return _combined(header, path) if MEMBERS in header else _assemble(header, tensors)
    except (ArchitectureError, CombineError, _DescriptionError) as error:
        raise CheckpointError(f"{path.name} is not a classifier this pack can load: {error}.") from error


def read_card(path: Path) -> ClassifierCard | None:
    """Read the description in a file of this format without its tensors; None for any other file."""
    header = _read_header(path)
    try:
        return _card(header) if header else None
    except ValueError:
        return None


def files_of(path: Path) -> list[Path]:
    """All files that `load_classifier` reads for a file: itself, and those that it combines."""
    header = _read_header(path)
    try:
        return [path, *_members(header, path)] if header and MEMBERS in header else [path]
    except _DescriptionError:
        return [path]


def save_combination(card: ClassifierCard, members: tuple[Path, Path], path: Path) -> None:
    """Write a file that combines two others beside it, which count equally, and has no weights of its own.

    Args:
        card: its description.
        members: the two files; the first one's class names and class seeds are taken (see `combining.combine`).
        path: of the file, in the same folder.

    Raises:
        ValueError: it is in another folder.
        OSError: the file cannot be written.
    """
    if any(member.parent != path.parent for member in members):
        raise ValueError(f"{path} is not in the folder of what it combines.")
    header = _header(card) | {MEMBERS: [member.name for member in members]}
    write_whole(path, {}, {ENTRY: json.dumps(header)})


def save_classifier(classifier: RobustClassifier, path: Path, text: Mapping[str, Tensor] | None = None) -> None:
    """Write a classifier in half precision, atomically (see `write_whole`).

    A tensor whose numbers exceed the range of half precision is written in float32.

    Args:
        classifier: what to write.
        path: of the file.
        text: the text tower that belongs to it, if it is of a CLIP.

    Raises:
        ValueError: a weight is not finite.
        OSError: the file cannot be written.
    """
    header = _header(classifier.card)
    tensors = weights(classifier.network)
    if classifier.seeds is not None:
        seeds = classifier.seeds
        header["seeds"] = {
            "grain": seeds.grain,
            "rank": seeds.factors.shape[1],
            "classes": list(seeds.classes),
        }
        tensors |= {SEEDS_MEAN: seeds.mean, SEEDS_FACTORS: seeds.factors}
    tensors |= {f"{TEXT}{name}": tensor for name, tensor in (text or {}).items()}
    written = {name: _compact(tensor.detach().cpu().float()) for name, tensor in tensors.items()}
    broken = [name for name, tensor in written.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise ValueError(f"{_some(broken)} holds something else than finite numbers; the file would not load again.")
    write_whole(path, written, {ENTRY: json.dumps(header)})


def write_whole(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically: it replaces an older one only when it is complete. Creates its folders.

    Raises:
        OSError: it cannot be written; an older file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        # It has no extension, so that no list of classifiers shows it.
        whole = Path(folder) / "whole"
        whole.touch()
        mode = whole.stat().st_mode
        try:
            save_file(dict(tensors), whole, metadata=dict(metadata))
        except SafetensorError as error:
            # safetensors passes the system's error on as text only.
            raise OSError(f"{path} could not be written: {error}") from error
        # safetensors makes its files readable by their owner only.
        whole.chmod(mode)
        whole.replace(path)


def _header(card: ClassifierCard) -> dict[str, Any]:
    return {
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


def _compact(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return (half if bool(half.isfinite().all()) else tensor).contiguous()


class _DescriptionError(ValueError):
    """The header or a tensor does not follow the format."""


def _read_header(path: Path) -> dict[str, Any] | None:
    if not is_file(path) or not _is_safetensors(path):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(ENTRY, "null"))
    except (SafetensorError, ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _is_safetensors(path: Path) -> bool:
    # A file begins with the length of its header in 8 bytes, the first of which may equal a pickle's, then a brace.
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(PICKLE_SIGNATURES)


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    if not _is_safetensors(path) and _starts_as_pickle(path):
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
            names = [name for name in file.keys() if not name.startswith(TEXT)]  # noqa: SIM118 (no mapping)
        tensors: dict[str, Tensor] = {}
        for start in range(0, len(names), TENSORS_PER_OPEN):
            with safe_open(path, framework="pt") as file:
                for name in names[start : start + TENSORS_PER_OPEN]:
                    tensors[name] = checked_float32(path, name, file.get_tensor(name))
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file: {error}. It may have been cut off while it was "
            "copied or downloaded: fetch it again."
        ) from error
    try:
        header = json.loads(metadata[ENTRY])
    # A number with too many digits raises ValueError, and deep nesting RecursionError.
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a '{ENTRY}' entry that is not JSON: {error}.") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name} has a '{ENTRY}' entry that is not a JSON object.")
    return header, tensors


def _combined(header: Mapping[str, Any], path: Path) -> RobustClassifier:
    _check_format(header)
    card = _card(header)
    files = _members(header, path)
    if missing := [file.name for file in files if not is_file(file)]:
        raise _DescriptionError(f"it combines two files; put {' and '.join(missing)} beside it")
    first, second = (_member(file) for file in files)
    whole = combine(first, second)
    made_of = replace(whole.card, title=card.title, training=card.training, licence=card.licence)
    if _header(made_of) != _header(card):
        names = " and ".join(file.name for file in files)
        raise _DescriptionError(f"{names} beside it are not those it was made of: combine them again")
    return RobustClassifier(whole.network, card, whole.seeds)


def _members(header: Mapping[str, Any], path: Path) -> tuple[Path, Path]:
    names = header[MEMBERS]
    if not isinstance(names, list) or len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise _DescriptionError(f"its {MEMBERS} are {names!r}, not the names of two files")
    first, second = (_beside(path, name) for name in names)
    return first, second


def _beside(path: Path, name: str) -> Path:
    # Only the last part of a name is used: no description leads out of the folder.
    beside = path.parent / Path(name).name
    # A link to a file has its members beside that file.
    return beside if is_file(beside) else path.resolve().parent / Path(name).name


def _member(file: Path) -> RobustClassifier:
    header, tensors = _read_safetensors(file)
    if MEMBERS in header:
        raise _DescriptionError(f"{file.name} combines two files itself")
    try:
        return _assemble(header, tensors)
    except (ArchitectureError, _DescriptionError) as error:
        raise _DescriptionError(f"in {file.name}, {error}") from error


def _assemble(header: Mapping[str, Any], tensors: dict[str, Tensor]) -> RobustClassifier:
    _check_format(header)
    card = _card(header)
    seeds = _seeds(header, tensors, len(card.labels))
    # The meta device allocates nothing, so even a description of a huge network is safe to build.
    with torch.device("meta"):
        network = build_network(card.architecture, len(card.labels))
    expected, found = shapes_of(weights(network)), shapes_of(tensors)
    wrong = shape_mismatches(expected, found)
    if wrong:
        raise _DescriptionError(f"its tensors do not fit its architecture: {_some(list(wrong.values()))}")
    unknown = sorted(found.keys() - expected.keys())
    if unknown:
        raise _DescriptionError(f"it holds tensors its architecture does not have: {_some(unknown)}")
    assign_weights(network, tensors)
    return RobustClassifier(network, card, seeds)


def _check_format(header: Mapping[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise _DescriptionError(
            f"its format is {header.get('format')!r}, and this version of the pack reads format {FORMAT}"
        )


def _card(header: Mapping[str, Any]) -> ClassifierCard:
    architecture = header.get("architecture")
    if not isinstance(architecture, dict):
        raise _DescriptionError("its header has no architecture")
    labels = header.get("labels")
    fewest = 0 if labels == [] and find_architecture(architecture.get("name")).takes_texts else 2
    if not isinstance(labels, list) or len(labels) < fewest or not all(isinstance(label, str) for label in labels):
        raise _DescriptionError("its header has no list of labels (two or more)")
    input_size = header.get("input_size")
    if not isinstance(input_size, int) or not 8 <= input_size <= 4096:
        raise _DescriptionError(f"its input_size is {input_size!r}, not a number of pixels from 8 to 4096")
    training = header.get("training", {})
    if not isinstance(training, dict):
        raise _DescriptionError("its training entry is not an object")
    std = _three_numbers(header, "std")
    if min(std) < 1 / PIXEL_LIMIT:
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
        or not all(isinstance(value, (int, float)) and abs(value) <= PIXEL_LIMIT for value in values)
    ):
        raise _DescriptionError(f"its {key} is {values!r}, not three numbers")
    return float(values[0]), float(values[1]), float(values[2])


def _seeds(header: Mapping[str, Any], tensors: dict[str, Tensor], classes: int) -> ClassSeeds | None:
    mean, factors = tensors.pop(SEEDS_MEAN, None), tensors.pop(SEEDS_FACTORS, None)
    if mean is None and factors is None:
        return None
    entry = header.get("seeds")
    entry = entry if isinstance(entry, dict) else {}
    grain, rows = entry.get("grain"), entry.get("classes", list(range(classes)))
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


def _some(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
