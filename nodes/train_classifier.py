"""Train Robust Classifier."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io, ui

from ..training import RECIPES
from .comfy.folders import fingerprint
from .sockets import CATEGORY, RobustClassifierSocket
from .tensors import images_to_comfy
from .training_run import train_classifier


class RobustTrainClassifier(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustTrainClassifier",
            display_name="Train Robust Classifier",
            category=CATEGORY,
            description="Makes a robust classifier of your own pictures: a folder for each class, and what you train "
            "can generate, paint and translate those classes. It shows what it would paint while it learns; stopped, "
            "it keeps the best so far and goes on when you run it again.",
            search_aliases=["train", "training", "own brush", "adversarial training", "fine-tune", "custom classifier"],
            inputs=[
                _folder_input(),
                io.Combo.Input(
                    "recipe",
                    options=list(RECIPES),
                    default=next(iter(RECIPES)),
                    optional=True,
                    tooltip="; ".join(f"{name}: {recipe.summary}" for name, recipe in RECIPES.items()) + ".",
                ),
                io.Int.Input(
                    "epochs",
                    default=0,
                    min=0,
                    max=10_000,
                    optional=True,
                    tooltip="How often every picture is shown. 0: what the recipe thinks best for so many pictures. "
                    "Fewer is sooner done and coarser.",
                ),
                io.String.Input(
                    "name",
                    default="my brush",
                    optional=True,
                    tooltip="The name of the classifier's file in ComfyUI/models/robust_classifiers, where Load Robust "
                    "Classifier lists it. The same folder, settings and name go on with what was stopped; another "
                    "classifier of that name is kept, and the new one gets a number.",
                ),
                io.Float.Input(
                    "epsilon",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="How much the attack in training may change a picture (L2). Larger: bolder shapes. "
                    "Smaller: classes that differ little are learned at all. 0: the recipe's.",
                ),
            ],
            outputs=[
                RobustClassifierSocket.Output(
                    "classifier", tooltip="The classifier, with its class names and class seeds."
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = "robust_patterns", **others: object) -> object:
        # Other pictures may lie in the folder since the last run; None is a name that another node gives.
        return folder, others, fingerprint(folder or "")

    @classmethod
    def execute(
        cls,
        folder: str = "robust_patterns",
        recipe: str = next(iter(RECIPES)),
        epochs: int = 0,
        name: str = "my brush",
        epsilon: float = 0.0,
    ) -> io.NodeOutput:
        chosen = RECIPES[recipe]
        if epsilon:
            chosen = replace(chosen, attack=replace(chosen.attack, epsilon=epsilon))
        classifier, samples = train_classifier(folder, chosen, epochs or None, name)
        return io.NodeOutput(classifier, ui=ui.PreviewImage(images_to_comfy(samples), cls=cls))


def _folder_input() -> io.Input:
    return io.String.Input(
        "folder",
        default="robust_patterns",
        optional=True,
        tooltip="A folder inside ComfyUI's input folder (or a zip file there) that holds a folder of "
        "pictures for each class: flowers/roses/, flowers/tulips/. Two classes or more, a hundred "
        "pictures each are a good start; any sizes, of which the middle square is used. Folders inside a "
        "class folder belong to it; folders train, val and test, each with the class folders, are taken "
        "for what they are.",
    )
