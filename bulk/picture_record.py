"""What a finished picture tells of itself: the record in its PNG, and in the manifest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from .jobs import Picture

Record = dict[str, Any]
KEY = "robust_synthesis"
"""The text of the PNG that holds its record."""
NOT_OF_THE_JOB = frozenset({"sha256", "made_on", "shard"})
"""Keys that the job does not decide."""
PARTIAL = ".partial"


def job_of(picture: Picture, classifier_sha256: str) -> Record:
    """What decides a picture; two that agree in it are the same picture."""
    given: Record = {name: value for name, value in asdict(picture.job).items() if value}
    given |= {"number": picture.number, "file": picture.name, "seed": picture.seed}
    given |= {"picture": picture.picture, "mask": picture.mask, "classifier_sha256": classifier_sha256}
    if picture.job.operation != "upsample":
        given.pop("factor", None)
    given.pop("count")
    return {name: value for name, value in given.items() if value != ""}


def is_of(record: Mapping[str, Any], job: Record) -> bool:
    """Whether a record is that of a job."""
    return {name: value for name, value in record.items() if name not in NOT_OF_THE_JOB} == job


def save(root: Path, image: Tensor, record: Record) -> Record:
    """Write a picture `[3, H, W]` with its record to `root / record["file"]`, whole or not at all.

    Returns:
        The record with the SHA-256 of the file.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps(record))
    file = io.BytesIO()
    to_pil_image((image * 255).round().byte().cpu()).save(file, "PNG", pnginfo=text)
    content = file.getvalue()
    write_whole(root, record["file"], content)
    return {**record, "sha256": hashlib.sha256(content).hexdigest()}


def write_whole(root: Path, name: str, content: bytes) -> None:
    """Write a file under another name, and rename it once it is complete."""
    partial = root / PARTIAL / f"{os.getpid()}-{uuid.uuid4().hex}"
    for folder in (partial.parent, (root / name).parent):
        folder.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(content)
    partial.replace(root / name)


def read(path: Path) -> Record | None:
    """The record of a picture on disk; None where there is no picture, or one without a record."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            record = json.loads(opened.info[KEY])
    except (OSError, KeyError, ValueError):
        return None
    return {**record, "sha256": hashlib.sha256(content).hexdigest()} if isinstance(record, dict) else None
