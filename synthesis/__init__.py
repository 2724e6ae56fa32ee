"""Image synthesis by gradient ascent on a robust classifier. Needs torch, not ComfyUI."""

from .ascent import AscentSettings, ascend
from .class_expression import parse_class_expression
from .constraints import NORMS, Consistency, Constraint, composite
from .feature_expression import parse_feature_expression
from .mix import ExpressionError, Mix
from .objectives import OBJECTIVES, class_loss, feature_loss, penalised
from .picture_folder import pictures_in
from .seeds import best_of, class_seeds, fit_seeds, natural_noise, photo_noise, seed_size
from .settings import ClimbSettings, DetailedSettings
from .surround import surround
from .tasks import (
    FACTORS,
    FILLS,
    INPAINT_PAPER,
    INPAINT_PRESET,
    PAINT_PAPER,
    PAINT_PRESET,
    TRANSLATE_PAPER,
    TRANSLATE_PRESETS,
    UPSAMPLE_PAPER,
    UPSAMPLE_PRESET,
    VISUALISE,
    InpaintSettings,
    MaskedSettings,
    TranslateSettings,
    UpsampleSettings,
    classify,
    inpaint,
    paint,
    region_features,
    translate,
    upsample,
    visualise_features,
)
from .views import working_size

__all__ = [
    "FACTORS",
    "FILLS",
    "INPAINT_PAPER",
    "INPAINT_PRESET",
    "NORMS",
    "OBJECTIVES",
    "PAINT_PAPER",
    "PAINT_PRESET",
    "TRANSLATE_PAPER",
    "TRANSLATE_PRESETS",
    "UPSAMPLE_PAPER",
    "UPSAMPLE_PRESET",
    "VISUALISE",
    "AscentSettings",
    "ClimbSettings",
    "Consistency",
    "Constraint",
    "DetailedSettings",
    "ExpressionError",
    "InpaintSettings",
    "MaskedSettings",
    "Mix",
    "TranslateSettings",
    "UpsampleSettings",
    "ascend",
    "best_of",
    "class_loss",
    "class_seeds",
    "classify",
    "composite",
    "feature_loss",
    "fit_seeds",
    "inpaint",
    "natural_noise",
    "paint",
    "parse_class_expression",
    "parse_feature_expression",
    "penalised",
    "photo_noise",
    "pictures_in",
    "region_features",
    "seed_size",
    "surround",
    "translate",
    "upsample",
    "visualise_features",
    "working_size",
]
