"""Classify Image."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..synthesis import classify, score_chart
from ..synthesis.ascent import Callback
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import run_batch, to_intermediate
from .sockets import CATEGORY, classifier_input
from .tensors import images_from_comfy, images_to_comfy


class RobustClassify(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustClassify",
            display_name="Classify Image",
            category=CATEGORY,
            description="What a classifier sees in a picture: the likeliest class, the scores as text, a bar chart.",
            search_aliases=["robust classify", "label image", "image classification", "class scores", "probabilities"],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    tooltip="The pictures, any size; each is seen whole. Transparency is flattened onto white.",
                ),
                io.Int.Input(
                    "top_k",
                    default=5,
                    min=1,
                    max=1000,
                    optional=True,
                    tooltip="How many classes to list, the likeliest first. More than there are: all of them.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "label",
                    tooltip="The likeliest class; a line for each picture. That of one picture fits target_class of "
                    "other nodes.",
                ),
                io.String.Output("scores", tooltip="The top classes with their probabilities (0 to 1), a line each."),
                io.Image.Output("chart", tooltip="A bar chart of the scores, one for each picture."),
            ],
        )

    @classmethod
    def execute(cls, classifier: LoadedClassifier, image: Tensor, top_k: int = 5) -> io.NodeOutput:
        model = classifier.model
        images = images_from_comfy(image)

        def work(chunk: Tensor, _part: slice, _report: Callback) -> Tensor:
            return classify(model, chunk)

        probabilities = run_batch(classifier, images, work).float()
        top = probabilities.topk(min(top_k, len(model.labels)))
        rankings = [
            [(model.labels[index], float(score)) for score, index in zip(scores, indices, strict=True)]
            for scores, indices in zip(top.values, top.indices.tolist(), strict=True)
        ]
        labels = "\n".join(ranking[0][0] for ranking in rankings)
        scores = "\n\n".join("\n".join(f"{label}: {score:.3f}" for label, score in ranking) for ranking in rankings)
        charts = torch.stack([score_chart(ranking) for ranking in rankings])
        return io.NodeOutput(labels, scores, to_intermediate(images_to_comfy(charts)))
