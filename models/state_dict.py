"""A network's state dict: compare it with tensors of a file, check those, and assign them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]


class CheckpointError(ValueError):
    """A file that is not a classifier this pack can read; the message names the file and what is wrong."""


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict without `num_batches_tracked`, which only training needs."""
    state: dict[str, Tensor] = network.state_dict()
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def shape_mismatches(expected: Shapes, found: Shapes) -> dict[str, str]:
    """Compare the shapes of a network's weights with those of a file: a phrase for each that is missing or differs."""
    wrong = {name: f"it lacks {name}" for name in expected if name not in found}
    for name, shape in expected.items():
        if name in found and found[name] != shape:
            wrong[name] = f"{name} is {list(found[name])} instead of {list(shape)}"
    return dict(sorted(wrong.items()))


def checked_float32(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Copy a tensor of a file to float32, so that it no longer refers to the file's memory.

    Raises:
        CheckpointError: it holds something else than finite numbers.
    """
    if tensor.is_floating_point():
        copy = tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        if bool(copy.isfinite().all()):
            return copy
    raise CheckpointError(
        f"{path.name} is not a classifier this pack can load: its tensor {name} holds something else than finite "
        "numbers."
    )


def refuse_expanded(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse expanded (stride-0) tensors: they claim more numbers than they store, and a copy could fill the memory.

    Raises:
        CheckpointError: there is one.
    """
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path.name} is refused: its tensor {name} claims more numbers than the file holds.")


def assign_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make tensors the weights of a network on the meta device, without a copy."""
    counters = {name: torch.tensor(0) for name, _ in network.named_buffers() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**tensors, **counters}, assign=True)
