"""Robust Synthesis: image synthesis with a single robust classifier, for ComfyUI and as a plain library.

ComfyUI finds `comfy_entrypoint` here. Outside ComfyUI this folder is the package `robust_synthesis`;
importing it needs no ComfyUI, because the nodes are imported only when ComfyUI asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> ComfyExtension:
    """Return the extension that holds the pack's nodes (ComfyUI calls this once at start-up)."""
    from .nodes import RobustSynthesis

    return RobustSynthesis()
