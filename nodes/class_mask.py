"""Class Mask."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..synthesis import class_map, cut_mask, heat_picture
from ..synthesis.ascent import Callback
from ..synthesis.tasks.class_mask import SOFTNESS, STEPS, THRESHOLD
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .sockets import CATEGORY, classifier_input, read_class, target_class_input
from .tensors import images_from_comfy, images_to_comfy


class RobustClassMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustClassMask",
            display_name="Class Mask",
            category=CATEGORY,
            description="Finds where a class is in pictures, and masks it along their edges: for inpainting, for a "
            "change of that part alone, or for any other node that takes a mask.",
            search_aliases=[
                "robust mask",
                "segment",
                "segmentation",
                "saliency",
                "heat map",
                "grad-cam",
                "select object",
            ],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="The pictures, any size, any batch; each is seen whole. Crop where the thing is less than "
                    "a tenth of the picture's width. Transparency is flattened onto white.",
                ),
                target_class_input(
                    "What to mask: a name (horse), a number, or a mix (horse, zebra), with a minus for what to leave "
                    "out (horse, -sea). Empty: what the classifier itself sees in the picture.",
                    "",
                ),
                io.Float.Input(
                    "threshold",
                    default=THRESHOLD,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How sure it must be: higher masks less, lower masks more. The heat map shows of what.",
                ),
                io.Float.Input(
                    "softness",
                    default=SOFTNESS,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How gently the mask fades at its rim. 0: black and white only.",
                ),
            ],
            outputs=[
                io.Mask.Output("mask", tooltip="1 where the class is, at the size of the pictures."),
                io.Image.Output(
                    "heat_map", tooltip="How sure it is of each pixel, from grey over red and yellow to white."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        target_class: str = "",
        threshold: float = THRESHOLD,
        softness: float = SOFTNESS,
    ) -> io.NodeOutput:
        model = classifier.model
        mix = read_class(target_class, model)
        images = images_from_comfy(image)

        def work(chunk: Tensor, _part: slice, report: Callback) -> Tensor:
            return class_map(model, chunk, mix, report)

        found = run_batch(classifier, images, work, steps=STEPS).float()
        mask = cut_mask(found, threshold, softness)[:, 0]
        heat = heat_picture(images.to(found.device), found)
        return io.NodeOutput(to_intermediate(mask), to_intermediate(images_to_comfy(heat)))
