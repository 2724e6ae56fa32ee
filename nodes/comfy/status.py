"""What a running node shows: messages, progress and previews."""

from __future__ import annotations

import logging
import math

import comfy.model_management as mm
import comfy.utils
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from torch import Tensor

from ...synthesis import image_grid

Cancelled = mm.InterruptProcessingException
PREVIEW_SIDE = 512
"""Previews are shrunk to this side, in pixels."""


def show_status(text: str) -> None:
    """Show a message on the node that is running, and in the log."""
    logging.info("Robust Synthesis: %s", text)
    context = get_executing_context()
    if context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


def cancel_requested() -> bool:
    """Whether the user has pressed Cancel; the next report of a `Progress` will raise."""
    return bool(mm.processing_interrupted())


class Progress:
    """The progress bar and the preview of the node that is running."""

    def __init__(self) -> None:
        self._bar: comfy.utils.ProgressBar | None = None

    def __call__(self, done: int, total: int, preview: Tensor | None = None) -> None:
        """Report progress.

        Args:
            done: how much is done.
            total: of how much.
            preview: pictures `[B, 3, H, W]` in [0, 1], shown as one sheet.

        Raises:
            Cancelled: the user has pressed Cancel.
        """
        mm.throw_exception_if_processing_interrupted()
        self._bar = self._bar or comfy.utils.ProgressBar(max(total, 1))
        sheet = None if preview is None else ("JPEG", _contact_sheet(preview), PREVIEW_SIDE)
        self._bar.update_absolute(done, total, sheet)


def _contact_sheet(images: Tensor) -> Image.Image:
    pictures = [Image.fromarray(pixels) for pixels in (images.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    return image_grid(rows, gap=0, background="black")
