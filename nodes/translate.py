"""Translate to Class."""

from __future__ import annotations

from typing import Any, ClassVar

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import TranslateSettings, preset, translate, translate_plan
from ..synthesis.ascent import Callback
from .alpha import with_alpha
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch
from .film import Film
from .masked import kept_outside, read_mask
from .presets import Chosen, PresetNode, preset_input, read_preset
from .sockets import (
    CATEGORY,
    animate_input,
    classifier_input,
    frames_output,
    read_class,
    same_seed_input,
    seed_input,
    seeds_of_batch,
    target_class_input,
)
from .tensors import images_from_comfy, images_to_comfy, same_batch


class RobustTranslate(PresetNode):
    CUSTOM_START: ClassVar[TranslateSettings] = preset(TranslateSettings, "paper generate").settings

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
                    tooltip="Where to start: class seeds, photos, drawings; any size, any batch. What is "
                    "transparent is seen on white, and stays transparent. A picture much larger or smaller than the "
                    "classifier's own size is changed as a copy of that size, and the change is put back into the "
                    "original at full resolution; generate, repaint, style and sketch go on to finer and finer copies.",
                ),
                target_class_input(
                    "The class to move towards: a name (church), a number, a mix (sea:0.7, mountain:0.3), or one to "
                    "leave (-street). Case, spaces and underscores do not matter; an unknown name is answered with "
                    "the nearest ones. Empty with the preset refine: what the classifier itself sees."
                ),
                preset_input(cls.CUSTOM_START),
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
                animate_input(),
                same_seed_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The changed pictures, at the size they came in."),
                frames_output(),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        target_class: str = "church",
        preset: Chosen = None,
        seed: int = 0,
        mask: Tensor | None = None,
        animate: int = 0,
        same_seed: bool = False,
        **others: Any,
    ) -> io.NodeOutput:
        model = classifier.model
        chosen = read_preset(preset, cls.CUSTOM_START, others)
        mix = read_class(target_class, model, chosen.guesses_class)
        images = images_from_comfy(image)
        masks = None if mask is None else read_mask(mask, *images.shape[2:])
        if masks is not None:
            images, masks = same_batch(images, masks)
        count, _, height, width = images.shape
        random_seeds = seeds_of_batch(seed, count, same_seed)

        def work(chunk: Tensor, part: slice, report: Callback) -> Tensor:
            own = None if masks is None else masks[part].to(chunk)
            if own is not None:
                report = kept_outside(report, chunk, own)
            return translate(model, chunk, mix, chosen.settings, random_seeds[part], own, report)

        film = Film(animate)
        plan = translate_plan(model.input_size, height, width, chosen.settings)
        made = run_batch(classifier, images, work, plan=plan, film=film)
        return io.NodeOutput(with_alpha(images_to_comfy(made), image), film.to_comfy(made, image, with_alpha))
