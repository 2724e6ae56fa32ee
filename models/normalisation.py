"""The mean and standard deviation that a checkpoint holds beside its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .architectures._entry import Triple
from .classifier import PIXEL_LIMIT

WORDS = (
    ("mean", "std"),
    ("mean", "sigma"),
    ("mean", "sd"),
    ("mean", "stdev"),
    ("mean", "stddev"),
    ("mean", "deviation"),
    ("mean", "scale"),
    ("mu", "sigma"),
    ("mu", "std"),
    ("mean", "var"),
    ("mean", "variance"),
)
"""What the names of two tensors of a pair differ in."""
VARIANCES = ("var", "variance")
BATCH_NORM = ("running_mean", "running_var")
EPSILON = 1e-5
"""What torch's batch norm adds to a variance."""
LARGEST_OF_UNIT = 2.0
"""Statistics of images in [0, 1] are below this; larger ones are of images from 0 to 255."""
CHANNELS = 3
REMEDY = "give its own in the advanced inputs of Load Robust Classifier, or in a sidecar (see the node's help)."


@dataclass(frozen=True)
class Normalisation:
    """Statistics of the images that a network was trained on, for `(x - mean) / std` with x in [0, 1]."""

    mean: Triple
    std: Triple
    names: tuple[str, str]
    """The tensors they were read from."""
    of_bytes: bool
    """Whether the file has them for pixel values from 0 to 255."""


def find_normalisation(found: Mapping[str, Tensor], prefix: str) -> Normalisation | None:
    """Find the pair of three-element tensors that is a mean and a standard deviation.

    Args:
        found: the tensors of a file that are not the network's.
        prefix: of the network's tensors. Of several pairs, the one that has most of it in its name is taken.
    """
    pairs = [pair for pair in _pairs(found) if pair is not None]
    return max(pairs, key=lambda pair: _shared(pair.names[0], prefix), default=None)


def unread_triples(found: Mapping[str, Tensor], prefix: str) -> list[str]:
    """Name the three-element tensors beside a network, which may be statistics in a form that is not known."""
    root = prefix.split(".")[0] if prefix.count(".") > 1 else ""
    beside = (name for name in found if name.startswith(root) and "optim" not in name)
    return [name for name in beside if found[name].numel() == CHANNELS]


def _pairs(found: Mapping[str, Tensor]) -> Iterator[Normalisation | None]:
    triples = {name.lower(): name for name, tensor in found.items() if tensor.numel() == CHANNELS}
    for lower, name in triples.items():
        for mean_word, std_word in WORDS:
            for other in _renamings(lower, mean_word, std_word):
                if other in triples:
                    yield _normalisation(found, name, triples[other], std_word in VARIANCES)


def _renamings(name: str, old: str, new: str) -> Iterator[str]:
    """Replace a word in its last place, and in all places."""
    before, word, after = name.rpartition(old)
    if word:
        yield f"{before}{new}{after}"
        yield name.replace(old, new)


def _normalisation(found: Mapping[str, Tensor], mean_name: str, std_name: str, squared: bool) -> Normalisation | None:
    mean, std = (found[name].flatten().double() for name in (mean_name, std_name))
    if squared:
        std = (std + EPSILON * mean_name.endswith(BATCH_NORM[0])).sqrt()
    if mean_name.endswith(BATCH_NORM[0]):
        # An affine batch norm of the image multiplies and adds afterwards.
        stem = mean_name.removesuffix(BATCH_NORM[0])
        weight, bias = found.get(f"{stem}weight"), found.get(f"{stem}bias")
        if weight is not None and bias is not None and weight.numel() == bias.numel() == CHANNELS:
            std = std / weight.flatten().double()
            mean = mean - bias.flatten().double() * std
    of_bytes = bool(mean.abs().max() > LARGEST_OF_UNIT or std.max() > LARGEST_OF_UNIT)
    if of_bytes:
        mean, std = mean / 255, std / 255
    # No comparison with NaN is true.
    if not bool((mean.abs() <= PIXEL_LIMIT).all() and (std >= 1 / PIXEL_LIMIT).all() and (std <= PIXEL_LIMIT).all()):
        return None
    return Normalisation(_triple(mean), _triple(std), (mean_name, std_name), of_bytes)


def _triple(values: Tensor) -> Triple:
    # Six places make 0.485 of float32's 0.48500001430511475, and are as exact.
    first, second, third = (float(f"{value:.7g}") for value in values.tolist())
    return first, second, third


def _shared(name: str, prefix: str) -> int:
    """Count the leading parts that a name has in common with a prefix."""
    count = 0
    for mine, theirs in zip(name.split("."), prefix.split("."), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def sentence(normalisation: Normalisation) -> str:
    """Say what was read, for the user."""
    scale = ", which are for pixels from 0 to 255" if normalisation.of_bytes else ""
    mean, std = (_listed(values) for values in (normalisation.mean, normalisation.std))
    names = " and ".join(normalisation.names)
    return f"Its colours are normalised with its own mean {mean} and std {std} (from {names}{scale})."


def assumption(mean: Triple | None = None, std: Triple | None = None, unread: Sequence[str] = ()) -> str:
    """Say which statistics were assumed, for the user.

    Args:
        mean: the assumed mean; None if it is known.
        std: the assumed std; None if it is known.
        unread: names of tensors that may be statistics in a form that is not known.
    """
    hint = f" (it has {', '.join(unread[:3])}, in no form that is known)" if unread else ""
    assumed = {name: values for name, values in (("mean", mean), ("std", std)) if values}
    numbers = ", ".join(f"{name} {_listed(values)}" for name, values in assumed.items())
    return (
        f"The file has no {' and '.join(assumed)} for its colours{hint}. What is usual for such networks was assumed: "
        f"{numbers}. If it was trained with others, its classes and pictures come out wrong: {REMEDY}"
    )


def _listed(values: Triple) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
