"""What an artist sees: one file per operation, and the extension that lists them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import runtime
from .class_seed import RobustClassSeed
from .classify import RobustClassify
from .features import RobustFeatures
from .fit_seeds import RobustFitSeeds
from .inpaint import RobustInpaint
from .load_classifier import RobustLoadClassifier
from .paint import RobustActivationPaint
from .save_classifier import RobustSaveClassifier
from .train_classifier import RobustTrainClassifier
from .translate import RobustTranslate
from .upsample import RobustUpsample


class RobustSynthesis(ComfyExtension):
    """The pack, as ComfyUI loads it."""

    async def on_load(self) -> None:
        runtime.register_classifier_folder()
        runtime.register_routes()
        runtime.provide_example_pictures()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            RobustLoadClassifier,
            RobustClassSeed,
            RobustTranslate,
            RobustInpaint,
            RobustUpsample,
            RobustActivationPaint,
            RobustFeatures,
            RobustClassify,
            RobustFitSeeds,
            RobustSaveClassifier,
            RobustTrainClassifier,
        ]
