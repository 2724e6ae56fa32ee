"""The edge between ComfyUI's tensors and the engine's."""

from __future__ import annotations

import io
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image


@pytest.fixture(scope="module")
def tensors(pack: ModuleType) -> ModuleType:
    assert pack
    import robust_synthesis.nodes.tensors

    return robust_synthesis.nodes.tensors


@pytest.fixture(scope="module")
def alpha(pack: ModuleType) -> ModuleType:
    assert pack
    import robust_synthesis.nodes.alpha

    return robust_synthesis.nodes.alpha


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
    mask = torch.rand(5, 7) * 0.9 + 0.1
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


def test_what_jpeg_and_video_leave_of_black_is_black(tensors: ModuleType) -> None:
    levels = torch.arange(256).view(1, 16, 16) / 255
    mask = tensors.mask_from_comfy(levels, 16, 16)[0, 0]
    assert torch.equal(mask, torch.where(levels[0] < 3.5 / 255, 0.0, levels[0]))
    # Before the resizing: what a soft edge fades to is no trace.
    hole = torch.zeros(1, 20, 20)
    hole[:, 5:15, 5:15] = 1
    noisy = hole.where(hole > 0, torch.tensor(2 / 255))
    assert torch.equal(tensors.mask_from_comfy(noisy, 77, 50), tensors.mask_from_comfy(hole, 77, 50))


def saved_and_loaded(mask: torch.Tensor, quality: int) -> torch.Tensor:
    buffer = io.BytesIO()
    Image.fromarray((mask[0] * 255).byte().numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(buffer)).copy())[None].float() / 255


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_mask_saved_as_jpeg_marks_hardly_more_than_was_painted(tensors: ModuleType, quality: int) -> None:
    down, right = torch.meshgrid(torch.arange(200), torch.arange(300), indexing="ij")
    painted = ((down - 90) ** 2 + (right - 140) ** 2 < 60**2).float()[None]
    noise = torch.rand(1, 200, 300, generator=torch.Generator().manual_seed(0)) * 2 / 255
    mask = tensors.mask_from_comfy(saved_and_loaded(painted, quality) + noise * (painted == 0), 200, 300)[:, 0]
    # An 8 x 8 block of the JPEG that the edge goes through is noisy.
    near = F.max_pool2d(painted[:, None], 17, 1, 8)[:, 0] > 0
    assert not mask[~near].any()
    assert tensors.faint_note(painted) is None


def test_a_mask_that_is_mostly_faint_is_told(tensors: ModuleType) -> None:
    mask = torch.zeros(1, 10, 10)
    assert tensors.faint_note(mask) is None
    mask[:, :2] = 1
    mask[:, 2:] = 2 / 255
    assert tensors.faint_note(mask) == (
        "80% of what the mask marks is fainter than 4 of 255, as JPEG and video leave it behind. Nothing would show "
        "there, so it counts as not painted."
    )
    mask[:, 2:] = 0.06
    assert tensors.faint_note(mask) == (
        "80% of what the mask marks is fainter than 10%: it takes time, and hardly shows. If it should be black, put "
        "Threshold Mask between."
    )
    # A brush with a soft edge, and an even fade.
    assert tensors.faint_note(torch.linspace(0, 1, 100)[None, None]) is None


def cut_out(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Pictures of noise with opaque, half transparent and transparent columns."""
    image = torch.rand(batch, height, width, 4, generator=torch.Generator().manual_seed(0))
    image[..., 3] = torch.tensor([1.0, 0.5, 0.0]).repeat_interleave(width // 3)
    return image


def on_white(image: torch.Tensor) -> torch.Tensor:
    return image[..., :3] * image[..., 3:] + 1 - image[..., 3:]


def test_what_has_not_changed_keeps_its_colours_and_its_transparency(alpha: ModuleType, tensors: ModuleType) -> None:
    image = cut_out(4, 9, 2)
    made = tensors.images_to_comfy(tensors.images_from_comfy(image))
    assert torch.equal(alpha.with_alpha(made, image), image)
    assert torch.equal(alpha.with_alpha(made.half(), image), image.half())
    rgb = image[..., :3]
    assert alpha.with_alpha(made, rgb) is made
    assert alpha.with_enlarged_alpha(made, rgb) is made


def test_on_white_a_changed_picture_is_what_was_made(alpha: ModuleType) -> None:
    image = cut_out(4, 9)
    made = on_white(image) * 0.4 + 0.5
    # Four frames of one picture.
    carried = alpha.with_alpha(made.expand(4, -1, -1, -1), image)
    assert carried.shape == (4, 4, 9, 4)
    assert torch.equal(carried[..., 3:], image[..., 3:].expand(4, -1, -1, -1))
    opaque, half, hidden = carried[:1].split(3, 2)
    assert torch.equal(opaque[..., :3], made[:, :, :3])
    torch.testing.assert_close(on_white(half), made[:, :, 3:6])
    assert torch.equal(hidden[..., :3], made[:, :, 6:])


def test_an_enlarged_cut_out_has_no_fringe(alpha: ModuleType) -> None:
    # Red, with black hidden where it is transparent.
    image = torch.zeros(1, 16, 18, 4)
    image[:, :, :9] = torch.tensor([0.8, 0.2, 0.1, 1.0])
    image[:, :, 9:12] = torch.tensor([0.8, 0.2, 0.1, 0.5])
    made = on_white(image).repeat_interleave(4, 1).repeat_interleave(4, 2)
    larger = alpha.with_enlarged_alpha(made, image)
    assert larger.shape == (1, 64, 72, 4)
    assert torch.equal(larger[:, :, :28, :3], made[:, :, :28])
    assert (larger[:, :, :28, 3] == 1).all()
    assert (larger[:, :, 56:, 3] == 0).all()
    seen = larger[..., 3] > 0.05
    assert (larger[..., 0][seen] - 0.8).abs().max() < 0.25


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
