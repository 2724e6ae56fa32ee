"""A small synchronous client for a ComfyUI server: what the front end does over HTTP and its web socket."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import websocket

from .errors import ToolError

Prompt: TypeAlias = "dict[str, dict[str, Any]]"
"""A workflow in API format: node id -> class_type, inputs, _meta."""

_TEXT, _PREVIEW_WITH_METADATA = 3, 4

# A proxy of the environment must not get to see requests to this very machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Event:
    """One web socket message: ComfyUI's own name and data; `preview` with the encoded picture; `text` of a node."""

    kind: str
    data: dict[str, Any]
    image: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class File:
    """A file that a node has written, as the server names it. `folder` is `output` or `temp`."""

    name: str
    subfolder: str
    folder: str


@dataclass(frozen=True)
class Result:
    """How one prompt went, finished or not."""

    prompt_id: str
    events: list[Event]
    history: dict[str, Any]
    """The server's own record: outputs, status."""

    @property
    def outputs(self) -> dict[str, dict[str, list[Any]]]:
        """What each output node reported, by node id: `{"images": [...]}`, `{"text": [...]}`."""
        outputs: dict[str, dict[str, list[Any]]] = self.history["outputs"]
        return outputs

    @property
    def cached(self) -> set[str]:
        """The ids of the nodes that did not have to run."""
        return {node for event in self.events if event.kind == "execution_cached" for node in event.data["nodes"]}

    @property
    def seconds(self) -> float:
        """How long the server worked on it, by its own clock."""
        times = [message["timestamp"] for _, message in self.history["status"]["messages"]]
        return float(times[-1] - times[0]) / 1000

    @property
    def previews(self) -> list[Event]:
        """The pictures that nodes sent while they worked."""
        return [event for event in self.events if event.kind == "preview"]

    def messages(self, node: str | None = None) -> list[str]:
        """What the nodes, or one of them, said while they ran, as the front end shows it on them."""
        texts = [event.data for event in self.events if event.kind == "text"]
        return [text["text"] for text in texts if node in (None, text["node"])]

    def files(self, node: str) -> list[File]:
        """The pictures that a node has saved or shows."""
        images = self.outputs[node].get("images", [])
        return [File(image["filename"], image["subfolder"], image["type"]) for image in images]

    def images(self, folder: str = "output") -> list[File]:
        """The saved pictures of all nodes, or with `folder="temp"` those that are only shown."""
        return [file for node in self.outputs for file in self.files(node) if file.folder == folder]


class RejectedError(ToolError):
    """The server found mistakes in a prompt and did not run it, or not all of it."""

    def __init__(self, prompt: Prompt, answer: dict[str, Any]) -> None:
        # Absent where only some of the outputs are wrong: then the server starts on the others.
        error = answer.get("error") or {"message": "Some outputs failed validation"}
        lines = [": ".join(filter(None, [error["message"], error.get("details")]))]
        for node, found in (answer.get("node_errors") or {}).items():
            lines += [f"  {describe(prompt, node)}: {e['message']}: {e['details']}" for e in found["errors"]]
        super().__init__("The server rejected the workflow. " + "\n".join(lines))


class ExecutionError(ToolError):
    """A node failed while it ran."""

    def __init__(self, prompt: Prompt, result: Result, data: dict[str, Any]) -> None:
        self.result = result
        self.node: str = data["node_id"]
        self.exception_message: str = data["exception_message"].strip()
        super().__init__(f"{describe(prompt, self.node)}: {self.exception_message} ({data['exception_type']})")


class InterruptedRunError(ToolError):
    """The run was cancelled."""

    def __init__(self, prompt: Prompt, result: Result, data: dict[str, Any]) -> None:
        self.result = result
        super().__init__(f"{describe(prompt, data['node_id'])}: cancelled")


class ComfyClient:
    """Talks to the server at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def system_stats(self) -> dict[str, Any]:
        """Versions, devices and memory."""
        return self._json("/system_stats")

    def object_info(self) -> dict[str, Any]:
        """Every node type with its inputs and outputs."""
        return self._json("/object_info")

    def history(self) -> dict[str, Any]:
        """The server's record of every finished prompt, by prompt id."""
        return self._json("/history")

    def interrupt(self) -> None:
        """Cancel what runs."""
        self._request("/interrupt", {})

    def free(self) -> None:
        """Let the server drop its models and cached results; it does so a moment later, when it is idle."""
        self._request("/free", {"unload_models": True, "free_memory": True})

    def view(self, file: File) -> bytes:
        """The content of a file that a node has written."""
        query = {"filename": file.name, "subfolder": file.subfolder, "type": file.folder}
        return self._request(f"/view?{urllib.parse.urlencode(query)}")

    def run(self, prompt: Prompt, on_event: Callable[[Event], object] = lambda _event: None) -> Result:
        """Run a prompt to its end.

        Args:
            prompt: the workflow in API format.
            on_event: called with every message of the server as it comes; may call this client.

        Raises:
            RejectedError: the prompt has mistakes.
            ExecutionError: a node failed.
            InterruptedRunError: the run was cancelled.
            ToolError: the server went away.
        """
        client_id = uuid.uuid4().hex
        events: list[Event] = []
        address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        with contextlib.closing(websocket.create_connection(address, http_no_proxy=["*"])) as socket:
            socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
            # Its answer says that the flags hold: only then can a preview tell which node it is of.
            while _receive(socket).kind != "feature_flags":
                pass
            prompt_id = self._submit(prompt, client_id)
            while True:
                event = _receive(socket)
                if event.data.get("prompt_id", prompt_id) != prompt_id:
                    continue
                events.append(event)
                on_event(event)
                if event.kind == "executing" and event.data["node"] is None:
                    break
        result = Result(prompt_id, events, self._json(f"/history/{prompt_id}")[prompt_id])
        for kind, data in result.history["status"]["messages"]:
            if kind == "execution_error":
                raise ExecutionError(prompt, result, data)
            if kind == "execution_interrupted":
                raise InterruptedRunError(prompt, result, data)
        return result

    def _submit(self, prompt: Prompt, client_id: str) -> str:
        try:
            answer = self._json("/prompt", {"prompt": prompt, "client_id": client_id})
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            raise RejectedError(prompt, json.load(error)) from None
        if answer["node_errors"]:
            self._request("/queue", {"delete": [answer["prompt_id"]]})
            self._request("/interrupt", {"prompt_id": answer["prompt_id"]})
            raise RejectedError(prompt, answer)
        return str(answer["prompt_id"])

    def _json(self, path: str, body: object = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._request(path, body))
        return answer

    def _request(self, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with _open(request, timeout=60) as response:
            content: bytes = response.read()
        return content


def describe(prompt: Prompt, node: str) -> str:
    """A node as a person knows it: `Save Image (node 4)`."""
    entry = prompt[node]
    return f"{entry.get('_meta', {}).get('title') or entry['class_type']} (node {node})"


def _receive(socket: websocket.WebSocket) -> Event:
    try:
        message = socket.recv()
    except (websocket.WebSocketConnectionClosedException, ConnectionError):
        raise ToolError("The server went away.") from None
    if isinstance(message, str):
        content = json.loads(message)
        return Event(content["type"], content["data"])
    kind, size = (int.from_bytes(message[at : at + 4], "big") for at in (0, 4))
    header, rest = message[8 : 8 + size], bytes(message[8 + size :])
    if kind == _PREVIEW_WITH_METADATA:
        return Event("preview", json.loads(header), rest)
    if kind == _TEXT:
        return Event("text", {"node": header.decode(), "text": rest.decode()})
    return Event("binary", {}, bytes(message))
