"""What an artist sees: one file for each node, and the extension that lists them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .class_mask import RobustClassMask as RobustClassMask
from .class_seed import RobustClassSeed as RobustClassSeed
from .classify import RobustClassify as RobustClassify
from .combine_classifiers import RobustCombineClassifiers as RobustCombineClassifiers
from .comfy import folders as _folders
from .comfy import server as _server
from .features import RobustFeatures as RobustFeatures
from .fit_seeds import RobustFitSeeds as RobustFitSeeds
from .inpaint import RobustInpaint as RobustInpaint
from .live_canvas import RobustCanvas as RobustCanvas
from .load_classifier import RobustLoadClassifier as RobustLoadClassifier
from .paint import RobustActivationPaint as RobustActivationPaint
from .save_classifier import RobustSaveClassifier as RobustSaveClassifier
from .text_classes import RobustTextClasses as RobustTextClasses
from .train_classifier import RobustTrainClassifier as RobustTrainClassifier
from .translate import RobustTranslate as RobustTranslate
from .upsample import RobustUpsample as RobustUpsample


class RobustSynthesis(ComfyExtension):
    """The pack, as ComfyUI loads it."""

    async def on_load(self) -> None:
        _folders.register_classifier_folder()
        _server.register_routes()
        _server.provide_example_pictures()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes that are imported above; one line there registers one."""
        return [node for node in globals().values() if isinstance(node, type) and issubclass(node, io.ComfyNode)]
