"""What the pack adds to ComfyUI's start: its import and its entry point, where torch and all of ComfyUI are loaded.

`python -m robust_synthesis.benchmarks.start_up` prints the median over fresh processes; the limit is 0.3 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import asyncio, sys, time
sys.path[:0] = [{comfyui!r}, {root!r}]
sys.argv = ["main.py", "--cpu", "--base-directory", {base!r}]
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


def main(runs: int = 5) -> None:
    """Print each run and the median."""
    sys.path.insert(0, str(ROOT))
    from tools.comfyui import locate

    base = ROOT / ".comfyui" / "benchmark-base"
    base.mkdir(parents=True, exist_ok=True)
    program = PROGRAM.format(comfyui=str(locate()), root=str(ROOT), base=str(base))
    seconds = []
    for _ in range(runs):
        output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        seconds.append(float(output.split("seconds")[-1]))
    print("added to ComfyUI's start:", ", ".join(f"{value:.3f} s" for value in seconds))
    print(f"median {statistics.median(seconds):.3f} s (limit 0.3 s)")


if __name__ == "__main__":
    main()
