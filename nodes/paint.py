"""Activation Paint."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import PAINT_PAPER, PAINT_PRESET, paint, parse_feature_expression
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .comfy.status import show_status
from .feature_finding import feature_text, strongest_features
from .masked import work_inside
from .presets import ascent_inputs, masked_inputs, preset_input, read_preset
from .sockets import CATEGORY, animate_input, classifier_input, frames_output

_PRESETS = {"paint": PAINT_PRESET, "paper": PAINT_PAPER}
_FROM_REFERENCE = 3


class RobustActivationPaint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustActivationPaint",
            display_name="Activation Paint",
            category=CATEGORY,
            description="A brush that paints what a feature of the classifier looks like (trees, waves, windows) into "
            "the masked part of pictures, by gradient ascent on that feature. Several chain, node after node.",
            search_aliases=["robust paint", "feature painting", "brush", "activation maximization", "add texture"],
            inputs=[
                classifier_input(),
                io.Image.Input("image", tooltip="The pictures to paint on, any size, any batch."),
                io.Mask.Input(
                    "mask",
                    tooltip="Where to paint (1, painted). Elsewhere the pictures stay bit for bit. Any size: it is "
                    "resized to the picture. Nothing painted: the picture comes back as it is.",
                ),
                io.String.Input(
                    "feature",
                    default="",
                    tooltip="What to paint: the number of a feature, or a mix (768:1, 675:0.5); a minus paints it "
                    "away. Find Features tells the numbers. Features are the units of the classifier's last layer but "
                    "one. One that the picture does not show is switched off and has no gradient to climb; so here "
                    "gradients pass the last activation unchanged (the paper's 'fake ReLU').",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.05,
                    max=5.0,
                    step=0.05,
                    tooltip="How boldly: multiplies the length of the steps and how far the picture may go.",
                ),
                preset_input(
                    {"paint": [], "paper": []},
                    [*ascent_inputs(PAINT_PAPER), *masked_inputs(PAINT_PAPER)],
                    "paint: few steps, then finer and finer detail in a large picture. paper: 140 steps, the "
                    "surroundings held by a penalty.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=f"Paint what is there, here: the {_FROM_REFERENCE} strongest features of this picture are "
                    "painted, beside those written in feature, which may be empty then.",
                ),
                io.Mask.Input(
                    "reference_mask",
                    optional=True,
                    tooltip="The region of the reference to take features from. Without one: all of it.",
                ),
                animate_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The painted pictures, at the size they came in."),
                frames_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        mask: Tensor,
        feature: str,
        strength: float,
        preset: dict[str, Any] | None = None,
        reference: Tensor | None = None,
        reference_mask: Tensor | None = None,
        animate: int = 0,
    ) -> io.NodeOutput:
        robust = classifier.model
        settings = read_preset(preset, _PRESETS, PAINT_PAPER)
        if reference is None and not feature.strip():
            raise ValueError(
                f"Write a feature (a number from 0 to {robust.feature_count - 1}), wire in what Find Features found, "
                "or give a reference picture."
            )
        written = parse_feature_expression(feature, robust.feature_count) if feature.strip() else None
        weights = torch.zeros(robust.feature_count)
        if written is not None:
            weights += written.vector(robust.feature_count)
        if reference is not None:
            found = strongest_features(classifier, reference, reference_mask, _FROM_REFERENCE)
            show_status(f"Painting the features of the reference: {feature_text(found)}")
            for index, activation in found:
                weights[index] += activation

        def work(chunk: Tensor, masks: Tensor, _part: slice, report: Callback) -> Tensor:
            return paint(robust, chunk, masks, weights.to(chunk), strength, settings, report)

        return work_inside(classifier, image, mask, settings, work, animate)
