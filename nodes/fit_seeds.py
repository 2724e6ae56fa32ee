"""Fit Class Seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import fit_seeds, parse_class_expression, pictures_in, seed_size
from .comfy.classifiers import LoadedClassifier
from .comfy.folders import fingerprint, input_folder
from .comfy.status import Progress, show_status
from .sockets import CATEGORY, RobustClassifierSocket, classifier_input, target_class_input
from .tensors import images_from_comfy

T = TypeVar("T")


class RobustFitSeeds(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustFitSeeds",
            display_name="Fit Class Seeds",
            category=CATEGORY,
            description="Gives a class seeds of your own: Class-Conditional Seed then draws start pictures with the "
            "colours and the layout of the pictures given here.",
            search_aliases=["robust seeds", "own seeds", "class gaussian", "start images", "fit seed", "custom seed"],
            inputs=[
                classifier_input(),
                target_class_input("The class whose seeds these pictures become: one name, or a number."),
                io.Image.Input(
                    "image",
                    tooltip="A batch or a list of pictures of the class; ten or more, unlike each other, are a good "
                    "start. They are shrunk to a quarter of the classifier's size, so blurry pictures do. With one, "
                    "every seed is the same. Transparency is flattened onto white. Not read where a folder is "
                    "given.",
                    optional=True,
                ),
                io.String.Input(
                    "folder",
                    default="",
                    optional=True,
                    tooltip="Instead of image: a folder of pictures inside ComfyUI's input folder, for instance "
                    "my_churches. Any sizes, all of them at once, those in folders inside it as well.",
                ),
            ],
            # A list of single pictures, as folder loaders give it, is one set.
            is_input_list=True,
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier",
                    is_output_list=True,
                    tooltip="The classifier with these seeds for the class; its other classes keep theirs, and the one "
                    "that came in stays as it is.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: Sequence[str | None] = (), **_others: object) -> object:
        # Other pictures may lie in the folder since the last run; None is a name that another node gives.
        return [fingerprint(name) if name and name.strip() else name for name in folder]

    @classmethod
    def execute(
        cls,
        classifier: list[LoadedClassifier],
        image: list[Tensor] | None = None,
        target_class: Sequence[str] = ("church",),
        folder: Sequence[str] = ("",),
    ) -> io.NodeOutput:
        # Of lists other than that of pictures each item is a run of its own, and the last of a shorter one is repeated.
        runs = range(max(len(classifier), len(target_class), len(folder)))
        fitted = [_fitted(_at(classifier, run), _at(target_class, run), _at(folder, run), image) for run in runs]
        return io.NodeOutput(fitted)


def _at(values: Sequence[T], run: int) -> T:
    return values[min(run, len(values) - 1)]


def _fitted(
    classifier: LoadedClassifier, target_class: str, folder: str, image: list[Tensor] | None
) -> LoadedClassifier:
    model = classifier.model
    mix = parse_class_expression(target_class, model.card.labels)
    if len(mix.weights) != 1 or mix.weights[0][1] < 0:
        raise ValueError(f"'{target_class}' is not one class: seeds are fitted for one at a time.")
    if not image and not folder.strip():
        raise ValueError("There are no pictures to fit seeds to: connect image, or name a folder.")
    with torch.inference_mode(False):
        if not image or folder.strip():
            found = pictures_in(input_folder(folder), *seed_size(model.seeds, model.input_size), Progress())
            if found.left_out:
                show_status(found.left_out)
            batches = [found.images]
        else:
            batches = [images_from_comfy(batch.clone()) for batch in image]
        seeds = fit_seeds(batches, mix.weights[0][0], model.seeds, model.input_size)
        return replace(classifier, opened=model.with_seeds(seeds))
