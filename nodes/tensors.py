"""Convert ComfyUI's tensors to the engine's and back, and refuse those that cannot be used."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PLACEHOLDER_MASK = 64
"""Load Image gives an all-zero mask of this side for a picture without transparency."""
TRACE = 3.5 / 255
"""A mask value below this shows nothing. JPEG and video leave 1 to 3 of 255 where a mask was black."""
FAINT = 0.1
"""Below this hardly anything shows."""


def images_from_comfy(image: Tensor) -> Tensor:
    """IMAGE `[B, H, W, C]` -> `[B, 3, H, W]` float32 in [0, 1].

    Transparency (C = 4) is flattened onto white, grey (C = 1) is repeated, values beyond 0 and 1 are clamped.

    Raises:
        ValueError: no picture in the batch, no pixel in a picture, another number of channels, NaN or infinity.
    """
    if image.ndim != 4:
        raise ValueError(f"An IMAGE has 4 dimensions (batch, height, width, channels); this one has {image.ndim}.")
    count, height, width, channels = image.shape
    if count == 0:
        raise ValueError("The image batch is empty: there is no picture to work on.")
    if height == 0 or width == 0:
        raise ValueError(f"The image is {width} x {height} pixels: there is nothing to work on.")
    if channels not in (1, 3, 4):
        raise ValueError(f"The image has {channels} channels; grey (1), RGB (3) and RGBA (4) are understood.")
    if not bool(image.isfinite().all()):
        raise ValueError("The image holds NaN or infinite values. Look at the node that made it.")
    images = image.float().clamp(0, 1).permute(0, 3, 1, 2)
    if channels == 4:
        images = flattened(images)
    return images.expand(-1, 3, -1, -1).contiguous()


def flattened(images: Tensor) -> Tensor:
    """Pictures with transparency `[B, 4, H, W]` on white, `[B, 3, H, W]`."""
    alpha = images[:, 3:]
    return images[:, :3] * alpha + (1 - alpha)


def images_to_comfy(images: Tensor) -> Tensor:
    """`[B, 3, H, W]` -> IMAGE `[B, H, W, 3]`."""
    return images.permute(0, 2, 3, 1).contiguous()


def mask_from_comfy(mask: Tensor, height: int, width: int) -> Tensor | None:
    """MASK `[B, H, W]` or `[H, W]`, any size -> `[B, 1, height, width]` in [0, 1]; None where there is no mask.

    Values below `TRACE` are 0.

    Raises:
        ValueError: an empty mask, another number of dimensions, NaN or infinity.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim != 3 or mask.numel() == 0:
        raise ValueError(f"A MASK is [batch, height, width] with at least one pixel; this one is {list(mask.shape)}.")
    if not bool(mask.isfinite().all()):
        raise ValueError("The mask holds NaN or infinite values. Look at the node that made it.")
    if mask.shape[1:] == (PLACEHOLDER_MASK, PLACEHOLDER_MASK) and not bool(mask.any()):
        return None
    mask = mask.float().clamp(0, 1)[:, None]
    mask = torch.where(mask < TRACE, torch.zeros_like(mask), mask)
    if mask.shape[2:] == (height, width):
        return mask
    return F.interpolate(mask, (height, width), mode="bilinear", antialias=True).clamp(0, 1)


def faint_note(mask: Tensor) -> str | None:
    """What to say of a MASK if most of what it marks is faint."""
    marked = mask[mask > 0].float()
    if not len(marked):
        return None
    traces, faint = (float((marked < limit).float().mean()) for limit in (TRACE, FAINT))
    if traces > 0.5:
        return (
            f"{traces:.0%} of what the mask marks is fainter than 4 of 255, as JPEG and video leave it behind. "
            "Nothing would show there, so it counts as not painted."
        )
    if faint > 0.5:
        return (
            f"{faint:.0%} of what the mask marks is fainter than {FAINT:.0%}: it takes time, and hardly shows. If it "
            "should be black, put Threshold Mask between."
        )
    return None


def same_batch(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat a single picture, or a single mask, to the other's batch.

    Raises:
        ValueError: two batches of different sizes, neither of them 1.
    """
    if len(mask) == len(images):
        return images, mask
    if len(mask) == 1:
        return images, mask.expand(len(images), -1, -1, -1)
    if len(images) == 1:
        return images.expand(len(mask), -1, -1, -1), mask
    raise ValueError(
        f"There are {len(images)} images and {len(mask)} masks. Give as many masks as images, or one for all."
    )


def all_alike(masks: Tensor) -> bool:
    """Whether all masks of a batch are the same."""
    return bool((masks == masks[:1]).all())
