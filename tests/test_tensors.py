"""The edge between ComfyUI's tensors and the engine's."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="module")
def tensors(pack: ModuleType) -> ModuleType:
    assert pack
    import robust_synthesis.nodes.tensors

    return robust_synthesis.nodes.tensors


def test_pictures_go_in_and_out_unchanged(tensors: ModuleType) -> None:
    image = torch.rand(2, 5, 7, 3)
    assert tensors.images_from_comfy(image).shape == (2, 3, 5, 7)
    assert torch.equal(tensors.images_to_comfy(tensors.images_from_comfy(image)), image)


def test_transparency_is_flattened_onto_white(tensors: ModuleType) -> None:
    red = torch.tensor([1.0, 0.0, 0.0])
    image = torch.stack([torch.cat([red, torch.tensor([alpha])]) for alpha in (0.0, 0.25, 1.0)])[None, None]
    expected = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.75, 0.75], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(tensors.images_from_comfy(image)[0, :, 0].T, expected)


def test_grey_half_precision_and_values_beyond_are_understood(tensors: ModuleType) -> None:
    grey = torch.rand(1, 4, 4, 1)
    assert torch.equal(tensors.images_from_comfy(grey), grey.permute(0, 3, 1, 2).repeat(1, 3, 1, 1))
    half = torch.rand(1, 4, 4, 3).half()
    assert tensors.images_from_comfy(half).dtype == torch.float32
    wild = torch.tensor([-0.5, 0.5, 1.5]).expand(1, 2, 2, 3)
    assert tensors.images_from_comfy(wild)[0, :, 0, 0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.full((1, 4, 4, 3), torch.nan), "NaN or infinite"),
        (torch.full((1, 4, 4, 3), torch.inf), "NaN or infinite"),
        (torch.zeros(0, 4, 4, 3), "batch is empty"),
        (torch.zeros(1, 0, 4, 3), "4 x 0 pixels"),
        (torch.zeros(1, 4, 4, 5), "5 channels"),
        (torch.zeros(4, 4, 3), "4 dimensions"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(tensors: ModuleType, image: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tensors.images_from_comfy(image)


def test_masks_of_every_shape_fit_the_picture(tensors: ModuleType) -> None:
    mask = torch.rand(5, 7)
    assert torch.equal(tensors.mask_from_comfy(mask, 5, 7), mask[None, None])
    assert torch.equal(tensors.mask_from_comfy(mask[None, None], 5, 7), mask[None, None])
    left = torch.zeros(2, 10, 20)
    left[:, :, :10] = 1
    resized = tensors.mask_from_comfy(left, 40, 60)
    assert resized.shape == (2, 1, 40, 60)
    assert resized[..., :25].min() == 1
    assert resized[..., 35:].max() == 0
    assert tensors.mask_from_comfy(torch.tensor([[-1.0, 2.0]]), 1, 2).flatten().tolist() == [0, 1]


def test_the_empty_mask_of_load_image_is_no_mask(tensors: ModuleType) -> None:
    assert tensors.mask_from_comfy(torch.zeros(1, 64, 64), 96, 96) is None
    # A mask that someone made stays one, though it be empty.
    assert tensors.mask_from_comfy(torch.zeros(1, 96, 96), 96, 96) is not None
    assert tensors.mask_from_comfy(torch.ones(1, 64, 64), 96, 96) is not None


@pytest.mark.parametrize("mask", [torch.zeros(0, 4, 4), torch.zeros(4), torch.full((1, 4, 4), torch.nan)])
def test_masks_that_cannot_be_used_are_refused(tensors: ModuleType, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"(?i)mask"):
        tensors.mask_from_comfy(mask, 4, 4)


def test_one_picture_or_one_mask_serves_a_batch(tensors: ModuleType) -> None:
    one, three = torch.rand(1, 3, 4, 4), torch.rand(3, 3, 4, 4)
    images, mask = tensors.same_batch(three, one[:, :1])
    assert torch.equal(images, three)
    assert torch.equal(mask, one[:, :1].repeat(3, 1, 1, 1))
    images, mask = tensors.same_batch(one, three[:, :1])
    assert torch.equal(images, one.repeat(3, 1, 1, 1))
    assert torch.equal(mask, three[:, :1])
    with pytest.raises(ValueError, match="3 images and 2 masks"):
        tensors.same_batch(three, three[:2, :1])


def test_masks_are_alike_when_every_one_is_the_first(tensors: ModuleType) -> None:
    mask = torch.rand(1, 1, 4, 4)
    assert tensors.all_alike(mask)
    assert tensors.all_alike(mask.expand(3, -1, -1, -1))
    assert not tensors.all_alike(torch.cat([mask, mask, mask + 0.01]))
