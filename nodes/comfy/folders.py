"""Where the pack's files are in ComfyUI's folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ...models.catalog import EXTENSION, EXTENSIONS
from ...models.files import shortened, too_long

CLASSIFIERS = "robust_classifiers"
TRAININGS = "robust_training"


def register_classifier_folder() -> None:
    """Make `ComfyUI/models/robust_classifiers` a model folder that lists only what this pack reads."""
    folder_paths.add_model_folder_path(CLASSIFIERS, str(Path(folder_paths.models_dir) / CLASSIFIERS))
    # A new folder name lists files of all extensions, until it is given some.
    folder_paths.folder_names_and_paths[CLASSIFIERS][1].update(EXTENSIONS)


def classifier_folders() -> list[Path]:
    """The folders of the user's classifiers; new files go into the first."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(CLASSIFIERS)]


def classifier_file(name: str) -> Path:
    """The path for a new classifier's file.

    Args:
        name: with or without the extension; folders in it are allowed.

    Raises:
        ValueError: the name is empty, too long for the disk, or leads out of the folder.
    """
    folder = classifier_folders()[0].resolve()
    path = (folder / f"{name.strip().removesuffix(EXTENSION)}{EXTENSION}").resolve()
    if not path.name.removesuffix(EXTENSION).strip(". ") or not path.is_relative_to(folder):
        raise ValueError(
            f"'{shortened(name)}' is no name for a file in models/{CLASSIFIERS}: write one like 'my churches'."
        )
    # It may get a number.
    if too_long(path.with_name(f"{path.stem}_999{EXTENSION}")):
        raise ValueError(f"'{shortened(name)}' is too long for the name of a file: write a shorter one.")
    return path


def numbered(path: Path) -> Iterator[Path]:
    """A classifier's path, then the same with a number: `a`, `a_2`, `a_3` and so on."""
    yield path
    stem = path.name.removesuffix(EXTENSION)
    for number in itertools.count(2):
        yield path.with_name(f"{stem}_{number}{EXTENSION}")


def training_folder(classifier: Path) -> Path:
    """The folder for the log and the pictures of a training, in ComfyUI's output folder."""
    name = classifier.relative_to(classifier_folders()[0].resolve()).with_suffix("")
    return Path(folder_paths.get_output_directory()) / TRAININGS / name


def presets_folder() -> Path:
    """The folder for the user's presets, in ComfyUI's user folder; it need not exist."""
    return Path(folder_paths.get_user_directory()) / "default" / "robust_synthesis" / "presets"


def input_folder(name: str) -> Path:
    """A folder inside ComfyUI's input folder; it need not exist.

    Raises:
        ValueError: the name is too long for the disk, or leads out of the input folder.
    """
    inputs = Path(folder_paths.get_input_directory()).resolve()
    if too_long(inputs / name.strip()):
        raise ValueError(
            f"'{shortened(name)}' is too long for the name of a folder: write the name of one that is there."
        )
    path = (inputs / name.strip()).resolve()
    if not path.is_relative_to(inputs):
        raise ValueError(f"'{name}' is not inside ComfyUI's input folder: put the folder with your pictures there.")
    return path
