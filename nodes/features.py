"""Find Features."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import VISUALISE, feature_sheet, visualise_features
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .feature_finding import feature_text, strongest_features
from .sockets import CATEGORY, classifier_input
from .tensors import images_to_comfy


class RobustFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustFeatures",
            display_name="Find Features",
            category=CATEGORY,
            description="The features of the classifier that a region of a picture shows most, with a picture of what "
            "each one looks like to it.",
            search_aliases=["robust features", "feature visualization", "explain", "neurons", "activations", "units"],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="The picture, any size. Of a batch, the mean is taken. Transparency is flattened onto "
                    "white.",
                ),
                io.Int.Input(
                    "count",
                    default=8,
                    min=1,
                    max=64,
                    optional=True,
                    tooltip="How many features, the strongest first.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The region to look at (1, painted). Without one: all of the picture.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "features",
                    tooltip="The features, with their activations as weights. Fits feature of Activation Paint.",
                ),
                io.Image.Output(
                    "sheet",
                    tooltip="What each feature looks like (noise, changed until it shows the feature), labelled with "
                    "its number, its activation in the region, and the class it speaks for most.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, classifier: LoadedClassifier, image: Tensor, count: int = 8, mask: Tensor | None = None
    ) -> io.NodeOutput:
        model = classifier.model
        found = strongest_features(classifier, image, mask, count)
        indices = [index for index, _ in found]

        def work(chunk: Tensor, part: slice, report: Callback) -> Tensor:
            return visualise_features(model, indices[part], callback=report, device=chunk.device)

        places = torch.zeros(len(found), 3, model.input_size, model.input_size)
        pictures = run_batch(classifier, places, work, steps=VISUALISE.steps).float().cpu()
        speaks_for = [model.labels[row] for row in model.feature_effects[:, indices].argmax(0).tolist()]
        captions = [
            (f"{index}  ({activation:.2f})", label)
            for (index, activation), label in zip(found, speaks_for, strict=True)
        ]
        sheet = feature_sheet(pictures, captions)[None]
        return io.NodeOutput(feature_text(found), to_intermediate(images_to_comfy(sheet)))
