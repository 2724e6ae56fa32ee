"""Upsample."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import FACTORS, UPSAMPLE_PAPER, UPSAMPLE_PRESET, parse_class_expression, upsample
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import refuse_beyond_memory, run_batch
from .film import Film
from .presets import ascent_inputs, preset_input, read_preset
from .sockets import CATEGORY, animate_input, classifier_input, frames_output, guessable_class_input
from .tensors import images_from_comfy, images_to_comfy

_PRESETS = {"upsample": UPSAMPLE_PRESET, "paper": UPSAMPLE_PAPER}


class RobustUpsample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustUpsample",
            display_name="Upsample",
            category=CATEGORY,
            description="Enlarges pictures and adds the fine detail that a class has, by gradient ascent. Averaged "
            "back down, the result is the picture it came from.",
            search_aliases=["robust upscale", "super resolution", "enlarge", "upscale image", "add detail", "sharpen"],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="The pictures, any size, any batch. A result larger than the classifier's own size is "
                    "seen in tiles, which takes time in proportion to its pixels.",
                ),
                io.Int.Input(
                    "factor",
                    default=4,
                    min=FACTORS[0],
                    max=FACTORS[-1],
                    tooltip="How many times as wide and high the result is.",
                ),
                guessable_class_input("what the classifier itself sees in the picture"),
                preset_input(
                    {"upsample": [], "paper": []},
                    [
                        *ascent_inputs(UPSAMPLE_PAPER, UPSAMPLE_PAPER.objective),
                        io.Boolean.Input(
                            "consistent",
                            default=True,
                            tooltip="Hold the result to the picture it came from: every block of pixels keeps its "
                            "mean. Off: as in the paper, inside the ball alone.",
                        ),
                    ],
                    "upsample: few steps, held to the picture it came from. paper: 40 steps in a ball around the "
                    "blocky enlargement, seen at the classifier's own size.",
                ),
                animate_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures, factor times as wide and high."),
                frames_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        factor: int,
        target_class: str,
        preset: dict[str, Any] | None = None,
        animate: int = 0,
    ) -> io.NodeOutput:
        robust = classifier.model
        settings = read_preset(preset, _PRESETS, UPSAMPLE_PAPER)
        mix = parse_class_expression(target_class, robust.card.labels) if target_class.strip() else None
        images = images_from_comfy(image)
        count, _, height, width = images.shape
        refuse_beyond_memory(classifier, count, height * factor, width * factor)

        def work(chunk: Tensor, _part: slice, report: Callback) -> Tensor:
            return upsample(robust, chunk, factor, mix, settings, report)

        film = Film(animate)
        made = run_batch(classifier, images, settings.steps, work, enlarged=factor, film=film)
        return io.NodeOutput(images_to_comfy(made), film.to_comfy(made))
