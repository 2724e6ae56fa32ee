"""`.venv`: the pack, ComfyUI's requirements and the tools, installed once. Standard library only."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from . import comfyui
from .paths import PYTHON, ROOT, VENV
from .processes import become, stage

_CONSTRAINTS = Path(__file__).with_name("constraints.txt")
_STAMP = VENV / "installed.json"


def prepare(*extras: str) -> None:
    """Make sure that `.venv` holds everything, ComfyUI and the given extras of pyproject.toml included.

    Raises:
        ToolError: a stage of the set-up failed.
    """
    if PYTHON.exists() and _STAMP.exists():
        installed = json.loads(_STAMP.read_text("utf-8"))
    else:
        installed = {"digest": "", "extras": []}
        _create()
    comfyui.fetch()
    requirements = comfyui.locate() / "requirements.txt"
    # Extras of earlier commands stay, so that `demo` after `test` has nothing to do.
    wanted = {"digest": _digest(requirements), "extras": sorted({"standalone", *extras, *installed["extras"]})}
    if installed == wanted:
        return
    # One resolver run for everything: torch must suit torchvision, torchaudio and this pack at once.
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    pack = f"{ROOT}[{','.join(wanted['extras'])}]"
    stage(
        "Installing torch, ComfyUI's requirements and the tools (once; minutes, 7 GB)",
        [*pip, "--editable", pack, "--requirement", requirements, "--constraint", _CONSTRAINTS],
        "install",
    )
    _STAMP.write_text(json.dumps(wanted), "utf-8")


def enter() -> None:
    """Go on inside `.venv`, by running this very command again with its Python."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        become([PYTHON, *sys.argv])


def _create() -> None:
    if PYTHON.exists():
        pip = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False)
        if pip.returncode == 0:
            return
    # Cleared, because what is there has no working Python or pip: an interrupted set-up, or a Python that
    # has been removed since.
    stage("Creating .venv", [sys.executable, "-m", "venv", "--clear", "--upgrade-deps", VENV], "venv")


def _digest(requirements: Path) -> str:
    tables = re.split(r"^(?=\[)", (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE)
    # Of pyproject.toml only what decides what gets installed: pip need not run for a linter's new setting.
    deciding = ("[build-system]", "[project", "[tool.setuptools")
    parts = [table for table in tables if table.startswith(deciding)]
    parts += [path.read_text("utf-8") for path in (_CONSTRAINTS, requirements)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
