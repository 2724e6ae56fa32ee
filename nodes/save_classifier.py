"""Save Robust Classifier."""

from __future__ import annotations

from comfy_api.latest import io, ui

from .comfy.classifiers import LoadedClassifier, save
from .comfy.status import show_status
from .sockets import CATEGORY, classifier_input


class RobustSaveClassifier(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustSaveClassifier",
            display_name="Save Robust Classifier",
            category=CATEGORY,
            description="Saves a classifier with its class seeds as one .safetensors file in "
            "ComfyUI/models/robust_classifiers, where Load Robust Classifier lists it.",
            search_aliases=["save robust classifier", "save seeds", "export classifier", "save model"],
            inputs=[
                classifier_input(),
                io.String.Input(
                    "filename",
                    default="my classifier",
                    optional=True,
                    tooltip="The file's name, without an extension; folder/name puts it into a folder. A file of that "
                    "name is kept, and the new one gets a number.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, classifier: LoadedClassifier, filename: str = "my classifier") -> io.NodeOutput:
        path = save(classifier, filename)
        message = f"Saved as {path.name}. Press R to see it in Load Robust Classifier."
        show_status(message)
        return io.NodeOutput(ui=ui.PreviewText(message))
