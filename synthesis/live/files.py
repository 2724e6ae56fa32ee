"""Paintings on disk: a folder for each, in it revisions `0003.png`, `0003.mask.png`, `0003.json`, and bases.

The JSON is what counts: it tells by their digests which pixels belong to it. New pixels are written beside the old
ones, under a name with their digest; then the JSON is replaced, in one step; then the pixels take their place. Whatever
interrupts that leaves the revision as it was, or whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from .painting import Painting
from .records import StrokeRecord

LARGEST_SIDE = 4096
LARGEST_JSON = 256 * 2**20
FAST = 1
"""The level of PNG's compression: a painting is saved after every stroke, and a browser waits."""


class PaintingError(ValueError):
    """A painting cannot be read; the message says why."""


@dataclass(frozen=True)
class Revision:
    """What a revision tells beside its pixels."""

    width: int
    height: int
    strokes: tuple[StrokeRecord, ...]
    base: str
    """Digest of the base picture, as `digest` gives it."""
    picture: str
    """Digest of the picture."""
    mask: str
    """Digest of how much was painted."""


def digest(picture: Tensor) -> str:
    """16 characters that tell pictures `uint8 [C, H, W]` apart by their pixels."""
    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    return hashlib.blake2b(pixels.data, digest_size=8, salt=repr(pixels.shape[:2]).encode()).hexdigest()


def next_revision(folder: Path) -> int:
    """The number after the highest of a painting's revisions; 1 where there is none, or no such folder."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(found[1]) for name in names if (found := re.match(r"([0-9]{4,9})[.-]", name))), default=0) + 1


def write_revision(folder: Path, number: int, painting: Painting) -> Path:
    """Write a revision, or write it again.

    Args:
        folder: of the painting; it is made if need be.
        number: of the revision, from 1.
        painting: its pixels are written exactly.

    Returns:
        The path of the picture, for `read_revision`.

    Raises:
        OSError: it cannot be written; the revision is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    height, width = painting.picture.shape[1:]
    base, picture, mask = map(digest, (painting.base, painting.picture, painting.painted))
    name = f"{number:04}"
    if not (folder / f"base-{base}.png").exists():
        _replace(folder / f"base-{base}.png", lambda path: _save(painting.base, path))
    aside = {folder / f"{name}-{picture}.png": f"{name}.png", folder / f"{name}-{mask}.mask.png": f"{name}.mask.png"}
    for path, pixels in zip(aside, (painting.picture, painting.painted), strict=True):
        _save(pixels, path)
    content = {
        "width": width,
        "height": height,
        "base": base,
        "picture": picture,
        "mask": mask,
        "strokes": [stroke.to_json() for stroke in painting.strokes],
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    _replace(folder / f"{name}.json", lambda path: path.write_text(text, "utf-8"))
    for path, final in aside.items():
        path.replace(folder / final)
    for left in folder.glob(f"{name}-*.png"):
        left.unlink()
    return folder / f"{name}.png"


def read_info(png: Path) -> Revision:
    """What a revision tells beside its pixels, by the path of its picture.

    Raises:
        PaintingError: there is none, or it is malformed.
    """
    path = png.with_suffix(".json")
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise PaintingError(f"The painting '{png.name}' is damaged: its list of strokes is too large.")
        content = json.loads(path.read_text("utf-8"))
        return _revision(content)
    except FileNotFoundError as error:
        raise PaintingError(f"There is no painting '{png.name}'.") from error
    except PaintingError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise PaintingError(f"The painting '{png.name}' cannot be read: {error}") from error


def read_revision(png: Path) -> Painting:
    """A painting as it was written; nothing of it can be undone.

    Raises:
        PaintingError: there is none, it is damaged, or a part of it is missing.
    """
    info = read_info(png)
    parts = []
    for suffix, mode, wanted in ((".png", "RGB", info.picture), (".mask.png", "L", info.mask)):
        # Where a crash came before the last step of writing, the pixels are still aside.
        paths = [png.with_name(f"{png.stem}{suffix}"), png.with_name(f"{png.stem}-{wanted}{suffix}")]
        parts.append(_first(png, paths, mode, info, wanted))
    painting = Painting(_first(png, [png.with_name(f"base-{info.base}.png")], "RGB", info, info.base))
    painting.picture.copy_(parts[0])
    painting.painted.copy_(parts[1])
    painting.strokes += info.strokes
    return painting


def _revision(content: object) -> Revision:
    if not isinstance(content, Mapping) or set(content) != set(Revision.__dataclass_fields__):
        raise ValueError("its JSON is not a painting's")
    for key in ("width", "height"):
        _check(type(content[key]) is int and 1 <= content[key] <= LARGEST_SIDE, key)
    for key in ("base", "picture", "mask"):
        _check(isinstance(content[key], str) and re.fullmatch("[0-9a-f]{16}", content[key]) is not None, key)
    _check(isinstance(content["strokes"], list), "strokes")
    values: dict[str, Any] = {**content, "strokes": tuple(map(StrokeRecord.from_json, content["strokes"]))}
    return Revision(**values)


def _check(holds: bool, key: str) -> None:
    if not holds:
        raise ValueError(f"its {key} is not one")


def _first(png: Path, paths: list[Path], mode: str, info: Revision, wanted: str) -> Tensor:
    """The pixels of the first file that has the wanted ones."""
    problem = "a file of it is missing"
    for path in filter(Path.exists, paths):
        found = _pixels(path, mode, (info.width, info.height))
        if isinstance(found, Tensor) and digest(found) == wanted:
            return found
        problem = found if isinstance(found, str) else f"{path.name} has other pixels than were painted"
    raise PaintingError(f"The painting '{png.name}' cannot be read: {problem}.")


def _pixels(path: Path, mode: str, size: tuple[int, int]) -> Tensor | str:
    """The pixels of a PNG, `uint8 [C, H, W]`, or what is wrong with it."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size != size or image.mode != mode:
                return f"{path.name} is {image.mode} of {image.width} x {image.height}"
            return torch.from_numpy(np.array(image)).view(size[1], size[0], -1).permute(2, 0, 1)
    # Pillow raises SyntaxError for a broken chunk.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{path.name} is no sound PNG ({error})"


def _save(pixels: Tensor, path: Path) -> None:
    to_pil_image(pixels).save(path, "PNG", compress_level=FAST)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    aside = path.with_name(f"{path.name}.new")
    write(aside)
    aside.replace(path)
