"""Combine Classifiers."""

from __future__ import annotations

from comfy_api.latest import io

from .comfy.classifiers import LoadedClassifier, combine_loaded
from .sockets import CATEGORY, RobustClassifierSocket, classifier_input


class RobustCombineClassifiers(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustCombineClassifiers",
            display_name="Combine Classifiers",
            category=CATEGORY,
            description="Two classifiers of the same classes and size as one ensemble: what both ask for is painted, "
            "and the faults that only one of them has are not. canvas and canvas-bold together paint better than "
            "either.",
            search_aliases=["combine", "ensemble", "mix models", "merge classifiers", "canvas-bold"],
            inputs=[
                classifier_input(),
                RobustClassifierSocket.Input(
                    "second_classifier",
                    tooltip="Another classifier of the same classes and of the same size, for instance canvas-bold to "
                    "canvas. A step takes the time of both. No ConvNeXts, transformers, CLIPs or ensembles.",
                ),
                io.Float.Input(
                    "weight",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much the second one counts, from 0 to 1; the first one has the rest.",
                ),
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier",
                    tooltip="Both as one, with the class names and the class seeds of the first. Save Robust "
                    "Classifier makes one file of it.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, classifier: LoadedClassifier, second_classifier: LoadedClassifier, weight: float = 0.5
    ) -> io.NodeOutput:
        return io.NodeOutput(combine_loaded(classifier, second_classifier, weight))
