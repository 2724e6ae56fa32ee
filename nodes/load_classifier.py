"""Load Robust Classifier."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import runtime
from .sockets import CATEGORY, RobustClassifierSocket


class RobustLoadClassifier(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustLoadClassifier",
            display_name="Load Robust Classifier",
            category=CATEGORY,
            description="Loads an adversarially trained classifier, whose gradients the other nodes of this pack "
            "climb. Three small ones ship with the pack and need no download.",
            search_aliases=["robust model", "adversarial classifier", "load classifier", "canvas", "seasons", "styles"],
            inputs=[
                io.Combo.Input(
                    "classifier",
                    options=list(runtime.classifier_choices()),
                    tooltip="canvas: ten things and six scenes. seasons: summer and winter. styles: photo, art "
                    "painting, cartoon, sketch. Below them, your own .safetensors files in "
                    "ComfyUI/models/robust_classifiers (press R to see new ones).",
                )
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier", tooltip="The classifier, with its class names and class seeds."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, classifier: str) -> Any:
        path = runtime.classifier_choices().get(classifier)
        # A user's file may be replaced by another of the same name.
        return (classifier, path.stat().st_mtime_ns, path.stat().st_size) if path else classifier

    @classmethod
    def execute(cls, classifier: str) -> io.NodeOutput:
        choices = runtime.classifier_choices()
        if classifier not in choices:
            raise ValueError(
                f"There is no classifier '{classifier}'. There are: {', '.join(choices)}. Put your own files into "
                "ComfyUI/models/robust_classifiers."
            )
        return io.NodeOutput(runtime.load(choices[classifier]))
