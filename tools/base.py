"""A base directory for ComfyUI with this pack in it, so that a user's own ComfyUI stays untouched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .paths import ROOT

PACK = "robust-synthesis"


def make_base(base: Path) -> None:
    """Create or complete a base directory: ComfyUI's folders and a link to this pack."""
    for folder in ("custom_nodes", "input", "models", "output", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    link(base / "custom_nodes" / PACK, ROOT)


def link(place: Path, target: Path) -> None:
    """Let the folder `target` appear at `place` as well."""
    # lexists, because a link whose target has moved away does not "exist" but is in the way.
    if os.path.lexists(place):
        if place.resolve() == target:
            return
        place.unlink()
    if sys.platform == "win32":
        # A symbolic link needs administrator rights there, a junction does not.
        import _winapi

        _winapi.CreateJunction(str(target), str(place))
    else:
        place.symlink_to(target, target_is_directory=True)
