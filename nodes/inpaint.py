"""Masked Inpaint."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import FILLS, INPAINT_PAPER, INPAINT_PRESET, inpaint, parse_class_expression
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .masked import work_inside
from .presets import ascent_inputs, masked_inputs, preset_input, read_preset
from .sockets import (
    CATEGORY,
    animate_input,
    classifier_input,
    frames_output,
    guessable_class_input,
    seed_input,
    seeds_of_batch,
)

_PRESETS = {"inpaint": INPAINT_PRESET, "paper": INPAINT_PAPER}


class RobustInpaint(io.ComfyNode):
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
                    tooltip="The pictures, any size, any batch. What the mask covers is not looked at. In a large "
                    "picture the classifier looks at the hole and its surroundings, then at finer and finer tiles.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="The hole (1, painted). Any shape, any size: it is resized to the picture; grey blends. "
                    "One mask serves a whole batch. Nothing painted: the picture comes back as it is.",
                ),
                guessable_class_input("what the classifier itself sees in the visible part"),
                preset_input(
                    {"inpaint": [_fill_input("surround")], "paper": []},
                    [
                        *ascent_inputs(INPAINT_PAPER, INPAINT_PAPER.objective),
                        _fill_input(INPAINT_PAPER.fill),
                        *masked_inputs(INPAINT_PAPER),
                    ],
                    "inpaint: few steps from the surrounding colours, without a seam. paper: 720 small steps from the "
                    "mean colour; slow.",
                ),
                seed_input(
                    "Seeds the fills noise and class seed; picture n of a batch (from 0) uses seed + n. The other "
                    "fills have nothing random, and the seed changes nothing."
                ),
                animate_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures, filled, at the size they came in."),
                frames_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        mask: Tensor,
        target_class: str,
        preset: dict[str, Any] | None = None,
        seed: int = 0,
        animate: int = 0,
    ) -> io.NodeOutput:
        robust = classifier.model
        settings = read_preset(preset, _PRESETS, INPAINT_PAPER)
        mix = parse_class_expression(target_class, robust.card.labels) if target_class.strip() else None
        if settings.fill == "class seed" and robust.seeds is None:
            raise ValueError(f"The classifier '{robust.card.title}' has no class seeds. Choose another fill.")

        def work(chunk: Tensor, masks: Tensor, part: slice, report: Callback) -> Tensor:
            random_seeds = seeds_of_batch(seed, part.stop)[part]
            return inpaint(robust, chunk, masks, mix, settings, random_seeds, report)

        return work_inside(classifier, image, mask, settings, work, animate)


def _fill_input(default: str) -> io.Input:
    return io.Combo.Input(
        "fill",
        options=list(FILLS),
        default=default,
        tooltip="What the hole shows before the climb. surround: the colours around it, blurred into it. mean colour: "
        "of what is visible, as in the paper. noise: photo-like noise; seeds give different pictures. class seed: "
        "blurry blobs in the class's usual colours and layout; seeds give different pictures.",
    )
