"""Activation Paint."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import PaintSettings, paint, paint_plan, parse_feature_expression, preset
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .comfy.status import show_status
from .feature_finding import feature_text, strongest_features
from .masked import work_inside
from .presets import Chosen, PresetNode, preset_input, read_preset
from .sockets import CATEGORY, animate_input, classifier_input, frames_output

FROM_REFERENCE = 3
"""How many features of a reference are painted."""


class RobustActivationPaint(PresetNode):
    CUSTOM_START: ClassVar[PaintSettings] = preset(PaintSettings, "paper").settings

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
                io.Image.Input("image", tooltip="The pictures to paint on, any size, any batch. Transparency stays."),
                io.Mask.Input(
                    "mask",
                    tooltip="Where to paint (1, painted). Elsewhere the pictures stay bit for bit. Any size: it is "
                    "resized to the picture. Nothing painted: the picture comes back as it is.",
                ),
                io.String.Input(
                    "feature",
                    default="",
                    optional=True,
                    tooltip="What to paint: the number of a feature, or a mix (273:1, 268:0.5); a minus paints it "
                    "away. Find Features tells the numbers. Features are the units of the classifier's last layer but "
                    "one. They can be painted where the picture does not show them at all.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.05,
                    max=5.0,
                    step=0.05,
                    optional=True,
                    tooltip="How boldly: multiplies the length of the steps and how far the picture may go.",
                ),
                preset_input(cls.CUSTOM_START),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=f"Paint what is there, here: the {FROM_REFERENCE} strongest features of this picture are "
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
            accept_all_inputs=True,
        )

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,
        image: Tensor,
        mask: Tensor,
        feature: str = "",
        strength: float = 1.0,
        preset: Chosen = None,
        reference: Tensor | None = None,
        reference_mask: Tensor | None = None,
        animate: int = 0,
        **others: Any,
    ) -> io.NodeOutput:
        model = classifier.model
        settings = read_preset(preset, cls.CUSTOM_START, others).settings
        weights = _feature_weights(classifier, feature, reference, reference_mask)

        def work(chunk: Tensor, masks: Tensor, _part: slice, report: Callback) -> Tensor:
            return paint(model, chunk, masks, weights.to(chunk), strength, settings, report)

        plan = partial(paint_plan, model.input_size, settings=settings)
        return work_inside(classifier, image, mask, plan, work, animate)


def _feature_weights(
    classifier: LoadedClassifier, feature: str, reference: Tensor | None, reference_mask: Tensor | None
) -> Tensor:
    """The weights `[F]` of the written features and of the strongest ones of a reference."""
    count = classifier.model.feature_count
    if reference is None and not feature.strip():
        raise ValueError(
            f"Write a feature (a number from 0 to {count - 1}), wire in what Find Features found, or give a reference "
            "picture."
        )
    # The text is checked first, because the reference takes time.
    weights = parse_feature_expression(feature, count).vector(count) if feature.strip() else torch.zeros(count)
    if reference is not None:
        found = strongest_features(classifier, reference, reference_mask, FROM_REFERENCE)
        show_status(f"Painting the features of the reference: {feature_text(found)}")
        for index, activation in found:
            weights[index] += activation
    return weights
