"""Whether a change keeps every picture: the shipped workflows in a real ComfyUI, with the pack of two commits.

    python -m robust_synthesis.benchmarks.same_pictures main --only generate

BEFORE is checked out into a temporary folder. Its workflow files run in its own pack and in this one, because a saved
workflow must go on to work; the files of this working tree run in this pack. Weights of the Hub are random ones, and
training lasts one epoch. Exits with 1 if a picture differs by more than 1/255.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robust_synthesis.tests.checkpoint_layouts import write_robustness_checkpoint
from tools.client import ComfyClient, Prompt
from tools.errors import ToolError
from tools.paths import ROOT
from tools.server import ComfyServer
from tools.workflow import convert, read

Pictures: TypeAlias = "dict[str, NDArray[np.int16]]"
"""`[H, W, C]` in 0 to 255, by the id of the node that saved or showed it and its place there."""
HUB_CLASSIFIER = "resnet50_l2_eps3"
"""The classifier that the examples name and that does not ship."""


@contextlib.contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A commit of this repository in `folder`, as long as the block runs."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


@contextlib.contextmanager
def comfyui(base: Path, pack: Path, checkpoint: Path) -> Iterator[ComfyClient]:
    """A ComfyUI with a pack and a stand-in for the classifier of the Hub."""
    folder = base / "models" / "robust_classifiers"
    folder.mkdir(parents=True)
    (folder / checkpoint.name).symlink_to(checkpoint)
    with ComfyServer.start(base, base / "server.log", pack=pack) as server:
        yield ComfyClient(server.url)


def prompts(client: ComfyClient, pack: Path, only: Collection[str]) -> dict[str, Prompt]:
    """The workflow files of a pack, by name, as prompts without titles."""
    found = {}
    for path in sorted((pack / "workflows").glob("*.json")):
        if not only or path.stem in only:
            prompt = convert(read(path), client.object_info())
            found[path.stem] = {node: _quick(entry) for node, entry in prompt.items()}
    return found


def _quick(entry: dict[str, Any]) -> dict[str, Any]:
    few = {"epochs": 1} if entry["class_type"] == "RobustTrainClassifier" else {}
    return {"class_type": entry["class_type"], "inputs": {**entry["inputs"], **few}}


def pictures(client: ComfyClient, prompt: Prompt) -> Pictures:
    """All pictures that the nodes of a prompt save or show, which ComfyUI writes as PNG."""
    result = client.run(prompt)
    return {
        f"{node}.{place}": np.asarray(Image.open(io.BytesIO(client.view(file)))).astype(np.int16)
        for node in result.outputs
        for place, file in enumerate(result.files(node))
    }


def difference(before: Pictures, after: Pictures) -> int | None:
    """The largest difference in 1/255; None if the pictures are not as many or not as large."""
    if {name: picture.shape for name, picture in before.items()} != {n: p.shape for n, p in after.items()}:
        return None
    return max((int(np.abs(picture - after[name]).max()) for name, picture in before.items()), default=0)


def report(name: str, before: Pictures, after: Pictures | str) -> bool:
    """Print how one workflow went; whether its pictures are the same."""
    if isinstance(after, str):
        print(f"{name:32} failed: {after}", flush=True)
        return False
    found = difference(before, after)
    words = {0: "equal to the bit", None: "another number or size"}.get(found, f"differ by up to {found}/255")
    print(f"{name:32} {len(after):3} pictures, {words}", flush=True)
    return found is not None and found <= 1


def run(client: ComfyClient, prompt: Prompt) -> Pictures | str:
    """The pictures of a prompt, or why there are none."""
    try:
        return pictures(client, prompt)
    except ToolError as error:
        return str(error)


def compare(commit: str, scratch: Path, only: Collection[str]) -> bool:
    """Run and report everything; whether all pictures are the same."""
    checkpoint = scratch / f"{HUB_CLASSIFIER}.ckpt"
    write_robustness_checkpoint(checkpoint, "resnet50", legacy=True)
    with checked_out(commit, scratch / "pack") as pack:
        with comfyui(scratch / "before", pack, checkpoint) as client:
            old = prompts(client, pack, only)
            before = {name: pictures(client, prompt) for name, prompt in old.items()}
        same = True
        with comfyui(scratch / "after", ROOT, checkpoint) as client:
            new, again = prompts(client, ROOT, only), prompts(client, pack, only)
            for name in again:
                after = run(client, again[name])
                same &= report(name, before[name], after)
                if name not in new:
                    print(f"{name:32} is no longer shipped")
                elif new[name] != again[name]:
                    same &= report(f"{name} (its new file)", before[name], run(client, new[name]))
    for name in new.keys() - again.keys():
        print(f"{name:32} is new")
    return same


def main() -> None:
    """Compare the working tree with a commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="BEFORE", help="a commit")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="workflows, as `generate`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(not compare(arguments.before, Path(scratch).resolve(), arguments.only))


if __name__ == "__main__":
    main()
