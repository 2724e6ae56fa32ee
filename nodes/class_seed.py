"""Class-Conditional Seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from comfy_api.latest import io
from torch import Tensor

from ..models import RobustClassifier
from ..synthesis import Mix, class_seeds, detailed_class_seeds, parse_class_expression, photo_noise
from ..synthesis.ascent import Callback
from ..synthesis.seeds import CANDIDATES, has_seeds, natural_pictures
from ..synthesis.seeds import best_of as best
from ..synthesis.tasks.classify import class_cross_entropy
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .comfy.status import show_status
from .sockets import CATEGORY, classifier_input, same_seed_input, seed_input, seeds_of_batch, target_class_input
from .tensors import images_to_comfy

SMALLEST_SIDE = 16
AUTOMATIC = "automatic"
CLASS_GAUSSIAN = "class gaussian"
NATURAL_NOISE = "natural noise"
# What `automatic` stands for, where there are class seeds and where there are none.
DETAILED, NATURAL_PICTURE = "detailed class gaussian", "natural picture"


class RobustClassSeed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustClassSeed",
            display_name="Class-Conditional Seed",
            category=CATEGORY,
            description="Draws start pictures with the colours and the layout of a class, for Translate to "
            "Class to start from.",
            search_aliases=["class seed", "robust seed", "start image", "class gaussian", "natural noise", "generate"],
            inputs=[
                classifier_input(),
                target_class_input(
                    "The class to start near: a name (church), a number, or a mix (sea:0.7, mountain:0.3), whose "
                    "Gaussians are blended. Classes with a minus are passed over. Not read by natural noise."
                ),
                _side_input(
                    "width",
                    "Width of the pictures, in pixels. 0: as wide as those the classifier was trained on, 96 for the "
                    "bundled ones, 224 for ImageNet's.",
                ),
                _side_input("height", "Height of the pictures, in pixels. 0: the classifier's own."),
                io.Int.Input("batch_size", default=1, min=1, max=256, optional=True, tooltip="How many pictures."),
                seed_input(
                    "The same seed gives the same pictures. Picture n of a batch (from 0) is the picture that "
                    "seed + n gives alone."
                ),
                io.Combo.Input(
                    "method",
                    options=[AUTOMATIC, CLASS_GAUSSIAN, NATURAL_NOISE],
                    default=AUTOMATIC,
                    optional=True,
                    tooltip="class gaussian: drawn from the mean and the covariance of the class's training pictures, "
                    "blurry, as in the paper. natural noise: the spectrum, contrast and colours of photographs, no "
                    "class; for classifiers without class seeds, or for surprises. automatic: class gaussian with the "
                    "fine detail of natural noise, so that pictures get more detail; where the classifier has no seeds "
                    f"for the class, the best of {CANDIDATES} such pictures of something else.",
                ),
                io.Int.Input(
                    "best_of",
                    default=1,
                    min=1,
                    max=64,
                    optional=True,
                    advanced=True,
                    tooltip="Draw so many for each picture and keep the one in which the classifier sees most of the "
                    "class. Natural noise gains most from it: 8 is a good number.",
                ),
                same_seed_input(),
            ],
            outputs=[io.Image.Output("image", tooltip="The start pictures. Wire them into Translate to Class.")],
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        target_class: str = "church",
        width: int = 0,
        height: int = 0,
        batch_size: int = 1,
        seed: int = 0,
        method: str = AUTOMATIC,
        best_of: int = 1,
        same_seed: bool = False,
    ) -> io.NodeOutput:
        model = classifier.model
        width, height = (side or model.input_size for side in (width, height))
        if min(width, height) < SMALLEST_SIDE:
            raise ValueError(f"{width} x {height} pixels are too few: take {SMALLEST_SIDE} or more, or 0.")
        random_seeds = seeds_of_batch(seed, batch_size, same_seed)
        # Natural noise has no class, and is not chosen for one where only one is drawn.
        needs_class = method != NATURAL_NOISE or best_of > 1
        mix = parse_class_expression(target_class, model.card.labels) if needs_class else None
        if method == AUTOMATIC:
            method, best_of = _automatic(model, mix, best_of)
        # Out of inference mode the pictures are ordinary tensors, usable by any node that takes gradients.
        with torch.inference_mode(False):
            draw = _drawing(model, mix, height, width, method)
            pictures = draw(random_seeds)
            if mix is None or best_of == 1:
                return io.NodeOutput(to_intermediate(images_to_comfy(pictures)))

            def choose(chunk: Tensor, part: slice, report: Callback) -> Tensor:
                def on_device(seeds: Sequence[int]) -> Tensor:
                    return draw(seeds).to(chunk)

                return best(best_of, on_device, class_cross_entropy(model, mix), random_seeds[part], report)

            return io.NodeOutput(images_to_comfy(run_batch(classifier, pictures, choose, steps=best_of)))


def _drawing(
    model: RobustClassifier, mix: Mix | None, height: int, width: int, method: str
) -> Callable[[Sequence[int]], Tensor]:
    """What draws pictures for random seeds.

    Raises:
        ValueError: class seeds are asked for, and the classifier has none for the class.
    """
    seeds = model.seeds
    if method == NATURAL_PICTURE:
        return lambda random_seeds: natural_pictures(height, width, random_seeds)
    if mix is None or method == NATURAL_NOISE:
        return lambda random_seeds: photo_noise(height, width, random_seeds)
    wanted = [index for index, weight in mix.weights if weight > 0]
    missing = [model.labels[index] for index in wanted if seeds is None or index not in seeds.classes]
    if seeds is None or missing:
        raise ValueError(
            f"The classifier '{model.card.title}' has no class seeds{' for ' if missing else ''}"
            f"{', '.join(missing)}. Choose the method '{AUTOMATIC}' or '{NATURAL_NOISE}', or give it seeds with "
            "Fit Class Seeds."
        )
    drawn = detailed_class_seeds if method == DETAILED else class_seeds
    return lambda random_seeds: drawn(seeds, mix, height, width, random_seeds)


def _automatic(model: RobustClassifier, mix: Mix | None, best_of: int) -> tuple[str, int]:
    """The method that `automatic` stands for, and how many pictures to choose among."""
    if has_seeds(model.seeds, mix):
        return DETAILED, best_of
    candidates = max(best_of, CANDIDATES)
    show_status(
        f"The classifier has no seeds for this class: starting from the best of {candidates} pictures of other things."
    )
    return NATURAL_PICTURE, candidates


def _side_input(name: str, tooltip: str) -> io.Input:
    return io.Int.Input(name, default=0, min=0, max=4096, optional=True, tooltip=tooltip)
