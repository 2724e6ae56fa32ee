"""Where the tools keep things. Everything below is git-ignored and can be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
TYPECHECK = VENV / "typecheck"
STATE = ROOT / ".comfyui"
BASE = STATE / "base"
LOGS = STATE / "logs"
OUTPUT = ROOT / "output"
