"""Seconds and memory of reading a public checkpoint, before and after its conversion.

Makes a ResNet-50 checkpoint as the `robustness` library leaves it (random weights, everything twice, the optimizer's
state) and prints medians over fresh processes. Memory is what reading adds to a process that has imported torch.
Needs Linux.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from robust_synthesis.models import load_classifier, open_classifier
from robust_synthesis.models.architectures import build_network
from robust_synthesis.models.conversion import conversion_of

from ..command_line import new_parser, read
from ..table import Table
from .processes import added_memory, in_new_process, seconds

ARCHITECTURE, CLASSES = "resnet50", 1000


def plain_torch(path: Path) -> None:
    """What a script does with such a file: read all of it, take the network's part."""
    content = torch.load(path, map_location="cpu", weights_only=True)["model"]
    prefix = "module.model."
    state = {name.removeprefix(prefix): tensor for name, tensor in content.items() if name.startswith(prefix)}
    build_network({"name": ARCHITECTURE}, CLASSES).load_state_dict(state)


def first_load(path: Path) -> None:
    """Read, check, convert, read the conversion."""
    conversion_of(path).unlink(missing_ok=True)
    open_classifier(path)


def later_load(path: Path) -> None:
    """Read the conversion."""
    load_classifier(conversion_of(path))


METHODS: dict[str, Callable[[Path], None]] = {
    "torch.load and load_state_dict": plain_torch,
    "the pack, first load (converts)": first_load,
    "the pack, from then on": later_load,
}


def measure(load: Callable[[Path], None], path: Path) -> tuple[float, int]:
    """Seconds, and bytes added."""
    # Imports the parts of torch that it loads only when they are used.
    build_network({"name": "narrow_resnet", "widths": [4], "blocks": [1], "stem_stride": 1, "activation": "relu"}, 2)
    build_network({"name": "resnet18"}, 2)
    taken = 0.0

    def work() -> None:
        nonlocal taken
        taken = seconds(lambda: load(path))

    added = added_memory(work)
    return taken, added


def write_checkpoint(path: Path) -> int:
    """Write the checkpoint; returns how many numbers the network has."""
    torch.manual_seed(0)
    network = build_network({"name": ARCHITECTURE}, CLASSES)
    own = network.state_dict()
    state: dict[str, Tensor] = {}
    for prefix in ("module.model.", "module.attacker.model."):
        state |= {prefix + name: tensor for name, tensor in own.items()}
    momentum = {index: {"momentum_buffer": p.detach().clone()} for index, p in enumerate(network.parameters())}
    torch.save({"model": state, "optimizer": {"state": momentum, "param_groups": []}, "epoch": 90}, path)
    return sum(tensor.numel() for tensor in own.values())


def main() -> None:
    """Print a row for each way to read the file."""
    parser = new_parser(__doc__)
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    arguments = read(parser, {"runs": 2})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.ckpt"
        numbers = write_checkpoint(path)
        open_classifier(path)
        sizes = [file.stat().st_size / 1e6 for file in (path, conversion_of(path))]
        title = f"{ARCHITECTURE}: {numbers * 4 / 1e6:.0f} MB in float32, checkpoint {sizes[0]:.0f} MB, "
        columns = {"seconds": ".2f", "MB": ".0f", "of the float32 size": ".2f"}
        table = Table(f"{title}conversion {sizes[1]:.0f} MB", columns)
        for name, load in METHODS.items():
            runs = [in_new_process(measure, load, path) for _ in range(arguments.runs)]
            taken, added = (statistics.median(values) for values in zip(*runs, strict=True))
            table.row(name, taken, added / 1e6, added / (numbers * 4))


if __name__ == "__main__":
    main()
