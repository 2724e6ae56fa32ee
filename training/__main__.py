"""The command line: a robust classifier from a folder of pictures.

From ComfyUI's folder, where the pack is installed as a custom node, with ComfyUI's Python:
`python -m custom_nodes.robust-synthesis.training --data input/flowers --out models/robust_classifiers/flowers`.
Where the pack is installed as a package: `python -m robust_synthesis.training`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from ..models.devices import fastest_device, usable_device
from . import (
    RECIPES,
    CardInfo,
    EvalRecord,
    Progress,
    Recipe,
    RunError,
    RunPaths,
    TrainingRecord,
    beginning,
    distributed,
    fine_tuning,
    read_data,
    train,
)

PRINT_SECONDS = 15.0


def main() -> int:
    """Read the command line, and train."""
    arguments = _parse()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A log file of Windows cannot hold every name.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Of the processes that torchrun starts, one on each machine says what is wrong.
    speaks = distributed.local_rank() == 0
    stop = Stop()
    try:
        recipe = _recipe(arguments)
        device = usable_device(distributed.own_device(arguments.device or fastest_device()))
        if distributed.launched():
            distributed.join(device)
        with contextlib.redirect_stdout(sys.stdout if distributed.rank() == 0 else None):
            _train(arguments, recipe, device, stop)
    except (ValueError, RunError, OSError) as error:
        # It may be the matter of one process alone, as a GPU that is not there.
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if speaks:
            print("\nStopped. The same command resumes.", file=sys.stderr)
        return 130
    distributed.leave()
    return 0


def _train(arguments: argparse.Namespace, recipe: Recipe, device: torch.device, stop: Stop) -> None:
    # The extension is appended, because a name may have a dot.
    out: Path = arguments.out or Path(arguments.data.resolve().stem)
    name = out.name.removesuffix(".safetensors")
    if not name.strip("."):
        raise RunError(f"'{out}' is no name for a classifier: write one behind --out.")
    paths = RunPaths(out.with_name(f"{name}.safetensors"), out.with_name(f"{name}-training"))
    if paths.folder.resolve().is_relative_to(arguments.data.resolve()):
        raise RunError(f"{paths.result} would be among the pictures: write another place behind --out.")
    about = arguments.about_data or f"'{arguments.data.name}'"
    info = CardInfo(arguments.title or name, about, arguments.licence, _command(arguments))
    near = distributed.from_first(lambda: beginning(paths).near_copies)
    data = read_data(arguments.data, recipe.input_size, _ReadingReporter(stop), near)
    counts = f"{len(data.train)} training and {len(data.validation)} validation pictures"
    print(f"\n{len(data.labels)} classes, {counts}")
    print(data.left_out, end="\n" if str(data.left_out) else "")
    classifier = train(data, recipe, paths, info, device, arguments.epochs, _TrainingReporter(stop))
    figures = TrainingRecord.from_dict(classifier.card.training).evaluation
    assert figures is not None, "the run has finished"
    robust = "".join(f", epsilon {epsilon}: {share:.1%}" for epsilon, share in figures.robust_accuracies.items())
    print(f"Clean {figures.clean_accuracy:.1%}{robust} ({figures.measured_on}, {figures.attack})")
    print(paths.result, paths.result.with_suffix(".md"), paths.folder, sep="\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description="Train a robust classifier on a folder of class folders, or a zip of one. The same command resumes "
        "a run that was stopped.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="the folder, or the zip")
    parser.add_argument(
        "--out", type=Path, metavar="NAME", help="NAME.safetensors, NAME.md and NAME-training/ (default: the data's)"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="quick")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="of stage one, instead of the recipe's; 0, with --fine-tune and --stage-two-steps: begin with stage two",
    )
    parser.add_argument(
        "--epsilon", type=float, metavar="E", help="instead of the recipe's; smaller learns more easily"
    )
    parser.add_argument(
        "--cutmix-prob",
        "--cut-mix",
        type=float,
        metavar="P",
        help="probability that a batch is mixed by CutMix, instead of the recipe's",
    )
    parser.add_argument(
        "--fine-tune",
        default="",
        metavar="CLASSIFIER",
        help="begin with every layer but the last of a bundled classifier, by name, or of a file; the network is its",
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument(
        "--learning-rate", type=float, metavar="R", help="the peak for a batch of 128, instead of the recipe's"
    )
    parser.add_argument(
        "--preconditioned-epsilon",
        type=float,
        metavar="E",
        help="half of each batch is attacked in an L2 ball of this radius along the gradients that the sampler follows",
    )
    parser.add_argument(
        "--stage-two",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="then train it against its own pictures (dual adversarial training)",
    )
    parser.add_argument(
        "--stage-two-steps",
        type=int,
        metavar="N",
        help="how many steps stage two has (default: as many as take a quarter of stage one's work)",
    )
    parser.add_argument("--title", help="for the model card (default: the name)")
    parser.add_argument("--about-data", metavar="TEXT", help="where the pictures are from, and on what terms")
    parser.add_argument("--licence", default="", help="of the weights")
    parser.add_argument("--device", help="cpu, cuda or mps (default: the fastest there is)")
    arguments = parser.parse_args()
    _refuse_bad_values(parser, arguments)
    return arguments


def _refuse_bad_values(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.stage_two_steps is not None:
        if arguments.stage_two_steps < 1:
            parser.error(f"--stage-two-steps {arguments.stage_two_steps}: it must be 1 or more")
        if not arguments.stage_two:
            parser.error("--stage-two-steps and --no-stage-two contradict each other")
    begun = arguments.fine_tune and arguments.stage_two_steps
    if arguments.epochs is not None and arguments.epochs < (0 if begun else 1):
        parser.error(f"--epochs {arguments.epochs}: it must be 1 or more, or 0 with --fine-tune and --stage-two-steps")
    if arguments.batch_size is not None and arguments.batch_size < 2:
        parser.error(f"--batch-size {arguments.batch_size}: it must be 2 or more")
    if arguments.learning_rate is not None and not arguments.learning_rate > 0:
        parser.error(f"--learning-rate {arguments.learning_rate}: it must be above 0")
    if arguments.cutmix_prob is not None and not 0 <= arguments.cutmix_prob <= 1:
        parser.error(f"--cutmix-prob {arguments.cutmix_prob}: it must be from 0 to 1")
    if arguments.preconditioned_epsilon is not None and not 0 <= arguments.preconditioned_epsilon < float("inf"):
        parser.error(f"--preconditioned-epsilon {arguments.preconditioned_epsilon}: it must be 0 or more")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    recipe = RECIPES[arguments.recipe]
    if arguments.epsilon is not None:
        recipe = replace(recipe, attack=replace(recipe.attack, epsilon=arguments.epsilon))
    if arguments.cutmix_prob is not None:
        recipe = replace(recipe, cutmix_prob=arguments.cutmix_prob, small_data_cutmix_prob=arguments.cutmix_prob)
    if arguments.batch_size is not None:
        recipe = replace(recipe, batch_size=arguments.batch_size)
    if arguments.learning_rate is not None:
        recipe = replace(recipe, learning_rate=arguments.learning_rate)
    if arguments.preconditioned_epsilon is not None:
        recipe = replace(recipe, preconditioned_epsilon=arguments.preconditioned_epsilon)
    if arguments.fine_tune:
        recipe = fine_tuning(recipe, arguments.fine_tune)
    if not arguments.stage_two:
        return replace(recipe, contrastive=None)
    if arguments.stage_two_steps is not None:
        assert recipe.contrastive is not None, "every recipe has a stage two"
        recipe = replace(recipe, contrastive=replace(recipe.contrastive, steps=arguments.stage_two_steps))
    return recipe


def _command(arguments: argparse.Namespace) -> str:
    """What decides the classifier, as a command; files by their names alone."""
    words = ["python", "-m", "robust_synthesis.training", "--data", arguments.data.name, "--recipe", arguments.recipe]
    if arguments.fine_tune:
        words += ["--fine-tune", Path(arguments.fine_tune).name]
    for option in ("epochs", "epsilon", "batch_size", "learning_rate", "cutmix_prob", "preconditioned_epsilon"):
        value = getattr(arguments, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", f"{value:g}"]
    if arguments.stage_two_steps:
        words += ["--stage-two-steps", str(arguments.stage_two_steps)]
    elif not arguments.stage_two:
        words.append("--no-stage-two")
    return shlex.join(words)


class Stop:
    """Defers Control-C to the end of a step, so that no work is lost."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGINT, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was pressed."""
        if self.requested:
            raise KeyboardInterrupt


class _TrainingReporter:
    """Prints a line every 15 seconds, and one for each evaluation."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.next = 0.0
        self.evaluated: EvalRecord | None = None

    def __call__(self, progress: Progress) -> None:
        self.stop.check()
        if time.monotonic() >= self.next or progress.latest != self.evaluated:
            print(progress, flush=True)
            self.next, self.evaluated = time.monotonic() + PRINT_SECONDS, progress.latest


class _ReadingReporter:
    """Counts pictures on one line."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.done = 0

    def __call__(self, done: int, count: int) -> None:
        self.stop.check()
        if done > self.done and (done % 1000 == 0 or done == count):
            self.done = done
            print(f"\rRead {done} of {count} pictures", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
