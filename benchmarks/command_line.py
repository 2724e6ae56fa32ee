"""The command line that all benchmarks share: `--help`, `--quick` and a heading."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import torch

from .machine import machine


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of a benchmark that has `--quick`; `read` reads it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="so little that 2 CPU cores need less than two minutes")
    return parser


def read(
    parser: argparse.ArgumentParser,
    quick: Mapping[str, object],
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> argparse.Namespace:
    """Read the command line, and print the heading of all tables that follow.

    Args:
        parser: of `new_parser`.
        quick: what `--quick` puts in the place of the parser's defaults; nothing if the benchmark always is quick. What
            else the command line names still counts.
        device: see `machine`.
        dtype: see `machine`.
    """
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**quick)
        arguments = parser.parse_args()
    reduced = "; quick: few pictures, sizes and rounds" if arguments.quick and quick else ""
    print(machine(device, dtype) + reduced, flush=True)
    return arguments
