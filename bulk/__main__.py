"""The command line: `robust-synthesis generate --class church --count 1000 --out churches`.

Where the pack is installed as a package; else `python -m robust_synthesis.bulk`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..models import CheckpointError
from ..models.devices import fastest_device, usable_device
from ..models.names import label_names
from ..synthesis import single_class
from .cluster import Cluster
from .jobs import OPERATIONS, Job
from .making import load
from .run import make_all
from .tables import read_table

ALL = "all"
SUMMARIES = {
    "generate": "pictures of classes",
    "translate": "pictures become another class",
    "upsample": "pictures in more pixels",
    "inpaint": "what a mask covers is filled",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, and make the pictures."""
    options = _parse(arguments)
    try:
        cluster = None if options.ray is None else Cluster(options.ray or None, options.workers)
        # On a cluster each worker knows its own.
        device = options.device or "" if cluster else str(usable_device(options.device or fastest_device()))
        jobs = read_table(options.table) if options.operation == "jobs" else _jobs(options, device or "cpu")
        with tqdm(unit="picture", smoothing=0.05) as bar:
            summary = make_all(
                jobs,
                options.out,
                device=device,
                batch_size=options.batch,
                shard_size=options.shards,
                cluster=cluster,
                report=lambda done, count: _show(bar, done, count),
            )
    except (ValueError, CheckpointError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command resumes.", file=sys.stderr)
        return 130
    print(f"{summary.made} made, {summary.count - len(summary.failures)} of {summary.count} in {options.out}")
    for failure in summary.failures:
        print(f"Not made: {failure}", file=sys.stderr)
    return int(bool(summary.failures))


def _show(bar: tqdm[None], done: int, count: int) -> None:
    if bar.total is None:
        # Rate and time left are those of this run.
        bar.reset(count)
        bar.initial = done
    bar.update(done - bar.n)


def _jobs(options: argparse.Namespace, device: str) -> list[Job]:
    classes = options.target_class or [""]
    if ALL in classes:
        labels = load(options.classifier, device).model.card.labels
        others = [text for text in classes if text != ALL and single_class(text, labels) is None]
        classes = [*(_text_of(index, labels) for index in range(len(labels))), *others]
    common: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("operation", "classifier", "preset", "seed", "count", "picture", "mask", "factor")
        if hasattr(options, name)
    }
    width, height = options.size if options.operation == "generate" else (0, 0)
    values = dict(options.set)
    return [Job(**common, target_class=name, values=values, width=width, height=height) for name in classes]


def _text_of(index: int, labels: Sequence[str]) -> str:
    """A text that means this class: its name; where classes share that, all its names; or else its number."""
    texts = (label_names(labels[index])[0], labels[index])
    return next((text for text in texts if single_class(text, labels) == index), str(index))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="robust-synthesis",
        description="Make many pictures. The same command goes on with a run that was stopped.",
    )
    commands = parser.add_subparsers(dest="operation", required=True, metavar="OPERATION")
    for operation in OPERATIONS:
        _add_operation(commands.add_parser(operation, help=SUMMARIES[operation]), operation)
    table = commands.add_parser("jobs", help="what a table says: CSV, JSON Lines or Parquet")
    table.add_argument(
        "table", type=Path, metavar="TABLE", help="its columns are the fields of a job; see docs/bulk.md"
    )
    for command in commands.choices.values():
        _add_run(command)
    options = parser.parse_args(arguments)
    for name, least in (("batch", 1), ("shards", 0), ("workers", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name} {getattr(options, name)}: it must be {least} or more")
    return options


def _add_operation(command: argparse.ArgumentParser, operation: str) -> None:
    command.add_argument(
        "--class",
        dest="target_class",
        action="append",
        metavar="CLASS",
        required=operation == "generate",
        help=f"a class, or a mix (sea:0.7, mountain:0.3); may be repeated; {ALL}: each of the classifier's",
    )
    command.add_argument("--classifier", default="canvas", help="a bundled one, by name, or a file (default: canvas)")
    command.add_argument("--preset", default="", help="of the settings (default: that of the operation)")
    command.add_argument(
        "--set", type=_value, action="append", default=[], metavar="KEY=VALUE", help="change a value of the preset"
    )
    command.add_argument("--seed", type=int, default=0, help="of the first picture of each class (default: 0)")
    command.add_argument("--count", type=int, default=1, help="pictures of each class, or of each picture (default: 1)")
    if operation == "generate":
        command.add_argument("--size", type=_size, default=(0, 0), metavar="WxH", help="default: the classifier's")
        return
    command.add_argument("--from", dest="picture", required=True, metavar="PATH", help="a picture, or a folder of them")
    if operation == "inpaint":
        command.add_argument("--mask", required=True, metavar="PATH", help="white where to fill; or a folder of masks")
    if operation == "upsample":
        command.add_argument("--factor", type=int, default=2, help="from 2 to 8 (default: 2)")


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--batch", type=int, default=16, metavar="N", help="pictures made together (default: 16)")
    command.add_argument(
        "--shards", type=int, default=0, metavar="N", help="WebDataset shards of N pictures instead of picture files"
    )
    command.add_argument("--device", help="cpu, cuda or mps (default: the fastest there is)")
    command.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS", help="on a Ray cluster: this machine's own, or the one named"
    )
    command.add_argument("--workers", type=int, default=0, metavar="N", help="with --ray (default: one for each GPU)")


def _value(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT, as 512x384") from None


if __name__ == "__main__":
    sys.exit(main())
