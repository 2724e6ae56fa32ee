"""Writes a public network as a file to fine-tune: `python -m tools.public_start lite0.safetensors`.

`python -m robust_synthesis.training --fine-tune lite0.safetensors` begins with it; see docs/training.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_synthesis.benchmarks.training.public_network import public_classifier
from robust_synthesis.models import save_classifier


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the .safetensors to write")
    save_classifier(public_classifier(), parser.parse_args().file)


if __name__ == "__main__":
    main()
