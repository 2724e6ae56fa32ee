"""Activations that are kept, or computed again where they would fill the memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robust_synthesis.models import checkpointing

CHUNK_BYTES = 4 * 10 * 4


@pytest.mark.parametrize(("budget", "calls"), [(0, 7), (CHUNK_BYTES, 7), (3 * CHUNK_BYTES, 5), (2**20, 4)])
def test_as_many_chunks_are_kept_as_fit(monkeypatch: pytest.MonkeyPatch, budget: int, calls: int) -> None:
    monkeypatch.setattr(checkpointing, "KEPT_BYTES", budget)
    images = torch.rand(13, 10, requires_grad=True)
    seen: list[int] = []

    def function(chunk: Tensor) -> Tensor:
        seen.append(len(chunk))
        # Its result is what it keeps, 10 numbers for each row.
        return chunk.exp()

    rows = checkpointing.in_chunks(function, images, 4)
    assert torch.equal(rows, images.exp())
    (gradient,) = torch.autograd.grad(rows.sum(), images)

    torch.testing.assert_close(gradient, images.exp())
    assert len(seen) == calls


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8])
def test_every_row_is_computed_once_and_in_its_place(rows: int) -> None:
    images = torch.rand(rows, 10)
    seen: list[float] = []

    def function(chunk: Tensor) -> Tensor:
        seen.extend(chunk[:, 0].tolist())
        return chunk + 1

    assert torch.equal(checkpointing.in_chunks(function, images, 4), images + 1)
    assert sorted(seen) == sorted(images[:, 0].tolist())
