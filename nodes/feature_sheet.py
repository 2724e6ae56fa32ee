"""A sheet of pictures with two lines of text under each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TILE, GAP, CAPTION, TEXT = 192, 10, 46, 16
BACKGROUND, INK, FAINT = "#1e1e22", "#f2f2f2", "#a9a9b2"
MOST_COLUMNS = 4


def feature_sheet(pictures: Tensor, captions: Sequence[tuple[str, str]]) -> Tensor:
    """Pictures `[N, 3, H, W]` in [0, 1] with their captions, as one picture `[3, H, W]` in [0, 1]."""
    columns = min(len(captions), MOST_COLUMNS)
    rows = math.ceil(len(captions) / columns)
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), GAP + rows * (TILE + CAPTION + GAP)), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    tiles = (pictures.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    for place, (tile, (first, second)) in enumerate(zip(tiles, captions, strict=True)):
        left = GAP + place % columns * (TILE + GAP)
        top = GAP + place // columns * (TILE + CAPTION + GAP)
        sheet.paste(Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + TILE / 2, top + TILE + 14), first, INK, font, anchor="mm")
        draw.text((left + TILE / 2, top + TILE + 35), second, FAINT, font, anchor="mm")
    return torch.from_numpy(np.asarray(sheet).copy()).permute(2, 0, 1).float() / 255
