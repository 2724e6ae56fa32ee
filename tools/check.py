"""`dev.py check`: the linter, the formatter and the type checker."""

from __future__ import annotations

import subprocess
import sys

from .paths import ROOT, TYPECHECK
from .server import link


def check() -> int:
    """Run all three, whatever the first ones find, and return 1 if any has a complaint."""
    TYPECHECK.mkdir(exist_ok=True)
    link(TYPECHECK / "robust_synthesis", ROOT)
    commands = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
    codes = [subprocess.call([sys.executable, "-m", *command], cwd=ROOT) for command in commands]
    return int(any(codes))
