"""`python -m robust_synthesis.training --data PATH --out NAME`: a robust classifier from a folder of pictures."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from . import RECIPES, CardInfo, Progress, RunError, RunPaths, read_data, train

SAY_SECONDS = 15.0


def main() -> int:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(
        prog="python -m robust_synthesis.training",
        description="Train a robust classifier on a folder of class folders, or a zip of one. The same command goes on "
        "with a run that was stopped.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="the folder, or the zip")
    parser.add_argument(
        "--out", type=Path, metavar="NAME", help="NAME.safetensors, NAME.md and NAME-training/; the data's by default"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="quick")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument(
        "--epsilon", type=float, metavar="E", help="instead of the recipe's; smaller learns more easily"
    )
    parser.add_argument(
        "--cut-mix",
        type=float,
        metavar="SHARE",
        help="of batches in which pictures are cut together; the recipe's by default",
    )
    parser.add_argument("--title", help="for the model card; the name by default")
    parser.add_argument("--about-data", metavar="TEXT", help="where the pictures are from, and on what terms")
    parser.add_argument("--licence", default="", help="of the weights")
    parser.add_argument("--device", help="cpu, cuda or mps; the fastest there is by default")
    arguments = parser.parse_args()
    if arguments.epochs is not None and arguments.epochs < 1:
        parser.error(f"--epochs {arguments.epochs}: it must be 1 or more")
    if arguments.cut_mix is not None and not 0 <= arguments.cut_mix <= 1:
        parser.error(f"--cut-mix {arguments.cut_mix}: it must be from 0 to 1")
    recipe = RECIPES[arguments.recipe]
    stop = Stop()
    try:
        if arguments.epsilon is not None:
            recipe = replace(recipe, attack=replace(recipe.attack, epsilon=arguments.epsilon))
        if arguments.cut_mix is not None:
            recipe = replace(recipe, cut_mix=arguments.cut_mix, few_cut_mix=arguments.cut_mix)
        device = usable(arguments.device or fastest())
        # With its extension, so that a name with a dot in it stays whole.
        out = arguments.out or Path(arguments.data.stem)
        out = out.with_name(out.name.removesuffix(".safetensors"))
        place = RunPaths(out.with_name(f"{out.name}.safetensors"), out.with_name(f"{out.name}-training"))
        about = CardInfo(
            arguments.title or out.name, arguments.about_data or f"'{arguments.data.name}'", arguments.licence
        )
        data = read_data(arguments.data, recipe.input_size, _Reading(stop))
        print(
            f"\n{len(data.labels)} classes, {len(data.train)} pictures to train and {len(data.validation)} to validate"
        )
        if data.left_out:
            print(data.left_out)
        classifier = train(data, recipe, place, about, device, arguments.epochs, _Reporter(stop))
    except (ValueError, RunError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    figures = classifier.card.training
    print(f"Clean {figures['clean_accuracy']:.1%}", end="")
    for epsilon, share in figures["robust_accuracies"].items():
        print(f", epsilon {epsilon}: {share:.1%}", end="")
    print(f" ({figures['measured_on']}, {figures['attack']})")
    print(place.result, place.result.with_suffix(".md"), place.folder, sep="\n")
    return 0


def fastest() -> str:
    """The fastest kind of device that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usable(name: str) -> torch.device:
    """A device of this machine.

    Raises:
        ValueError: it has none of that name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"There is no device '{name}' here: {error}") from error
    return device


class Stop:
    """Control-C waits for the end of a step, so that it costs nothing."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was pressed."""
        if self.asked:
            raise KeyboardInterrupt


class _Reporter:
    """Prints a line now and then, and one for each measurement."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.next = 0.0
        self.measured = 0

    def __call__(self, progress: Progress) -> None:
        self.stop.check()
        measured = progress.latest.epoch if progress.latest else 0
        if time.monotonic() >= self.next or measured > self.measured:
            print(progress, flush=True)
            self.next, self.measured = time.monotonic() + SAY_SECONDS, measured


class _Reading:
    """Counts on one line."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def __call__(self, done: int, count: int) -> None:
        self.stop.check()
        if done % 1000 == 0 or done == count:
            print(f"\rRead {done} of {count} pictures", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
