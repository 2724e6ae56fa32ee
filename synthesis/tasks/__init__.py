"""The operations, one file each, with the paper's settings and ours as named presets."""

from .classify import classify
from .features import VISUALISE, region_features, visualise_features
from .inpaint import FILLS, INPAINT_PAPER, INPAINT_PRESET, InpaintSettings, inpaint
from .masked import MaskedSettings
from .paint import PAINT_PAPER, PAINT_PRESET, paint
from .translate import TRANSLATE_PAPER, TRANSLATE_PRESETS, TranslateSettings, translate
from .upsample import FACTORS, UPSAMPLE_PAPER, UPSAMPLE_PRESET, UpsampleSettings, upsample

__all__ = [
    "FACTORS",
    "FILLS",
    "INPAINT_PAPER",
    "INPAINT_PRESET",
    "PAINT_PAPER",
    "PAINT_PRESET",
    "TRANSLATE_PAPER",
    "TRANSLATE_PRESETS",
    "UPSAMPLE_PAPER",
    "UPSAMPLE_PRESET",
    "VISUALISE",
    "InpaintSettings",
    "MaskedSettings",
    "TranslateSettings",
    "UpsampleSettings",
    "classify",
    "inpaint",
    "paint",
    "region_features",
    "translate",
    "upsample",
    "visualise_features",
]
