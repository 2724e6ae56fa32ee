"""Geometry of what a classifier sees of an image that is not of its input size.

On a larger image a convolutional classifier responds to many small motifs. So the ascent runs on a copy of about the
classifier's input area, in the image's own aspect ratio, and the *change* is put back at full resolution: what the
ascent leaves alone keeps every detail of the original. Where only a part may change, the copy shows that part and its
surroundings. Detail finer than the copy is added afterwards, on larger copies that are seen in tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.checkpointing import in_chunks

SHORTEST_SIDE = 32
NATIVE_AREA = (0.5, 1.6)
CONTEXT = 2.0
"""A view of a masked part is this many times as wide and high as the part, as far as the picture goes."""
FINEST = 16.0
TILES_AT_ONCE = 8

See = Callable[[Tensor], Tensor]
"""What a network sees in images `[B, 3, H, W]`: `[B, K]`, logits or features."""


def working_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    """Height and width at which a classifier of `input_size` works on a picture of `height` x `width`.

    The same, where the area is near the classifier's own; else the size of equal area and shape. No side is
    shorter than `SHORTEST_SIDE`, below which a classifier of several strides sees nothing: a thin strip is widened.
    """
    low, high = NATIVE_AREA
    if low <= height * width / input_size**2 <= high and min(height, width) >= SHORTEST_SIDE:
        return height, width
    scale = input_size / math.sqrt(height * width)
    return max(round(height * scale), SHORTEST_SIDE), max(round(width * scale), SHORTEST_SIDE)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `[B, C, H, W]` at another (height, width), antialiased, values clamped to [0, 1]."""
    return images if images.shape[2:] == size else _interpolated(images, size).clamp(0, 1)


def _interpolated(images: Tensor, size: tuple[int, int]) -> Tensor:
    if images.shape[2:] == size:
        return images
    if size[1] == 1 < size[0]:
        # On the CPU torch repeats the first row of a result that is one pixel wide; one pixel high is no problem.
        return _interpolated(images.transpose(2, 3), (1, size[0])).transpose(2, 3)
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)


@dataclass(frozen=True)
class View:
    """What the classifier sees of each image of a batch: a rectangle, resized."""

    boxes: tuple[tuple[int, int, int, int], ...]
    """For each image its top, left, height and width, in pixels; or one box for all."""
    size: tuple[int, int]

    def finer(self) -> list[View]:
        """The same boxes in more and more pixels, about twice as many across each time, up to their own."""
        height, width = self.size
        # By their pixels: the view of a thin strip is wider than the strip.
        scale = min(math.sqrt(max(box[2] * box[3] for box in self.boxes) / (height * width)), FINEST)
        count = round(math.log2(max(scale, 1.0)))
        scales = [scale ** ((index + 1) / count) for index in range(count)]
        return [View(self.boxes, (round(height * s), round(width * s))) for s in scales]

    def look(self, images: Tensor) -> Tensor:
        """The view of images (or masks) `[B, C, H, W]`, as `[B, C, *size]`."""
        return torch.cat(
            [
                resized(images[index : index + 1, :, top : top + height, left : left + width], self.size)
                for index, (top, left, height, width) in enumerate(self.boxes_of(len(images)))
            ]
        )

    def put_back(self, images: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """`images` plus what changed between two versions of their view, enlarged; clamped to [0, 1]."""
        result = images.clone()
        for index, (top, left, height, width) in enumerate(self.boxes_of(len(images))):
            box = result[index : index + 1, :, top : top + height, left : left + width]
            if box.shape[2:] == self.size:
                box.copy_(after[index : index + 1])
                continue
            change = _interpolated(after[index : index + 1] - before[index : index + 1], (height, width))
            box.add_(change).clamp_(0, 1)
        return result

    def enlargements(self, count: int) -> list[float]:
        """How many pixels each image of a batch of `count` has for one of the view."""
        height, width = self.size
        return [box[2] * box[3] / (height * width) for box in self.boxes_of(count)]

    def boxes_of(self, count: int) -> tuple[tuple[int, int, int, int], ...]:
        """The box of each image of a batch of `count`."""
        return self.boxes * count if len(self.boxes) == 1 else self.boxes


def whole(height: int, width: int, input_size: int) -> View:
    """The view of all of each image of `height` x `width` pixels."""
    return View(((0, 0, height, width),), working_size(height, width, input_size))


def around(mask: Tensor, input_size: int) -> View:
    """The view of what a mask `[B, 1, H, W]` marks and of its surroundings, in the shape of the picture.

    All of the picture where that is not much larger than the classifier's input, or where the mask is empty.
    """
    height, width = mask.shape[2:]
    native = input_size / math.sqrt(height * width)
    if native**-2 <= NATIVE_AREA[1]:
        return whole(height, width, input_size)
    boxes = []
    for marked in mask[:, 0] > 0:
        rows, columns = (marked.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if not rows:
            boxes.append((0, 0, height, width))
            continue
        share = CONTEXT * max((rows[-1] + 1 - rows[0]) / height, (columns[-1] + 1 - columns[0]) / width)
        share = min(max(share, native), 1.0)
        box_height, box_width = math.ceil(share * height), math.ceil(share * width)
        top = min(max((rows[0] + rows[-1] + 1 - box_height) // 2, 0), height - box_height)
        left = min(max((columns[0] + columns[-1] + 1 - box_width) // 2, 0), width - box_width)
        boxes.append((top, left, box_height, box_width))
    return View(tuple(boxes), working_size(height, width, input_size))


def feathered(mask: Tensor, pixels: int) -> Tensor:
    """A mask `[B, 1, H, W]` that fades in from its rim over some pixels, inside of it; picture borders are no rim."""
    layers = [mask]
    for _ in range(pixels):
        layers.append(-F.max_pool2d(-layers[-1], 3, 1, 1))
    return torch.stack(layers).mean(0)


def in_tiles(see: See, side: int, faded: bool = True) -> See:
    """See pictures in tiles of about `side` x `side`; what is seen is the mean over the tiles.

    If `faded`, gradients fade towards the edges of a tile, where it lacks its surroundings: tiles that lie elsewhere at
    each step leave no seams. Activations of many tiles are computed again on the way back.
    """

    def seen(images: Tensor) -> Tensor:
        tiles = tiled(images, side)
        if faded and tiles.requires_grad:
            fading = _fading(tiles, images)
            tiles.register_hook(lambda gradient: gradient * fading)
        rows = in_chunks(see, tiles.flatten(0, 1), TILES_AT_ONCE)
        return rows.view(len(images), tiles.shape[1], -1).mean(1)

    return seen


def _fading(tiles: Tensor, images: Tensor) -> Tensor:
    """A weight for each pixel of a tile: 1 in the middle, 0 at the edges that are not the picture's own."""
    weights = []
    for axis in (-2, -1):
        length = tiles.shape[axis]
        places = (torch.arange(length, device=tiles.device, dtype=tiles.dtype) + 0.5) / length
        alone = length == images.shape[axis]
        weights.append(torch.ones_like(places) if alone else torch.sin(math.pi * places) ** 2)
    return weights[0][:, None] * weights[1]


def tiled(images: Tensor, side: int) -> Tensor:
    """Pictures `[B, C, H, W]` cut into equal tiles of about `side`, `[B, tiles, C, h, w]`, overlapping a little."""
    height, width = images.shape[2:]
    rows, columns = max(round(height / side), 1), max(round(width / side), 1)
    tile_height, tile_width = math.ceil(height / rows), math.ceil(width / columns)
    tops = [row * (height - tile_height) // max(rows - 1, 1) for row in range(rows)]
    lefts = [column * (width - tile_width) // max(columns - 1, 1) for column in range(columns)]
    # The gradient of a slice has the size of what it was cut from: strips first, because a tile is cut from each once.
    strips = (images[:, :, top : top + tile_height] for top in tops)
    return torch.stack([strip[..., left : left + tile_width] for strip in strips for left in lefts], 1)
