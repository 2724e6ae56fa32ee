"""Upsample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import FACTORS, UpsampleSettings, preset, upsample, upsample_plan
from ..synthesis.ascent import Callback
from .alpha import with_enlarged_alpha
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import refuse_beyond_memory, run_batch
from .film import Film
from .presets import Chosen, PresetNode, preset_input, read_preset
from .sockets import CATEGORY, animate_input, classifier_input, frames_output, guessable_class_input, read_class
from .tensors import images_from_comfy, images_to_comfy


class RobustUpsample(PresetNode):
    # The paper does not hold the result to its source; here whoever sets everything starts with it.
    CUSTOM_START: ClassVar[UpsampleSettings] = replace(preset(UpsampleSettings, "paper").settings, consistent=True)

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
                    tooltip="The pictures, any size, any batch; transparency is enlarged with them. A result "
                    "larger than the classifier's own size is seen in tiles, which takes time in proportion to its "
                    "pixels.",
                ),
                io.Int.Input(
                    "factor",
                    default=4,
                    min=FACTORS[0],
                    max=FACTORS[-1],
                    optional=True,
                    tooltip="How many times as wide and high the result is.",
                ),
                guessable_class_input("what the classifier itself sees in the picture"),
                preset_input(cls.CUSTOM_START),
                animate_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures, factor times as wide and high."),
                frames_output(),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        factor: int = 4,
        target_class: str = "",
        preset: Chosen = None,
        animate: int = 0,
        **others: Any,
    ) -> io.NodeOutput:
        model = classifier.model
        settings = read_preset(preset, cls.CUSTOM_START, others).settings
        mix = read_class(target_class, model)
        images = images_from_comfy(image)
        count, _, height, width = images.shape
        refuse_beyond_memory(classifier, count, height * factor, width * factor)

        def work(chunk: Tensor, _part: slice, report: Callback) -> Tensor:
            return upsample(model, chunk, factor, mix, settings, report)

        film = Film(animate)
        plan = upsample_plan(model.input_size, height, width, factor, settings)
        made = run_batch(classifier, images, work, plan=plan, enlarged=factor, film=film)
        frames = film.to_comfy(made, image, with_enlarged_alpha)
        return io.NodeOutput(with_enlarged_alpha(images_to_comfy(made), image), frames)
