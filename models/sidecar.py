"""What a user says about a classifier whose file does not: its sidecar, `NAME.json` beside `NAME.ckpt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .catalog import EXTENSIONS
from .classifier import ClassifierCard
from .files import is_file
from .label_file import SideFileError, labels_from, parse_literal, read_text

SIZES = range(8, 4097)
OF_TRANSFORMERS = ("clip", "clip_vision_model")
"""Kinds of models in transformers' configurations."""
KEYS = ("input_size", "mean", "std", "labels", "quick_gelu")
Channels = tuple[float, float, float]


class SidecarError(SideFileError):
    """A sidecar, or an input of the loader, that cannot be used; the message says what to write."""


@dataclass(frozen=True)
class DataConfig:
    """The pictures that a classifier was trained on, as far as they are given (timm's data config)."""

    input_size: int | None = None
    """Height and width, in pixels, 8 to 4096."""
    mean: Channels | None = None
    """Of each channel, 0 to 1."""
    std: Channels | None = None
    """Of each channel, above 0, up to 1."""

    def over(self, other: DataConfig) -> DataConfig:
        """What is given here, and for the rest what is given in `other`."""
        return DataConfig(self.input_size or other.input_size, self.mean or other.mean, self.std or other.std)

    def apply_to(self, card: ClassifierCard) -> ClassifierCard:
        """The card with what is given here."""
        return replace(
            card,
            input_size=self.input_size or card.input_size,
            mean=self.mean or card.mean,
            std=self.std or card.std,
        )


@dataclass(frozen=True)
class Sidecar:
    """The content of a sidecar."""

    path: Path
    config: DataConfig
    labels: tuple[str, ...] | None
    quick_gelu: bool | None = None
    """Whether a CLIP's activation is OpenAI's QuickGELU, which its tensors do not show."""

    def __str__(self) -> str:
        """A sentence for the user: what it gives."""
        config = self.config
        given = [f"input size {config.input_size}"] if config.input_size else []
        for name, values in (("mean", config.mean), ("std", config.std)):
            given += [f"{name} {', '.join(f'{value:g}' for value in values)}"] if values else []
        given += [f"{len(self.labels)} class names"] if self.labels else []
        given += [] if self.quick_gelu is None else ["activation QuickGELU" if self.quick_gelu else "activation GELU"]
        if given:
            return f"{self.path.name} gives its {'; '.join(given)}."
        return f"{self.path.name} beside it was not used: it has none of {', '.join(KEYS)}."


def files_beside(file: Path, suffix: str) -> list[Path]:
    """Where a file that belongs to a classifier's file may be: `NAME.ckpt.json` and `NAME.json` for `NAME.ckpt`."""
    names = [file.name, file.stem]
    # `NAME.pth.tar` and `NAME.pt.best` are named after NAME, too.
    while names[-1].lower().endswith(EXTENSIONS):
        names.append(Path(names[-1]).stem)
    return [file.with_name(f"{name}{suffix}") for name in names]


def read_sidecar(file: Path) -> Sidecar | None:
    """Read the sidecar of a classifier's file; None if there is none.

    It is a JSON object with any of `input_size`, `mean`, `std`, `labels` and `quick_gelu`, or a list of class names
    alone (see `label_file.labels_from`), or an `open_clip_config.json`, or the `config.json` of a CLIP of transformers.
    Other keys are ignored, because other programs write files of this name.

    Raises:
        SideFileError: it is no JSON, or a value is impossible.
    """
    path = next((path for path in files_beside(file, ".json") if is_file(path)), None)
    if path is None:
        return None
    content = parse_literal(read_text(path), path)
    if isinstance(content, Mapping) and isinstance(content.get("model_cfg"), Mapping):
        content = _of_open_clip(content)
    elif isinstance(content, Mapping) and content.get("model_type") in OF_TRANSFORMERS:
        content = _of_transformers(content)
    if not isinstance(content, Mapping) or not any(key in content for key in KEYS):
        return Sidecar(path, DataConfig(), labels_from(content, path) if _only_labels(content) else None)
    labels = labels_from(content["labels"], path) if content.get("labels") is not None else None
    where = f" of {path.name}"
    config = DataConfig(
        _input_size(content.get("input_size"), where),
        _channels("mean", content.get("mean"), where),
        _channels("std", content.get("std"), where),
    )
    quick_gelu = content.get("quick_gelu")
    if quick_gelu is not None and not isinstance(quick_gelu, bool):
        raise SidecarError(f"quick_gelu{where} is {quick_gelu!r}: write true or false.")
    return Sidecar(path, config, labels, quick_gelu)


def _of_open_clip(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A sidecar's keys from open_clip's configuration of a model."""
    model, images = content["model_cfg"], content.get("preprocess_cfg")
    vision = model.get("vision_cfg")
    images = images if isinstance(images, Mapping) else {}
    return {
        "input_size": vision.get("image_size") if isinstance(vision, Mapping) else None,
        "mean": images.get("mean"),
        "std": images.get("std"),
        "quick_gelu": model.get("quick_gelu", False),
    }


def _of_transformers(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A sidecar's keys from transformers' configuration of a CLIP, which leaves out what is usual."""
    vision = content.get("vision_config", content)
    vision = vision if isinstance(vision, Mapping) else {}
    activation = vision.get("hidden_act", "quick_gelu")
    return {"input_size": vision.get("image_size"), "quick_gelu": activation == "quick_gelu"}


def data_config(input_size: int = 0, mean: str = "", std: str = "") -> DataConfig:
    """Read a data config from the loader's inputs.

    Args:
        input_size: in pixels; 0: not given.
        mean: three numbers, or one for all channels; empty: not given.
        std: as the mean.

    Raises:
        SidecarError: a value is impossible.
    """
    numbers = [[part for part in re.split(r"[\s,;\[\]()]+", text) if part] for text in (mean, std)]
    return DataConfig(
        _input_size(input_size or None, ""),
        _channels("mean", numbers[0] or None, ""),
        _channels("std", numbers[1] or None, ""),
    )


def _only_labels(content: Any) -> bool:
    """Whether a whole file is a list of class names; other programs write other lists and dicts."""
    if isinstance(content, Mapping):
        return bool(content) and all(str(key).isdecimal() for key in content)
    return (
        isinstance(content, (list, tuple))
        and bool(content)
        and all(isinstance(entry, (str, list, tuple)) for entry in content)
    )


def _input_size(value: Any, where: str) -> int | None:
    if value is None:
        return None
    # timm writes [channels, height, width].
    sides = set(value[-2:]) if isinstance(value, list) and len(value) in (2, 3) else {value}
    side = sides.pop() if len(sides) == 1 else None
    if isinstance(side, bool) or not isinstance(side, int) or side not in SIZES:
        raise SidecarError(
            f"The input size{where} is {value!r}: write the height and width, in pixels, of the pictures that it was "
            f"trained on, as one number from {SIZES[0]} to {SIZES[-1]}{'' if where else ' (0: those of the file)'}."
        )
    return side


def _channels(name: str, value: Any, where: str) -> Channels | None:
    if value is None:
        return None
    example = {"mean": "0.485, 0.456, 0.406", "std": "0.229, 0.224, 0.225"}[name]
    values = value if isinstance(value, list) else [value]
    try:
        # A bool is a number in Python.
        numbers = [float(number) for number in values if not isinstance(number, bool)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 3) or len(numbers) != len(values):
        written = ", ".join(map(str, values))
        raise SidecarError(
            f"The {name}{where} is '{written}': write three numbers, for red, green and blue, as {example}."
        )
    red, green, blue = numbers if len(numbers) == 3 else numbers * 3
    if all(0 <= number <= 1 for number in numbers) and (name == "mean" or min(numbers) > 1e-6):
        return red, green, blue
    if all(0 <= number <= 255 for number in numbers) and max(numbers) > 1:
        scaled = ", ".join(f"{number / 255:.3f}" for number in numbers)
        raise SidecarError(
            f"The {name}{where} is for pixel values from 0 to 255, and here they are from 0 to 1: write {scaled}."
        )
    wanted = "from 0 to 1" if name == "mean" else "above 0, up to 1"
    raise SidecarError(f"The {name}{where} must be {wanted} for each channel, as {example}.")
