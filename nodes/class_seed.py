"""Class-Conditional Seed."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..synthesis import class_seeds, natural_noise, parse_class_expression
from . import runtime
from .sockets import CATEGORY, classifier_input, seed_input, seeds_of_batch, target_class_input
from .tensors import images_to_comfy

CLASS_GAUSSIAN = "class gaussian"
NATURAL_NOISE = "natural noise"


class RobustClassSeed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustClassSeed",
            display_name="Class-Conditional Seed",
            category=CATEGORY,
            description="Draws blurry start pictures with the colours and the layout of a class, for Translate to "
            "Class to climb from.",
            search_aliases=["class seed", "robust seed", "start image", "class gaussian", "natural noise", "generate"],
            inputs=[
                classifier_input(),
                target_class_input(
                    "The class to start near: a name (church), a number, or a mix (sea:0.7, mountain:0.3), whose "
                    "Gaussians are blended. Classes with a minus are passed over. Not read by natural noise."
                ),
                io.Int.Input(
                    "width",
                    default=96,
                    min=16,
                    max=4096,
                    tooltip="Width of the pictures, in pixels. The bundled "
                    "classifiers were trained at 96; larger pictures are smooth, not more detailed.",
                ),
                io.Int.Input("height", default=96, min=16, max=4096, tooltip="Height of the pictures, in pixels."),
                io.Int.Input("batch_size", default=1, min=1, max=256, tooltip="How many pictures."),
                seed_input(
                    "The same seed gives the same pictures. Picture n of a batch (from 0) is the picture that "
                    "seed + n gives alone."
                ),
                io.Combo.Input(
                    "method",
                    options=[CLASS_GAUSSIAN, NATURAL_NOISE],
                    tooltip="class gaussian: drawn from the mean and the covariance of the class's training pictures. "
                    "natural noise: the spectrum and the colours of photographs, no class; for classifiers "
                    "without class seeds, or for surprises.",
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The start pictures. Wire them into Translate to Class.")],
        )

    @classmethod
    def execute(
        cls,
        classifier: runtime.LoadedClassifier,
        target_class: str,
        width: int,
        height: int,
        batch_size: int,
        seed: int,
        method: str,
    ) -> io.NodeOutput:
        random_seeds = seeds_of_batch(seed, batch_size)
        # Out of inference mode the pictures are ordinary tensors, usable by any node that takes gradients.
        with torch.inference_mode(False):
            if method == NATURAL_NOISE:
                pictures = natural_noise(height, width, random_seeds)
            else:
                robust = classifier.robust
                if robust.seeds is None:
                    raise ValueError(
                        f"The classifier '{robust.card.title}' has no class seeds. Choose the method '{NATURAL_NOISE}'."
                    )
                mix = parse_class_expression(target_class, robust.labels)
                pictures = class_seeds(robust.seeds, mix, height, width, random_seeds)
            return io.NodeOutput(runtime.to_intermediate(images_to_comfy(pictures)))
