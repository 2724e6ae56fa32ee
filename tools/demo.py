"""`dev.py demo`: run one workflow in a ComfyUI of its own and keep the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .client import ComfyClient, Prompt, Result
from .errors import ToolError
from .paths import BASE, LOGS
from .progress import ProgressPrinter
from .server import server_for_person
from .workflow import convert, read, set_input

_LOG = LOGS / "demo.log"


def demo(workflow: Path, assignments: Sequence[str], output: Path) -> None:
    """Run a workflow, write its pictures into `output` and print their paths.

    Raises:
        ToolError: the workflow cannot be read, is rejected by the server or fails.
    """
    graph = read(workflow)
    output.mkdir(parents=True, exist_ok=True)
    with server_for_person(_LOG, output) as server:
        client = ComfyClient(server.url)
        object_info = client.object_info()
        for assignment in assignments:
            set_input(graph, object_info, assignment, BASE / "input")
        prompt = convert(graph, object_info)
        print(f"Running {workflow}")
        try:
            result = client.run(prompt, ProgressPrinter(prompt))
        except ToolError as error:
            raise ToolError(f"{error}\nWhat the server said: {_LOG}") from None
        _show(result, prompt, client, output.absolute())


def _show(result: Result, prompt: Prompt, client: ComfyClient, output: Path) -> None:
    for node, reported in result.outputs.items():
        for text in reported.get("text", []):
            print(f"{prompt[node]['class_type']}: {text}")
    paths = [output / file.subfolder / file.name for file in result.images()]
    if not paths:
        for file in result.images("temp"):
            path = output / file.name
            path.write_bytes(client.view(file))
            paths.append(path)
    print(f"Done in {result.seconds:.1f} s.", *paths, sep="\n  ")
