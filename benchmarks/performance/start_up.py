"""What the pack adds to ComfyUI's start: its import and its entry point, once torch and all of ComfyUI are loaded."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ..command_line import new_parser, read

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 0.3
PROGRAM = """
import asyncio, sys, time
comfyui, root, base = sys.argv[1:]
sys.path[:0] = [comfyui, root]
sys.argv = ["main.py", "--cpu", "--base-directory", base]
import comfy.options
comfy.options.enable_args_parsing()
import comfy.model_management, comfy.model_patcher, comfy.utils, folder_paths, nodes, comfy_api.latest, server
sys.modules.pop("robust_synthesis", None)
started = time.perf_counter()
import robust_synthesis
async def start():
    extension = await robust_synthesis.comfy_entrypoint()
    await extension.on_load()
    for node in await extension.get_node_list():
        node.GET_SCHEMA()
asyncio.run(start())
print("seconds", time.perf_counter() - started)
"""


def main() -> None:
    """Print each run and the median."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--comfyui", default=os.environ.get("COMFYUI_PATH"), metavar="DIR", help="its folder (default: $COMFYUI_PATH)"
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    arguments = read(parser, {"runs": 2})
    if not arguments.comfyui:
        parser.error("name ComfyUI's folder with --comfyui")
    times = []
    with tempfile.TemporaryDirectory() as base:
        command = [sys.executable, "-c", PROGRAM, arguments.comfyui, str(ROOT), base]
        for _ in range(arguments.runs):
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            times.append(float(output.split("seconds")[-1]))
    print("added to ComfyUI's start:", ", ".join(f"{value:.3f} s" for value in times))
    print(f"median {statistics.median(times):.3f} s (limit {LIMIT} s)")


if __name__ == "__main__":
    main()
