"""Translate to Class."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import NORMS, OBJECTIVES, PAPER, PRESETS, TranslateSettings, parse_class_expression, translate
from ..synthesis.ascent import Callback
from . import runtime
from .sockets import CATEGORY, classifier_input, seed_input, seeds_of_batch, target_class_input
from .tensors import images_from_comfy, images_to_comfy, mask_from_comfy, same_batch

CUSTOM = "custom"


class RobustTranslate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustTranslate",
            display_name="Translate to Class",
            category=CATEGORY,
            description="Changes pictures until the classifier sees the class you ask for, by gradient ascent on the "
            "pixels. From a class seed it generates, from a photo it translates, from a drawing it makes a picture.",
            search_aliases=[
                "robust generate",
                "image to image",
                "sketch to image",
                "class translation",
                "gradient ascent",
                "PGD",
                "style transfer",
            ],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="Where to start: class seeds, photos, drawings; any size, any batch. Transparency is "
                    "flattened onto white. A picture much larger or smaller than the classifier's own size climbs as "
                    "a copy of that size, and the change is put back into the original at full resolution.",
                ),
                target_class_input(
                    "The class to climb to: a name (church), a number, a mix (sea:0.7, mountain:0.3), or one to leave "
                    "(-street). Case, spaces and underscores do not matter; an unknown name is answered with the "
                    "nearest ones. Empty with the preset refine: what the classifier itself sees."
                ),
                io.DynamicCombo.Input(
                    "preset",
                    options=[
                        io.DynamicCombo.Option("generate", []),
                        io.DynamicCombo.Option("translate", []),
                        io.DynamicCombo.Option("sketch", []),
                        io.DynamicCombo.Option("refine", []),
                        io.DynamicCombo.Option(CUSTOM, _custom_inputs()),
                    ],
                    tooltip="generate: few bold steps from a class seed. translate: a photo to another class, its "
                    "composition kept. sketch: a drawing to a picture, its lines kept. refine: a slight push that "
                    "leaves the picture what it is. custom: set everything, starting from the paper's numbers.",
                ),
                seed_input(
                    "Seeds the noise that the preset sketch, or custom with noise above 0, blends into the start; "
                    "picture n of a batch (from 0) uses seed + n. Without noise nothing is random, and the seed "
                    "changes nothing."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the picture may change (1, painted); elsewhere it stays bit for bit. Any size: "
                    "it is resized to the picture. One mask serves a whole batch. The empty mask Load Image gives a "
                    "picture without transparency counts as none.",
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The pictures after the climb, at the size they came in.")],
        )

    @classmethod
    def execute(
        cls,
        classifier: runtime.LoadedClassifier,
        image: Tensor,
        target_class: str,
        preset: dict[str, Any] | None = None,
        seed: int = 0,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        # ComfyUI drops a choice that does not exist, as a script may send, instead of refusing it.
        if preset is None:
            raise ValueError(f"There is no such preset. There are: {', '.join([*PRESETS, CUSTOM])}.")
        settings = _settings(preset)
        own_guess = preset["preset"] == "refine" and not target_class.strip()
        mix = None if own_guess else parse_class_expression(target_class, classifier.robust.labels)
        images = images_from_comfy(image)
        masks = None if mask is None else mask_from_comfy(mask, *images.shape[2:])
        images, masks = same_batch(images, masks)
        random_seeds = seeds_of_batch(seed, len(images))

        def work(chunk: Tensor, part: slice, report: Callback) -> Tensor:
            chunk_masks = None if masks is None else masks[part].to(chunk)
            return translate(classifier.robust, chunk, mix, settings, random_seeds[part], chunk_masks, report)

        return io.NodeOutput(images_to_comfy(runtime.synthesize(classifier, images, settings.steps, work)))


def _custom_inputs() -> list[io.Input]:
    paper = PAPER["generate"]
    return [
        io.Int.Input("steps", default=paper.steps, min=1, max=2000, tooltip="How many gradient steps."),
        io.Float.Input(
            "step_size",
            default=paper.step_size,
            min=0.001,
            max=100.0,
            step=0.05,
            tooltip="The length of a step. l2 and free: for a picture of 224 x 224, scaled to yours. linf: how far "
            "every pixel value (0 to 1) moves; 0.01 is a good start.",
        ),
        io.Float.Input(
            "epsilon",
            default=paper.epsilon,
            min=0.001,
            max=1000.0,
            step=0.5,
            tooltip="How far the picture may go from its start. l2: the radius for a picture of 224 x 224, scaled to "
            "yours. linf: the most a pixel value (0 to 1) may change; 0.1 is a good start. Not read by free.",
        ),
        io.Combo.Input(
            "norm",
            options=list(NORMS),
            default=paper.norm,
            tooltip="l2: a ball around the start, as in the paper. linf: each pixel value on its own leash. free: no "
            "leash, l2 steps.",
        ),
        io.Combo.Input(
            "objective",
            options=list(OBJECTIVES),
            default=paper.objective,
            tooltip="logit: as much of the class as will go; bold. cross-entropy: until the classifier is sure, as in "
            "the paper. margin: until the class is well ahead of the runner-up.",
        ),
        io.Float.Input(
            "final_step",
            default=paper.final_step,
            min=0.0,
            max=1.0,
            step=0.05,
            advanced=True,
            tooltip="The last step's size as a share of the first's; it falls evenly between. 1: all steps the same.",
        ),
        io.Int.Input(
            "jitter",
            default=paper.jitter,
            min=0,
            max=8,
            advanced=True,
            tooltip="Pixels by which the classifier's view is shifted from step to step, against grid patterns.",
        ),
        io.Float.Input(
            "noise",
            default=paper.noise,
            min=0.0,
            max=1.0,
            step=0.05,
            advanced=True,
            tooltip="How much photo-like noise is blended into the start, so that seeds give different pictures.",
        ),
    ]


def _settings(preset: dict[str, Any]) -> TranslateSettings:
    values = dict(preset)
    name = values.pop("preset")
    return TranslateSettings(**values) if name == CUSTOM else PRESETS[name]
