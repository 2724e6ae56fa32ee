"""What the quality benchmark measures with; torch-fidelity's network is replaced by a small one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch_fidelity  # type: ignore[import-untyped]
from PIL import Image
from torch import Tensor

from benchmarks.data import as_float, first_of_each
from benchmarks.quality.batches import in_batches
from benchmarks.quality.inception import DUAL, generate_into, inception_metrics
from benchmarks.quality.inpainting import BASELINES, square_holes
from benchmarks.quality.metrics import agreement, frechet_distance, grid, psnr, ssim
from benchmarks.quality.upsampling import RESAMPLERS, inconsistency, resampled
from benchmarks.table import Table
from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import Mix
from robust_synthesis.training.data import Pictures


class SmallExtractor(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]
    """Random features in Inception's place, so that nothing is downloaded."""

    def __init__(self, name: str, features_list: list[str], **_options: Any) -> None:
        super().__init__(name, features_list)
        self.filters = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0)) / 100

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("logits", "pooled")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "pooled"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        assert images.dtype == torch.uint8
        pooled = F.conv2d(images.float(), self.filters, stride=4).relu().mean((2, 3))
        return tuple(pooled for _ in self.features_list)


@pytest.fixture(scope="module")
def extractor() -> str:
    torch_fidelity.register_feature_extractor("small-random", SmallExtractor)
    return "small-random"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes random pictures of some brightness into a new folder, and returns it."""

    def write(brightness: float, width: int = 32) -> Path:
        path = tmp_path_factory.mktemp("pictures")
        (path / "class").mkdir()
        generator = torch.Generator().manual_seed(round(100 * brightness))
        for number in range(24):
            pixels = (torch.rand(32, width, 3, generator=generator) * 255 * brightness).byte()
            Image.fromarray(pixels.numpy()).save(path / "class" / f"{number}.png")
        return path

    return write


def test_inception_metrics_tell_folders_apart_whatever_the_size(extractor: str, folder: Callable[..., Path]) -> None:
    dark = folder(0.4)
    same_score, same = inception_metrics(dark, dark, 32, extractor)
    score, distance = inception_metrics(dark, folder(1.0, width=60), 32, extractor)
    assert same == pytest.approx(0, abs=1e-3)
    assert math.isfinite(distance)
    assert distance > 100 * abs(same)
    # One score a set of pictures, between 1 and the number of logits.
    assert score == same_score
    assert 1 <= score <= 8


@pytest.mark.parametrize("from_photos", [False, True])
def test_generated_pictures_are_written_once_and_scored(
    tmp_path: Path, canvas: RobustClassifier, folder: Callable[..., Path], extractor: str, from_photos: bool
) -> None:
    photos = folder(0.9, width=40) if from_photos else None
    settings = replace(DUAL, ascent=replace(DUAL.ascent, steps=1))
    generate_into(tmp_path / "made", canvas, settings, 18, photos)
    written = sorted((tmp_path / "made").iterdir())
    assert len(written) == 18
    assert {Image.open(file).size for file in written} == {(96, 96)}
    assert all(map(math.isfinite, inception_metrics(tmp_path / "made", folder(0.9), 96, extractor)))

    before = {file: file.read_bytes() for file in written}
    written[3].unlink()
    written[5].write_bytes(b"kept")
    generate_into(tmp_path / "made", canvas, settings, 18, photos)
    assert written[3].read_bytes() == before[written[3]]
    assert written[5].read_bytes() == b"kept"


def test_without_class_seeds_photographs_are_asked_for(tmp_path: Path, tiny: RobustClassifier) -> None:
    with pytest.raises(SystemExit, match="--photos"):
        generate_into(tmp_path / "made", tiny, DUAL, 3, None)


def test_holes_are_squares_and_the_same_each_time() -> None:
    masks = square_holes(20, 96, 48)
    assert masks.sum((1, 2, 3)).tolist() == [48 * 48] * 20
    assert torch.equal(masks, square_holes(20, 96, 48))
    assert len({tuple(mask.nonzero()[0].tolist()) for mask in masks}) > 10


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_fill_the_hole_without_looking_into_it(name: str) -> None:
    images, masks = torch.rand(2, 3, 32, 32), square_holes(2, 32, 16)
    filled = BASELINES[name](images, masks)
    outside = masks.expand_as(images) == 0
    assert torch.equal(filled[outside], images[outside])
    assert torch.equal(filled, BASELINES[name](torch.where(masks == 0, images, 0.7), masks))
    assert 0 <= filled.min() <= filled.max() <= 1


def test_psnr_and_ssim() -> None:
    truth = torch.rand(3, 3, 32, 32) * 0.8
    masks = square_holes(3, 32, 16)
    changed = truth + 0.1 * masks
    assert psnr(truth + 0.1, truth) == pytest.approx(20, abs=1e-3)
    assert psnr(changed, truth, masks) == pytest.approx(20, abs=1e-3)
    assert psnr(changed, truth) == pytest.approx(20 + 10 * math.log10(4), abs=1e-3)
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(torch.rand_like(truth), truth) < 0.3


@pytest.mark.parametrize("method", RESAMPLERS.values(), ids=RESAMPLERS)
def test_resampled_pictures_are_larger_and_of_the_same_colour(method: Image.Resampling) -> None:
    low = torch.rand(2, 3, 1, 1).expand(2, 3, 8, 8)
    large = resampled(low.contiguous(), 4, method)
    assert large.shape == (2, 3, 32, 32)
    assert inconsistency(large, low) < 1e-6


@pytest.mark.parametrize("given", [True, False])
def test_batches_come_back_in_order(given: bool) -> None:
    classes = torch.tensor([2, 0, 2, 1] * 20)

    def operation(rows: Tensor, mix: Mix | None) -> Tensor:
        return torch.stack([rows, torch.full_like(rows, 9 if mix is None else mix.weights[0][0])], 1)

    done = in_batches(operation, classes, given)
    assert done[:, 0].tolist() == list(range(80))
    assert done[:, 1].tolist() == (classes.tolist() if given else [9] * 80)


def test_a_subset_has_as_many_of_each_class() -> None:
    images = torch.arange(0, 120, 10, dtype=torch.uint8).view(12, 1, 1, 1)
    few = first_of_each(Pictures(images, torch.tensor([0, 1, 2] * 4)), 2)
    assert few.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert (as_float(few) * 255).flatten().tolist() == [0, 30, 10, 40, 20, 50]


def test_agreement_is_the_share_of_matching_predictions(tiny: RobustClassifier) -> None:
    images = torch.rand(6, 3, 32, 32)
    predicted = tiny(images).argmax(1)
    assert agreement(tiny, images, predicted) == 1
    assert agreement(tiny, images, torch.cat([predicted[:3], predicted[3:] + 1])) == 0.5


def test_frechet_distance_of_pictures_to_themselves_and_to_others(tiny: RobustClassifier) -> None:
    pictures = torch.rand(64, 3, 32, 32)
    same = frechet_distance(tiny, pictures, pictures)
    assert same == pytest.approx(0, abs=1e-3)
    assert frechet_distance(tiny, pictures * 0.3, pictures) > 10 * abs(same)


def test_the_table_is_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("Things", {"steps": "d", "judge": ".1%"})
    table.row("paper", 60, 0.975)
    table.row("real", 0, None)
    cells = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.strip().splitlines()]
    assert cells[0] == ["**Things**"]
    assert cells[2:] == [
        ["", "", "steps", "judge", ""],
        ["", "---", "---", "---", ""],
        ["", "paper", "60", "97.5%", ""],
        ["", "real", "0", "-", ""],
    ]


def test_a_grid_of_two_pixels_is_told_from_noise() -> None:
    noise = torch.rand(64, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    columns = torch.arange(48).remainder(2).float()
    lattice = columns[:, None] * columns
    assert 0.7 < grid(noise) < 1.4
    assert grid(0.8 * noise + 0.2 * lattice) > 5
