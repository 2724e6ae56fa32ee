"""A picture of class scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

WIDTH, ROW, MARGIN, TEXT = 512, 34, 14, 16
BACKGROUND, TRACK, BAR, INK = "#1e1e22", "#34343b", "#5b9dd9", "#f2f2f2"


def score_chart(ranking: Sequence[tuple[str, float]]) -> Tensor:
    """A bar chart of labels and scores (0 to 1): `[3, H, 512]` in [0, 1]."""
    font = ImageFont.load_default(TEXT)
    sheet = Image.new("RGB", (WIDTH, 2 * MARGIN + ROW * len(ranking)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    left, right = 190, WIDTH - MARGIN - 58
    for row, (label, score) in enumerate(ranking):
        top = MARGIN + row * ROW
        middle = top + ROW // 2
        draw.text((left - 10, middle), _fitting(label, font, left - 10 - MARGIN), INK, font, anchor="rm")
        draw.rounded_rectangle((left, top + 6, right, top + ROW - 6), 4, TRACK)
        # A bar narrower than its rounded corners cannot be drawn.
        if (right - left) * score >= 2:
            draw.rounded_rectangle((left, top + 6, left + (right - left) * score, top + ROW - 6), 4, BAR)
        draw.text((WIDTH - MARGIN, middle), f"{score:.1%}", INK, font, anchor="rm")
    return torch.from_numpy(np.asarray(sheet).copy()).permute(2, 0, 1).float() / 255


def _fitting(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(label) <= width:
        return label
    while font.getlength(label + "…") > width:
        label = label[:-1]
    return label + "…"
