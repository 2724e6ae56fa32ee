"""Where the pack's files are in ComfyUI's folders."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ...models.catalog import EXTENSION, EXTENSIONS
from ...models.files import shortened, too_long
from ...synthesis import find_files
from .status import cancel_requested

CLASSIFIERS = "robust_classifiers"
TRAININGS = "robust_training"
PAINTINGS = "robust_canvas"


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
    """A folder inside ComfyUI's input folder; it need not exist. A name matches in any Unicode form.

    Raises:
        ValueError: the name is empty, is too long for the disk, or leads out of the input folder.
    """
    if not name.strip():
        raise ValueError(
            "Write the folder's name into folder: that of a folder with your pictures inside ComfyUI's input folder."
        )
    inputs = Path(folder_paths.get_input_directory()).resolve()
    if too_long(inputs / name.strip()):
        raise ValueError(
            f"'{shortened(name)}' is too long for the name of a folder: write the name of one that is there."
        )
    written = Path(os.path.normpath(inputs / name.strip()))
    if not written.is_relative_to(inputs):
        raise ValueError(f"'{name}' is not inside ComfyUI's input folder: put the folder with your pictures there.")
    path = _as_on_disk(inputs, written.relative_to(inputs)).resolve()
    if not path.is_relative_to(inputs):
        raise ValueError(
            f"'{name}' is a link that leads out of ComfyUI's input folder, which is not followed: put the folder with "
            "your pictures itself there."
        )
    return path


def new_painting_folder() -> Path:
    """The folder for a new painting of the Live Canvas, inside ComfyUI's input folder; it does not exist yet."""
    return _paintings() / secrets.token_hex(8)


def painting_name(folder: Path, number: int) -> str:
    """The name of a revision of a painting: `robust_canvas/<folder>/0001.png`."""
    return f"{PAINTINGS}/{folder.name}/{number:04}.png"


def painting_file(name: str) -> Path:
    """The picture of a painting's revision, by its name; it need not exist.

    Raises:
        ValueError: it is no such name, or a link there leads out of the folder of paintings.
    """
    written = re.fullmatch(rf"{PAINTINGS}/([0-9A-Za-z_-]{{1,64}})/([0-9]{{4,8}}\.png)", name.strip())
    if written is None:
        raise ValueError(
            f"'{shortened(name)}' is not the name of a painting, like '{PAINTINGS}/0a1b/0001.png'. Empty the field and "
            "open the Live Canvas to begin a new one."
        )
    path = _paintings() / written[1] / written[2]
    beside = [entry for entry in path.parent.iterdir() if entry.is_symlink()] if path.parent.is_dir() else []
    if any(not entry.resolve().is_relative_to(_paintings()) for entry in (path, *beside)):
        raise ValueError(
            f"'{name}' is a link that leads out of ComfyUI's folder input/{PAINTINGS}: it is not followed."
        )
    return path


def _paintings() -> Path:
    return Path(folder_paths.get_input_directory()).resolve() / PAINTINGS


def served_file(filename: str, subfolder: str, kind: str) -> Path:
    """A file in ComfyUI's folder for a kind of files ('input', 'output' or 'temp'), as its route /view names it.

    Raises:
        ValueError: there is no such file there, or a link leads out of that folder.
    """
    root = Path(folder_paths.get_directory_by_type(kind)).resolve()
    try:
        path = Path(os.path.normpath(root / subfolder / filename)).resolve()
        if filename and path.is_relative_to(root) and path.is_file():
            return path
    except OSError:
        # A name that is too long for the disk, or a circle of links.
        pass
    raise ValueError(f"There is no file '{shortened(filename)}' in ComfyUI's {kind} folder.")


def temporary_picture(filename: str) -> tuple[Path, dict[str, str]]:
    """The path for a picture in ComfyUI's temp folder, and how its route /view names it."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / filename, {"filename": filename, "subfolder": "", "type": "temp"}


def stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _as_on_disk(folder: Path, inside: Path) -> Path:
    """The path with each name in the Unicode form that it has on the disk: macOS writes accents separately."""
    for name in inside.parts:
        exact, wanted = folder / name, unicodedata.normalize("NFC", name)
        if not exact.exists() and folder.is_dir():
            alike = (entry for entry in folder.iterdir() if unicodedata.normalize("NFC", entry.name) == wanted)
            exact = next(alike, exact)
        folder = exact
    return folder


def fingerprint(folder: str) -> object:
    """Changes whenever a file in a folder inside ComfyUI's input folder does; never equal if it cannot be found out."""
    try:
        place = input_folder(folder)
        if place.is_file():
            return stamp(place)
        return sorted((path, *stamp(place / path)) for path in _files(place))
    except (ValueError, OSError, _StoppedError):
        # The node itself says why. Tuples with the same NaN would be equal.
        return float("nan")


def _files(place: Path) -> Iterator[str]:
    found = find_files(place, _stop_if_cancelled)
    yield from found.pictures
    yield from (path for path in found.others if (place / path).is_file())


class _StoppedError(Exception):
    """Cancel was pressed while a folder was looked through; ComfyUI expects no cancelling there."""


def _stop_if_cancelled(_done: int, _count: int) -> None:
    if cancel_requested():
        raise _StoppedError
