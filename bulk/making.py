"""Make pictures: the classifiers, the operations, and batches of what can be made together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..models import (
    RobustClassifier,
    bundled_classifiers,
    fast_precision,
    open_classifier,
    optimize_for_inference,
)
from ..models.format import files_of, read_card
from ..synthesis import (
    FACTORS,
    InpaintSettings,
    Mix,
    OperationSettings,
    TranslateSettings,
    UpsampleSettings,
    generate,
    inpaint,
    parse_class_expression,
    preset,
    presets,
    translate,
    upsample,
)
from ..synthesis.picture_folder import opaque_picture
from .jobs import Job, JobError, Operation, Picture

SETTINGS: dict[Operation, type[OperationSettings]] = {
    "generate": TranslateSettings,
    "translate": TranslateSettings,
    "upsample": UpsampleSettings,
    "inpaint": InpaintSettings,
}


class Loaded(NamedTuple):
    """A classifier ready to be ascended."""

    model: RobustClassifier
    sha256: str
    """Of its files, and of what files beside them say of it."""


@cache
def load(name: str, device: str) -> Loaded:
    """A bundled classifier, by name, or one in a file, on a device and in the precision that suits it.

    Raises:
        JobError: there is none.
        CheckpointError: the file is no classifier.
    """
    bundled = bundled_classifiers()
    path = bundled.get(name, Path(name))
    if not path.is_file():
        raise JobError(f"There is no classifier '{name}': give the path of a file, or {', '.join(bundled)}.")
    opened = open_classifier(path)
    if not opened.classifier.card.labels:
        raise JobError(f"'{name}' is the image tower of a CLIP and has no classes.")
    model = optimize_for_inference(opened.classifier, fast_precision(torch.device(device))).to(device)
    digest = hashlib.sha256()
    for file in files_of(opened.source):
        digest.update(file.read_bytes())
    if opened.classifier.card != read_card(opened.source):
        digest.update(repr(opened.classifier.card).encode())
    return Loaded(model, digest.hexdigest())


class Recipe(NamedTuple):
    """What all pictures of a batch have in common."""

    operation: Operation
    classifier: str
    target_class: str
    preset: str
    values: str
    size: tuple[int, int]
    """Height and width; zeros: of the classifier or the picture."""
    factor: int

    @classmethod
    def of(cls, job: Job) -> Recipe:
        """That of a job."""
        values, size = json.dumps(job.values, sort_keys=True), (job.height, job.width)
        return cls(job.operation, job.classifier, job.target_class, job.preset, values, size, job.factor)


class Batch(NamedTuple):
    """Pictures of one recipe that are made together."""

    pictures: tuple[Picture, ...]
    missing: frozenset[int]
    """Numbers of those that are to be written. The others are made again, because a network's kernels round
    differently for another number of pictures."""


def batches(pictures: Iterable[Picture], size: int, done: Collection[int] = ()) -> Iterator[Batch]:
    """Divide pictures into batches of at most `size`, and leave out those whose pictures are all done.

    How they are divided does not depend on what is done, so that a run that was stopped makes the same pictures, to
    the bit, as one that was not.
    """
    alike: dict[Recipe, list[Picture]] = {}
    for picture in pictures:
        alike.setdefault(Recipe.of(picture.job), []).append(picture)
    for group in alike.values():
        remaining = iter(group)
        while batch := tuple(islice(remaining, size)):
            missing = frozenset(picture.number for picture in batch if picture.number not in done)
            if missing:
                yield Batch(batch, missing)


def check(job: Job, device: str) -> None:
    """Refuse what could only fail later.

    Raises:
        JobError: an unknown classifier, class, preset, value or factor.
    """
    recipe = Recipe.of(job)
    model = load(job.classifier, device).model
    _settings(recipe)
    if job.operation == "upsample" and job.factor not in FACTORS:
        raise JobError(f"The factor is {job.factor}; it must be from {FACTORS[0]} to {FACTORS[-1]}.")
    mix = _mix(recipe, model)
    if job.operation == "generate" and mix and not any(weight > 0 for _, weight in mix.weights):
        raise JobError(f"'{job.target_class}' has only classes with a minus: add one without.")


class Source(NamedTuple):
    """What a picture is made of."""

    picture: Picture
    image: Tensor | None
    """`[3, H, W]` in [0, 1]; None for a generated picture."""
    mask: Tensor | None
    """`[1, H, W]` in [0, 1], 1 where to fill."""


def read_source(picture: Picture) -> Source:
    """Read what a picture is made of; see `opaque_picture`.

    Raises:
        JobError: the mask is of another size than the picture.
        PICTURE_ERRORS: a file cannot be read.
    """
    image, mask = (_pixels(path) if path else None for path in (picture.picture, picture.mask))
    if image is None or mask is None:
        return Source(picture, image, None)
    if mask.shape != image.shape:
        raise JobError(f"the mask '{picture.mask}' is of another size than the picture")
    return Source(picture, image, mask.mean(0, keepdim=True))


def make(sources: Sequence[Source], device: str) -> Iterator[tuple[Picture, Tensor]]:
    """Make pictures of one recipe, `[3, H, W]` in [0, 1] each; of those of different sizes each size apart."""
    recipe = Recipe.of(sources[0].picture.job)
    model = load(recipe.classifier, device).model
    alike: dict[object, list[Source]] = {}
    for source in sources:
        # The view of an inpainting follows its mask.
        key = source.picture.mask or (source.image is not None and source.image.shape)
        alike.setdefault(key, []).append(source)
    for group in alike.values():
        yield from zip([source.picture for source in group], _made(recipe, model, group), strict=True)


def _pixels(path: str) -> Tensor:
    with Path(path).open("rb") as file:
        return torch.from_numpy(np.asarray(opaque_picture(file), dtype=np.float32) / 255).permute(2, 0, 1)


def _settings(recipe: Recipe) -> Any:
    kind = SETTINGS[recipe.operation]
    name = recipe.preset or recipe.operation
    try:
        return preset(kind, name).settings.with_values(**json.loads(recipe.values))
    except KeyError:
        raise JobError(f"There is no preset '{name}' of {recipe.operation}: {', '.join(presets(kind))}.") from None
    except ValueError as error:
        raise JobError(str(error)) from error


def _mix(recipe: Recipe, model: RobustClassifier) -> Mix | None:
    try:
        return parse_class_expression(recipe.target_class, model.card.labels) if recipe.target_class else None
    except ValueError as error:
        raise JobError(str(error)) from error


def _made(recipe: Recipe, model: RobustClassifier, sources: Sequence[Source]) -> Tensor:
    mix, settings = _mix(recipe, model), _settings(recipe)
    random_seeds = [source.picture.seed for source in sources]
    device = model.mean.device
    if recipe.operation == "generate":
        assert mix, "a generated picture has a class"
        height, width = (side or model.input_size for side in recipe.size)
        return generate(model, mix, random_seeds, settings, (height, width))
    images = torch.stack([source.image for source in sources if source.image is not None]).to(device)
    if recipe.operation == "translate":
        return translate(model, images, mix, settings, random_seeds)
    if recipe.operation == "upsample":
        return upsample(model, images, recipe.factor, mix, settings)
    masks = torch.stack([source.mask for source in sources if source.mask is not None]).to(device)
    return inpaint(model, images, masks, mix, settings, random_seeds)
