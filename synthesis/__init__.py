"""Image synthesis by gradient ascent on a robust classifier. Needs torch, not ComfyUI."""

from .ascent import AscentSettings, ascend
from .class_expression import ClassExpressionError, ClassMix, parse_class_expression
from .constraints import NORMS, Constraint, composite
from .objectives import OBJECTIVES, class_loss
from .seeds import class_seeds, natural_noise
from .tasks import PAPER, PRESETS, TranslateSettings, classify, translate
from .views import working_size

__all__ = [
    "NORMS",
    "OBJECTIVES",
    "PAPER",
    "PRESETS",
    "AscentSettings",
    "ClassExpressionError",
    "ClassMix",
    "Constraint",
    "TranslateSettings",
    "ascend",
    "class_loss",
    "class_seeds",
    "classify",
    "composite",
    "natural_noise",
    "parse_class_expression",
    "translate",
    "working_size",
]
