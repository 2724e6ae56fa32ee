"""Pictures that are there twice: the same pixels, or a copy that was saved again or resized."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .pictures import Pictures

HASH_SIDE, THUMBNAIL_SIDE = 8, 16
MAX_BITS = 16
"""Of 128 that differ. 99 % of copies as JPEG of quality 30 differ by no more, different photos by some 40 or more."""
MIN_STEP = 1.0
"""Of 255, from one place of a hash to the next: the noise of a lossy file on plain paper is below."""
MAX_DETAIL_DIFFERENCE = 0.15
"""Between the details of thumbnails (root mean square), in proportion to their contrast."""
MAX_LOCAL_DIFFERENCE = 12.0
"""Of 255, at any place of the thumbnails: shapes on the same ground differ in few places, but there much."""
MIN_CONTRAST = 2.0
"""Of the details, of 255: a plain area or a clear sky has nothing to be recognised by."""
BLOCK, CACHED, PAIRS = 256, 64, 1024
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Copies:
    """Which of some pictures are copies, bool `[N]` each; none is in both."""

    exact: Tensor
    """All but one of those with the same pixels and class; all if they are in two classes or in others."""
    near: Tensor
    """The same of pictures that were saved again or resized."""

    @property
    def kept(self) -> Tensor:
        """Those that are no copies, bool `[N]`."""
        return ~(self.exact | self.near)


def find_copies(
    pictures: Pictures, others: Pictures | None, check: Callable[[], None] = lambda: None, exact_only: bool = False
) -> Copies:
    """Find copies, so that without them each picture is there once, in one class, and is none of `others`.

    Near copies are found by their difference hashes (dHash, Neal Krawetz 2013, horizontal and vertical), and confirmed
    by thumbnails, because drawn shapes on plain ground have near hashes, too. Mirrored, cropped or recoloured pictures
    are none.

    Args:
        pictures: to be searched.
        others: that count as known, in no class.
        check: called now and then; may raise to stop.
        exact_only: near copies are not looked for.
    """
    digests = [_digest(image) for image in pictures.images]
    exact = _exact_copies(digests, pictures.classes, set() if others is None else {*map(_digest, others.images)})
    if exact_only:
        return Copies(exact, torch.zeros_like(exact))
    known = 0 if others is None else len(others)
    looks = _looks(pictures.images, check)
    if others is not None:
        looks = _joined(_looks(others.images, check), looks)
    classes = torch.cat([torch.full((known,), -1), pictures.classes])
    # Of copies in two classes one of each stays in the search, because what is near to them is no better.
    rows = torch.cat([torch.arange(known), known + _first_of_each(digests, pictures.classes)])
    near = torch.zeros(known + len(pictures), dtype=torch.bool)
    near[rows] = _near_copies(looks.rows(rows), classes[rows], known, check)
    return Copies(exact, near[known:] & ~exact)


def deduplicate(pictures: Pictures, others: Pictures | None) -> Tensor:
    """Which pictures to keep, bool `[N]`: see `find_copies`."""
    return find_copies(pictures, others).kept


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def _exact_copies(digests: Sequence[bytes], labels: Tensor, known: set[bytes]) -> Tensor:
    classes: dict[bytes, set[int]] = {}
    for digest, index in zip(digests, labels.tolist(), strict=True):
        classes.setdefault(digest, set()).add(index)
    seen = set(known)
    copies: list[bool] = []
    for digest in digests:
        copies.append(digest in seen or len(classes[digest]) > 1)
        seen.add(digest)
    return torch.tensor(copies, dtype=torch.bool)


def _first_of_each(digests: Sequence[bytes], labels: Tensor) -> Tensor:
    """The rows without those that have the pixels and the class of an earlier one."""
    first: dict[tuple[bytes, int], int] = {}
    for row, key in enumerate(zip(digests, labels.tolist(), strict=True)):
        first.setdefault(key, row)
    return torch.tensor(list(first.values()), dtype=torch.int64)


def _near_copies(looks: _Looks, classes: Tensor, known: int, check: Callable[[], None]) -> Tensor:
    """Which of the pictures after the first `known` are near to an earlier one, or to one of another class."""
    copies = torch.zeros(len(classes), dtype=torch.bool)
    # What is taken out is near to one that stays in, so that many frames of a film are compared once each.
    compared = looks.contrasts > MIN_CONTRAST
    for start in range(0, len(classes), BLOCK):
        check()
        before = compared[: start + BLOCK].nonzero().flatten()
        block = before[before >= max(start, known)]
        # Bits that are equal less bits that differ.
        agreement = looks.hashes[block] @ looks.hashes[before].T
        # In the order of the pictures.
        second, first = (agreement >= looks.hashes.shape[1] - 2 * MAX_BITS).nonzero(as_tuple=True)
        second, first = block[second], before[first]
        second, first = second[first < second], first[first < second]
        # Few at once, because pictures of one kind may all have near hashes.
        for late, early in zip(second.split(PAIRS), first.split(PAIRS), strict=True):
            check()
            left = compared[early]
            for one, other in _same(looks, late[left], early[left]):
                if not compared[other]:
                    continue
                copies[one], compared[one] = True, False
                if other >= known and classes[other] != classes[one]:
                    copies[other] = True
    return copies


def _same(looks: _Looks, late: Tensor, early: Tensor) -> Iterator[tuple[int, int]]:
    """Those of the pairs whose thumbnails are the same but for the noise of a lossy file."""
    difference = looks.thumbnails[late] - looks.thumbnails[early]
    local = difference.abs().mean(1).amax((1, 2))
    contrast = torch.minimum(looks.contrasts[late], looks.contrasts[early])
    same = (local < MAX_LOCAL_DIFFERENCE) & (_contrast(difference) < MAX_DETAIL_DIFFERENCE * contrast)
    return zip(late[same].tolist(), early[same].tolist(), strict=True)


class _Looks(NamedTuple):
    """What pictures are compared by."""

    hashes: Tensor
    """Bits as -1 and 1, `[N, 128]`."""
    thumbnails: Tensor
    """`[N, 3, 16, 16]`, from 0 to 255."""
    contrasts: Tensor
    """Of the thumbnails' details, `[N]`."""

    def rows(self, rows: Tensor) -> _Looks:
        return _Looks(self.hashes[rows], self.thumbnails[rows], self.contrasts[rows])


def _looks(images: Tensor, check: Callable[[], None]) -> _Looks:
    """Of `[N, 3, S, S]`, uint8."""
    blocks: list[_Looks] = []
    # Few at once stay in the processor's cache.
    for number, block in enumerate(images.split(CACHED)):
        if number % (BLOCK // CACHED) == 0:
            check()
        pixels = block.float()
        thumbnails = F.interpolate(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), mode="area")
        across = _grey(pixels, HASH_SIDE, HASH_SIDE + 1).diff(dim=2).flatten(1)
        down = _grey(pixels, HASH_SIDE + 1, HASH_SIDE).diff(dim=1).flatten(1)
        bits = (torch.cat([across, down], 1) > MIN_STEP).float() * 2 - 1
        blocks.append(_Looks(bits, thumbnails, _contrast(thumbnails)))
    return _joined(*blocks)


def _contrast(thumbnails: Tensor) -> Tensor:
    """The root mean square of what is left without the means of rows and columns: a clear sky has nothing left.

    Args:
        thumbnails: `[N, 3, 16, 16]`.

    Returns:
        `[N]`.
    """
    rows, columns = thumbnails.mean(3, keepdim=True), thumbnails.mean(2, keepdim=True)
    details = thumbnails - rows - columns + rows.mean(2, keepdim=True)
    return details.flatten(1).square().mean(1).sqrt()


def _grey(pixels: Tensor, height: int, width: int) -> Tensor:
    """`[B, 3, S, S]` -> `[B, height, width]`."""
    colours = F.interpolate(pixels, (height, width), mode="area")
    return torch.einsum("bchw,c->bhw", colours, torch.tensor(LUMA))


def _joined(*blocks: _Looks) -> _Looks:
    return _Looks(*(torch.cat(parts) for parts in zip(*blocks, strict=True)))
