"""Classes from Text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io
from torch import Tensor

from ..models.clip import LAST_NORM, LOGIT_SCALE, PROJECTION, SCALE, require_tower, text_tensors, with_texts
from ..synthesis.text_classes import PLACE, TextClasses, read_text_classes
from .comfy.classifiers import LoadedClassifier
from .comfy.status import show_status
from .comfy.text_encoder import TextEncoder, embed_texts, encoder_in, encoder_of_file, is_another
from .sockets import CATEGORY, RobustClassifierSocket

if TYPE_CHECKING:
    from .comfy.text_encoder import CLIP

EXAMPLE = "a lighthouse at night\na forest in autumn"


class RobustTextClasses(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustTextClasses",
            display_name="Classes from Text",
            category=CATEGORY,
            description="Makes a classifier of your own texts: its classes are the lines you write, as a robust CLIP "
            "understands them. Every node of this pack takes it: generate, translate, inpaint or classify anything "
            "that has words.",
            search_aliases=["text to image", "prompt", "CLIP", "zero-shot", "robust CLIP", "open vocabulary", "text"],
            inputs=[
                RobustClassifierSocket.Input(
                    "classifier",
                    tooltip="The image tower of a robust CLIP, from Load Robust Classifier: fare2_vit_l14 and others.",
                ),
                io.String.Input(
                    "texts",
                    multiline=True,
                    default=EXAMPLE,
                    optional=True,
                    tooltip="A class in each line, in any words. What is written in target_class of other nodes is a "
                    "line of these, or a mix of them. Rivals make a class clearer: add lines that it should not be. A "
                    "line alone gets 'anything else' as its rival.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The text encoder. Leave it unconnected: the classifier's file has its own. It is needed "
                    "for files of an image tower alone; CLIP-L is that of OpenAI's towers.",
                ),
                io.String.Input(
                    "template",
                    default=PLACE,
                    optional=True,
                    advanced=True,
                    tooltip="What CLIP reads, with {} where the line is put: a photo of {}.",
                ),
            ],
            outputs=[
                RobustClassifierSocket.Output("classifier", tooltip="The classifier; its class names are your lines.")
            ],
        )

    @classmethod
    def execute(
        cls, classifier: LoadedClassifier, texts: str = EXAMPLE, clip: CLIP | None = None, template: str = PLACE
    ) -> io.NodeOutput:
        tower, classes = classifier.opened, read_text_classes(texts, template)
        # Refused before any text is encoded.
        require_tower(tower)
        text = text_tensors(classifier.source)
        # Modules made in inference mode cannot take part in a backward pass.
        with torch.inference_mode(False):
            encoder = _encoder(classifier, text, clip)
            embeddings, cut = embed_texts(encoder, text.get(PROJECTION), classes.texts)
            scale = text[SCALE].item() if SCALE in text else LOGIT_SCALE
            model = with_texts(tower, embeddings.clone(), classes.labels, scale)
        _say(classes, cut)
        return io.NodeOutput(replace(classifier, opened=model, own_classes=False))


def _encoder(classifier: LoadedClassifier, text: Mapping[str, Tensor], clip: CLIP | None) -> TextEncoder:
    tower = classifier.opened
    if clip is None:
        if not text:
            raise ValueError(
                f"The file of '{tower.card.title}' is an image tower alone: connect its text encoder to clip, a whole "
                "CLIP-L for OpenAI's towers, or take the file that has both."
            )
        return encoder_of_file(text, bool(tower.card.architecture.get("quick_gelu")))
    encoder = encoder_in(clip, len(text[LAST_NORM]) if text else tower.feature_count)
    if text and is_another(encoder, text):
        show_status(
            f"The wired text encoder is not the one that '{tower.card.title}' was made with: classes may come out "
            "wrong. Leave clip unconnected to use the file's own."
        )
    return encoder


def _say(classes: TextClasses, cut: list[int]) -> None:
    if cut:
        names = ", ".join(f"'{classes.labels[index]}'" for index in cut[:3])
        show_status(f"CLIP reads 75 tokens of a text at most: the end of {names} does not count.")
