"""Fit Class Seeds."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import fit_seeds, parse_class_expression, pictures_in, seed_size
from .comfy.classifiers import LoadedClassifier
from .comfy.folders import input_folder
from .sockets import CATEGORY, RobustClassifierSocket, classifier_input, target_class_input
from .tensors import images_from_comfy


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
                    tooltip="A batch of pictures of the class; ten or more, unlike each other, are a good start. They "
                    "are shrunk to a quarter of the classifier's size, so blurry pictures do. With one, every "
                    "seed is the same. Transparency is flattened onto white. Not read where a folder is given.",
                    optional=True,
                ),
                io.String.Input(
                    "folder",
                    default="",
                    optional=True,
                    tooltip="Instead of image: a folder of pictures inside ComfyUI's input folder, for instance "
                    "my_churches. Any sizes, all of them at once.",
                ),
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier",
                    tooltip="The classifier with these seeds for the class; its other classes keep theirs, and the one "
                    "that came in stays as it is.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str = "", **_others: object) -> object:
        # Other pictures may lie in the folder since the last run.
        place = input_folder(folder) if folder.strip() else None
        if place is None or not place.is_dir():
            return folder
        return sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in place.iterdir())

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor | None = None,
        target_class: str = "church",
        folder: str = "",
    ) -> io.NodeOutput:
        model = classifier.model
        mix = parse_class_expression(target_class, model.card.labels)
        if len(mix.weights) != 1 or mix.weights[0][1] < 0:
            raise ValueError(f"'{target_class}' is not one class: seeds are fitted for one at a time.")
        if image is None and not folder.strip():
            raise ValueError("There are no pictures to fit seeds to: connect image, or name a folder.")
        with torch.inference_mode(False):
            if image is None or folder.strip():
                images = pictures_in(input_folder(folder), *seed_size(model.seeds, model.input_size))
            else:
                images = images_from_comfy(image.clone())
            seeds = fit_seeds(images, mix.weights[0][0], model.seeds, model.input_size)
            return io.NodeOutput(replace(classifier, model=model.with_seeds(seeds)))
