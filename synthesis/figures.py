"""Figures as images: a grid of pictures, the chart of Classify Image, the sheet of Find Features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

DARK, TRACK, BAR, INK, FAINT = "#1e1e22", "#34343b", "#5b9dd9", "#f2f2f2", "#a9a9b2"
TEXT, LINE = 16, 21
TILE, TILE_GAP, MOST_COLUMNS = 192, 10, 4
CHART_WIDTH, ROW, MARGIN = 512, 34, 14


def image_grid(
    rows: Sequence[Sequence[Image.Image]],
    captions: Sequence[Sequence[Sequence[str]]] = (),
    *,
    gap: int = 8,
    background: str = "white",
    inks: Sequence[str] = ("#333333",),
) -> Image.Image:
    """Images of one size in rows, with lines of text under each.

    Args:
        rows: of images; a row may be shorter than the others.
        captions: for each image as many lines as there are inks; none for a grid without text.
        gap: pixels around each image.
        background: colour.
        inks: the colours of the lines.
    """
    width, height = rows[0][0].size
    below = LINE * len(inks) + 4 if captions else 0
    columns = max(len(row) for row in rows)
    size = (gap + columns * (width + gap), gap + len(rows) * (height + below + gap))
    grid = Image.new("RGB", size, background)
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(TEXT)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            left, top = gap + c * (width + gap), gap + r * (height + below + gap)
            grid.paste(image, (left, top))
            for line, (text, ink) in enumerate(zip(captions[r][c], inks, strict=True) if captions else []):
                draw.text((left + width / 2, top + height + 14 + LINE * line), text, ink, font, anchor="mm")
    return grid


def feature_sheet(pictures: Tensor, captions: Sequence[tuple[str, str]]) -> Tensor:
    """Pictures `[N, 3, H, W]` in [0, 1] with two lines of text each, as one picture `[3, H, W]` in [0, 1]."""
    arrays = (pictures.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    tiles = [Image.fromarray(array).resize((TILE, TILE), Image.Resampling.LANCZOS) for array in arrays]
    columns = min(len(tiles), MOST_COLUMNS)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    texts = [captions[start : start + columns] for start in range(0, len(tiles), columns)]
    return _tensor(image_grid(rows, texts, gap=TILE_GAP, background=DARK, inks=(INK, FAINT)))


def score_chart(ranking: Sequence[tuple[str, float]]) -> Tensor:
    """A bar chart of labels and scores (0 to 1): `[3, H, 512]` in [0, 1]."""
    font = ImageFont.load_default(TEXT)
    chart = Image.new("RGB", (CHART_WIDTH, 2 * MARGIN + ROW * len(ranking)), DARK)
    draw = ImageDraw.Draw(chart)
    left, right = 190, CHART_WIDTH - MARGIN - 58
    for row, (label, score) in enumerate(ranking):
        top = MARGIN + row * ROW
        middle = top + ROW // 2
        draw.text((left - 10, middle), _fitting(label, font, left - 10 - MARGIN), INK, font, anchor="rm")
        draw.rounded_rectangle((left, top + 6, right, top + ROW - 6), 4, TRACK)
        # A bar narrower than its rounded corners cannot be drawn.
        if (right - left) * score >= 2:
            draw.rounded_rectangle((left, top + 6, left + (right - left) * score, top + ROW - 6), 4, BAR)
        draw.text((CHART_WIDTH - MARGIN, middle), f"{score:.1%}", INK, font, anchor="rm")
    return _tensor(chart)


def _fitting(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(label) <= width:
        return label
    while font.getlength(label + "…") > width:
        label = label[:-1]
    return label + "…"


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
