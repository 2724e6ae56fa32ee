"""Reading a public checkpoint before and after its conversion: seconds and memory, each in a process of its own.

`python -m robust_synthesis.benchmarks.loading` makes a ResNet-50 checkpoint as the `robustness` library leaves it
(random weights, everything twice, the optimizer's state), and prints the median over fresh processes on two threads.
Memory is the highest that reading adds to a process in which torch is already imported; it needs Linux.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.conversion import conversion_of, open_classifier
from robust_synthesis.models.format import load_classifier

from .memory import added_by

ARCHITECTURE, CLASSES = "resnet50", 1000
RUNS = 5
THREADS = 2


def plainly(path: Path) -> object:
    """What a script does with such a file: read all of it, take the network's part."""
    content = torch.load(path, map_location="cpu", weights_only=True)["model"]
    prefix = "module.model."
    state = {name.removeprefix(prefix): tensor for name, tensor in content.items() if name.startswith(prefix)}
    network = build_network({"name": ARCHITECTURE}, CLASSES)
    network.load_state_dict(state)
    return network


def first(path: Path) -> object:
    """The pack's first load: read, check, convert, read the conversion."""
    conversion_of(path).unlink(missing_ok=True)
    return open_classifier(path)


def later(path: Path) -> object:
    """The pack's second load and all that follow."""
    return load_classifier(conversion_of(path))


WAYS: dict[str, Callable[[Path], object]] = {
    "torch.load and load_state_dict": plainly,
    "the pack, first load (converts)": first,
    "the pack, from then on": later,
}


def main() -> None:
    """Print a row for each way to read the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.ckpt"
        floats = _write(path)
        open_classifier(path)
        sizes = [file.stat().st_size / 1e6 for file in (path, conversion_of(path))]
        print(f"{ARCHITECTURE}: {floats / 1e6:.1f} M numbers, {floats * 4 / 1e6:.0f} MB in float32")
        print(f"checkpoint {sizes[0]:.0f} MB, conversion {sizes[1]:.0f} MB\n")
        print("|  | seconds | memory | of the float32 size |\n|---|---|---|---|")
        for name in WAYS:
            runs = [_measured(name, path) for _ in range(RUNS)]
            seconds, added = (statistics.median(values) for values in zip(*runs, strict=True))
            print(f"| {name} | {seconds:.2f} | {added / 1e6:.0f} MB | {added / (floats * 4):.2f} |", flush=True)


def _write(path: Path) -> int:
    torch.manual_seed(0)
    network = build_network({"name": ARCHITECTURE}, CLASSES)
    own = network.state_dict()
    state: dict[str, Tensor] = {}
    for prefix in ("module.model.", "module.attacker.model."):
        state |= {prefix + name: tensor for name, tensor in own.items()}
    momentum = {index: {"momentum_buffer": p.detach().clone()} for index, p in enumerate(network.parameters())}
    torch.save({"model": state, "optimizer": {"state": momentum, "param_groups": []}, "epoch": 90}, path)
    return sum(tensor.numel() for tensor in own.values())


def _measured(name: str, path: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "robust_synthesis.benchmarks.loading", name, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, added = json.loads(output)
    return seconds, added


def _measure(name: str, path: Path) -> None:
    torch.set_num_threads(THREADS)
    # The parts of torch that are only imported when they are used.
    build_network({"name": "narrow_resnet", "widths": [4], "blocks": [1], "stem_stride": 1, "activation": "relu"}, 2)
    build_network({"name": "resnet18"}, 2)
    seconds = 0.0

    def work() -> None:
        nonlocal seconds
        started = time.perf_counter()
        WAYS[name](path)
        seconds = time.perf_counter() - started

    added = added_by(work)
    print(json.dumps([seconds, added]))


if __name__ == "__main__":
    if sys.argv[1:]:
        _measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
