"""Load Robust Classifier."""

from __future__ import annotations

from comfy_api.latest import io

from ..models.sidecar import SidecarError, data_config
from .comfy.classifiers import classifier_choice, classifier_choices, classifier_version, load
from .sockets import CATEGORY, RobustClassifierSocket


class RobustLoadClassifier(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustLoadClassifier",
            display_name="Load Robust Classifier",
            category=CATEGORY,
            description="Loads an adversarially trained classifier, which guides the other nodes of this pack by its "
            "gradients. Small ones ship with the pack and need no download; your own files and public ones "
            "from the Hugging Face Hub and from their authors are listed below them.",
            search_aliases=[
                "robust model",
                "adversarial classifier",
                "load classifier",
                "imagenet",
                "resnet50",
                "canvas",
                "painters",
                "seasons",
            ],
            inputs=[
                io.Combo.Input(
                    "classifier",
                    options=list(classifier_choices()),
                    tooltip="canvas: 39 scenes, flowers, animals and things. canvas-bold: the same, animals and "
                    "flowers with firmer shapes, a little slower. canvas-ensemble: both at once, to the eye the best "
                    "of the three, twice as slow. painters: photo and seven styles. seasons: summer and winter. Then "
                    "your own checkpoints (.safetensors, .ckpt, .pt, .pth and others) in "
                    "ComfyUI/models/robust_classifiers (press R to see new ones). Then ImageNet classifiers with 1000 "
                    "classes on the Hugging Face Hub and some on their authors' servers, of which the one you choose "
                    "is downloaded when you press Run; start with resnet50_l2_eps3 (205 MB). Robust CLIPs, as "
                    "fare2_vit_l14, have no classes: Classes from Text gives them yours.",
                ),
                io.Int.Input(
                    "input_size",
                    default=0,
                    min=0,
                    max=4096,
                    optional=True,
                    advanced=True,
                    tooltip="Height and width, in pixels, of the pictures that the classifier was trained on, if its "
                    "file does not say so: 32 for CIFAR, 224 for ImageNet. 0: the file's own.",
                ),
                _colour_input(
                    "mean",
                    "The mean of red, green and blue that was subtracted from pictures in its training, for "
                    "pixel values from 0 to 1, as 0.485, 0.456, 0.406. Empty: the file's own.",
                ),
                _colour_input(
                    "std",
                    "The standard deviation by which they were divided then, as 0.229, 0.224, 0.225. "
                    "Empty: the file's own.",
                ),
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier", tooltip="The classifier, with its class names and class seeds."
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        classifier: str | None = None,
        input_size: int | None = None,
        mean: str | None = None,
        std: str | None = None,
    ) -> bool | str:
        # None is a value that another node will give. A name that is no longer listed may still be found: a pickle
        # that was deleted after its conversion.
        try:
            if classifier is not None:
                classifier_choice(classifier)
            data_config(input_size or 0, mean or "", std or "")
        except LookupError as error:
            return str(error.args[0])
        except SidecarError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, classifier: str, **others: object) -> object:
        # A user's file may be replaced by another of the same name, and the files beside it may change.
        return classifier_version(classifier), others

    @classmethod
    def execute(cls, classifier: str, input_size: int = 0, mean: str = "", std: str = "") -> io.NodeOutput:
        return io.NodeOutput(load(classifier_choice(classifier), data_config(input_size, mean, std)))


def _colour_input(name: str, tooltip: str) -> io.Input:
    return io.String.Input(name, default="", optional=True, advanced=True, tooltip=tooltip)
