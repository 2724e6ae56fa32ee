"""Load Robust Classifier."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .comfy.classifiers import classifier_choice, classifier_choices, load
from .sockets import CATEGORY, RobustClassifierSocket


class RobustLoadClassifier(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustLoadClassifier",
            display_name="Load Robust Classifier",
            category=CATEGORY,
            description="Loads an adversarially trained classifier, which guides the other nodes of this pack by its "
            "gradients. Three small ones ship with the pack and need no download; your own files and public ones "
            "from the Hugging Face Hub are listed below them.",
            search_aliases=[
                "robust model",
                "adversarial classifier",
                "load classifier",
                "imagenet",
                "resnet50",
                "canvas",
                "seasons",
                "styles",
            ],
            inputs=[
                io.Combo.Input(
                    "classifier",
                    options=list(classifier_choices()),
                    tooltip="canvas: ten things and six scenes. seasons: summer and winter. styles: photo, art "
                    "painting, cartoon, sketch. Then your own checkpoints (.safetensors, .ckpt, .pt, .pth and others) "
                    "in ComfyUI/models/robust_classifiers (press R to see new ones). Then ImageNet classifiers with "
                    "1000 classes on the Hugging Face Hub, of which the one you choose is downloaded when you press "
                    "Run; start with resnet50_l2_eps3 (205 MB).",
                )
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier", tooltip="The classifier, with its class names and class seeds."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, classifier: str | None = None) -> bool | str:
        # None is a name that another node will give. A name that is no longer listed may still be found: a pickle
        # that was deleted after its conversion.
        try:
            if classifier is not None:
                classifier_choice(classifier)
        except LookupError as error:
            return str(error.args[0])
        return True

    @classmethod
    def fingerprint_inputs(cls, classifier: str) -> Any:
        choice = classifier_choices().get(classifier)
        # What comes from the Hub is what its hash says, before and after it was downloaded.
        if choice is None or choice.path is None or choice.hub:
            return classifier
        # A user's file may be replaced by another of the same name.
        return classifier, choice.path.stat().st_mtime_ns, choice.path.stat().st_size

    @classmethod
    def execute(cls, classifier: str) -> io.NodeOutput:
        return io.NodeOutput(load(classifier_choice(classifier)))
