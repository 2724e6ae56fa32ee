"""Reading classifiers that others have saved: checkpoints of the `robustness` library, plain state dicts.

Nothing in a file is ever run: pickles are read with torch's weights-only reader, and refused where that will not do.
"""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .architectures import build_network
from .checkpoints import LARGEST_PIXEL, CheckpointError, assign_weights, checked_float32, shape_mismatches, weights
from .classifier import ClassifierCard, RobustClassifier
from .labels import LabelsError, labels_of

SAFE_TORCH = (2, 6)
"""Before it the weights-only reader could be made to run code (CVE-2025-32434)."""
WRAPPERS = ("model", "state_dict")
"""Where the `robustness` library keeps the network, now and in older versions."""
PREFIXES = ("module.", "model.")
ATTACKER = "attacker."
MEANS = ("normalizer.new_mean", "attacker.normalize.new_mean")
RENAMED = {".shortcut.": ".downsample.", "linear.": "fc."}
"""The `robustness` library's names for CIFAR's networks, and torchvision's."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR_PREFIX = "cifar_"
HARMLESS = ("torch.", "collections.")
PAGES = (b"<!doc", b"<html", b"<?xml")

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]


def read_third_party(path: Path, about: Mapping[str, Any] | None = None) -> tuple[RobustClassifier, str]:
    """Read a classifier that is not in this pack's format.

    The network is recognised from the names and shapes of its tensors, never from the file's name.

    Args:
        path: a `.ckpt`, `.pt` or `.pth` of the `robustness` library or of a plain state dict, or safetensors.
        about: `title`, `training` and `licence` for its card, where they are known.

    Returns:
        The classifier in float32 on the CPU, and what was recognised, as a phrase.

    Raises:
        CheckpointError: it is not such a file, is not whole, holds something else than tensors and plain values, or
            is of no network that is known.
    """
    found = _tensors(path)
    state = _network_state(found)
    name, classes = _recognised(path, state)
    with torch.device("meta"):
        network = build_network({"name": name}, classes)
    own = weights(network)
    # One number can stand for as many as a tensor likes; a copy would fill the memory.
    for key in own:
        if state[key].numel() * state[key].itemsize > state[key].untyped_storage().nbytes():
            raise CheckpointError(f"{path.name} is refused: its tensor {key} claims more numbers than the file holds.")
    cifar = name.startswith(CIFAR_PREFIX)
    try:
        labels, source = labels_of(path, classes, cifar)
    except LabelsError as error:
        raise CheckpointError(str(error)) from error
    mean, std = _statistics(found, CIFAR if cifar else IMAGENET)
    about = about or {}
    card = ClassifierCard(
        title=str(about.get("title", path.stem)),
        architecture={"name": name},
        labels=labels,
        input_size=32 if cifar else 224,
        mean=mean,
        std=std,
        training=about.get("training", {}),
        licence=str(about.get("licence", "")),
    )
    assign_weights(network, {key: checked_float32(path, key, state[key]) for key in own})
    return RobustClassifier(network, card), f"a {name} with {classes} classes, {source}"


def _tensors(path: Path) -> dict[str, Tensor]:
    """All the tensors of a file that can be weights, by their names."""
    content = _content(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not the tensors of a network.")
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    found = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, Tensor) and _is_plain(tensor)
    }
    if not found:
        names = ", ".join(sorted(str(name) for name in content)[:6]) or "nothing"
        raise CheckpointError(f"{path.name} has no weights of a network in it; it holds {names}.")
    return found


def _is_plain(tensor: Tensor) -> bool:
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return strided and tensor.device.type == "cpu" and tensor.is_floating_point()


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(64)
    if start.lstrip().lower().startswith(PAGES):
        raise CheckpointError(f"{path.name} is a web page, not a checkpoint. Delete it and download the file again.")
    if start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path.name} is not a whole safetensors file: {error}. Fetch it again.") from error
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        raise CheckpointError(
            f"{path.name} is a pickle, which torch {torch.__version__} cannot read safely. Update torch to 2.6 or "
            "newer, or take a safetensors file."
        )
    if start.startswith(b"PK"):
        _refuse_bomb(path)
    try:
        # By its name torch would take a pickle that is called safetensors for one.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is refused: {_found(path, error)}. Nothing of it was run. Take a file that holds only the "
            "weights (a state dict), or safetensors."
        ) from error
    # A file that is cut off or made up fails in as many ways as there are parts of it.
    except Exception as error:
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({_reason(error)}). It may have been cut off while it was copied "
            "or downloaded: fetch it again."
        ) from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that is more when it is unpacked: torch's own are stored as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole checkpoint ({error}). It may have been cut off: fetch it again."
        ) from error
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(
            f"{path.name} is refused: it is an archive that grows when unpacked, as no checkpoint is."
        )


def _found(path: Path, error: Exception) -> str:
    """What torch's reader stopped at."""
    blamed = re.search(r"GLOBAL (\S+)", str(error))
    names = [blamed[1]] if blamed else [name for name in _names(path) if not name.startswith(HARMLESS)]
    if names:
        return f"it asks for {names[0][:100]} (a pickled function or object), which could run code when it is opened"
    return f"it is broken, or holds something else than tensors and plain values ({_reason(error)})"


def _names(path: Path) -> Iterator[str]:
    """The functions and classes that a pickle names. Nothing is imported or run."""
    # A broken pickle fails in as many ways as there are parts of it, and has told then what it can tell.
    with contextlib.suppress(Exception), contextlib.ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(path.open("rb"))
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            stream = stack.enter_context(archive.open(name))
        while True:
            # A file in torch's older format is several pickles in a row.
            strings: list[str] = []
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(strings[-2:])
                elif isinstance(argument, str):
                    strings.append(argument)


def _reason(error: Exception) -> str:
    """What torch says it found, without its advice on how to load the file unsafely."""
    text = str(error)
    if "legacy .tar format" in text:
        return "torch's oldest format, a tar archive, which cannot be read safely"
    found = text.rpartition("WeightsUnpickler error:")[2].strip().split("\n")[0]
    for advice in (" was not an allowed", " by default", ", use `", ". Please use"):
        found = found.split(advice)[0]
    return found[:200] or "a pickle of a kind that cannot be read safely"


def _network_state(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors under torchvision's names: without wrappers, copies and what belongs to others."""
    own = {_bare(name): tensor for name, tensor in found.items() if not _unwrapped(name).startswith(ATTACKER)}
    state = {}
    for name, tensor in own.items():
        for foreign, usual in RENAMED.items():
            if foreign in name and (foreign.startswith(".") or name.startswith(foreign)):
                name = name.replace(foreign, usual)
        state[name] = tensor
    return state


def _unwrapped(name: str) -> str:
    return name.removeprefix("module.")


def _bare(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


@cache
def _layout(name: str) -> tuple[dict[str, tuple[int, ...]], str]:
    """A network's tensors with their shapes, and the name of its head."""
    with torch.device("meta"):
        network = build_network({"name": name}, 2)
    shapes = {key: tuple(tensor.shape) for key, tensor in weights(network).items()}
    return shapes, next(key for key, module in network.named_modules() if module is network.head)


def _recognised(path: Path, state: Mapping[str, Tensor]) -> tuple[str, int]:
    """The network whose tensors these are, and its number of classes."""
    # torchvision takes a second to import, and the bundled classifiers do without.
    from .torchvision_networks import NETWORKS

    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if not any(len(shape) == 2 for shape in shapes.values()):
        raise CheckpointError(f"{path.name} has no last layer of a classifier: it is another kind of model.")
    faults: dict[str, list[str]] = {}
    for name in NETWORKS:
        expected, head = _layout(name)
        rows = shapes.get(f"{head}.weight", ())
        classes = rows[0] if len(rows) == 2 and rows[0] >= 2 else 2
        of_head = {f"{head}.weight": (classes, expected[f"{head}.weight"][1]), f"{head}.bias": (classes,)}
        faults[name] = [*shape_mismatches(expected | of_head, shapes).values(), *_besides(expected, shapes)]
        if not faults[name]:
            return name, classes
    nearest = min(faults, key=lambda name: len(faults[name]))
    more = f"; and {len(faults[nearest]) - 3} more" if len(faults[nearest]) > 3 else ""
    raise CheckpointError(
        f"{path.name} is of no network that this pack knows. The nearest is {nearest}, but "
        f"{'; '.join(faults[nearest][:3])}{more}. Known are: {', '.join(NETWORKS)}."
    )


def _besides(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What a network of more layers has in the same parts; other parts are nothing of the network's."""
    parts = {name.split(".")[0] for name in expected}
    return [f"it has {name} besides" for name in found if name not in expected and name.split(".")[0] in parts]


def _statistics(found: Mapping[str, Tensor], usual: Statistics) -> Statistics:
    """Mean and deviation that the network was trained with: the file's own, else the data set's."""
    for name, tensor in found.items():
        deviation = found.get(name.replace("new_mean", "new_std"))
        if _unwrapped(name) in MEANS and deviation is not None and tensor.numel() == deviation.numel() == 3:
            mean, std = ([round(v, 6) for v in values.flatten().tolist()] for values in (tensor, deviation))
            if all(abs(m) <= LARGEST_PIXEL for m in mean) and all(1 / LARGEST_PIXEL <= s <= LARGEST_PIXEL for s in std):
                return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
    return usual
