"""Masked Inpaint."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import InpaintSettings, inpaint, inpaint_plan, preset
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .masked import work_inside
from .presets import Chosen, PresetNode, preset_input, read_preset
from .sockets import (
    CATEGORY,
    animate_input,
    classifier_input,
    frames_output,
    guessable_class_input,
    read_class,
    same_seed_input,
    seed_input,
    seeds_of_batch,
)


class RobustInpaint(PresetNode):
    CUSTOM_START: ClassVar[InpaintSettings] = preset(InpaintSettings, "paper").settings

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustInpaint",
            display_name="Masked Inpaint",
            category=CATEGORY,
            description="Fills the masked part of pictures with what a class would show there, by gradient ascent on "
            "the masked pixels. All others come back bit for bit.",
            search_aliases=["robust inpaint", "fill hole", "remove object", "restore", "outpaint", "masked fill"],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="The pictures, any size, any batch. What the mask covers is not looked at; transparency "
                    "stays. In a large picture the classifier looks at the hole and its surroundings, then at finer "
                    "and finer tiles.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="The hole (1, painted). Any shape, any size: it is resized to the picture; grey blends. "
                    "One mask serves a whole batch. Nothing painted: the picture comes back as it is.",
                ),
                guessable_class_input("what the classifier itself sees in the visible part"),
                preset_input(cls.CUSTOM_START),
                seed_input(
                    "Seeds the fills noise and class seed; picture n of a batch (from 0) uses seed + n. The other "
                    "fills have nothing random, and the seed changes nothing."
                ),
                animate_input(),
                same_seed_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures, filled, at the size they came in."),
                frames_output(),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        mask: Tensor,
        target_class: str = "",
        preset: Chosen = None,
        seed: int = 0,
        animate: int = 0,
        same_seed: bool = False,
        **others: Any,
    ) -> io.NodeOutput:
        model = classifier.model
        settings = read_preset(preset, cls.CUSTOM_START, others).settings
        mix = read_class(target_class, model)
        if settings.fill == "class seed" and model.seeds is None:
            raise ValueError(f"The classifier '{model.card.title}' has no class seeds. Choose another fill.")

        def work(chunk: Tensor, masks: Tensor, part: slice, report: Callback) -> Tensor:
            random_seeds = seeds_of_batch(seed, part.stop, same_seed)[part]
            return inpaint(model, chunk, masks, mix, settings, random_seeds, report)

        plan = partial(inpaint_plan, model.input_size, settings=settings)
        return work_inside(classifier, image, mask, plan, work, animate)
