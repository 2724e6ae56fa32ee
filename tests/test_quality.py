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
from benchmarks.quality import judge as judge_module
from benchmarks.quality.batches import in_batches
from benchmarks.quality.compare import Comparison, painters
from benchmarks.quality.inception import DUAL, generate_into, inception_metrics
from benchmarks.quality.inpainting import BASELINES, square_holes
from benchmarks.quality.judge import Judge, features, fit_probe, load_judge, load_network
from benchmarks.quality.masks import object_masks
from benchmarks.quality.metrics import frechet_distance, grid, kernel_distance, psnr, spectrum_slope, ssim
from benchmarks.quality.upsampling import RESAMPLERS, inconsistency, resampled
from benchmarks.table import Table
from robust_synthesis.models import RobustClassifier, bundled_classifiers
from robust_synthesis.synthesis import Mix
from robust_synthesis.training.data import Pictures, read_split
from tests.pictures_to_train_on import make_folder


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


def test_a_probe_tells_shifted_features_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(300).remainder(3)
    sets = torch.randn(300, 20, generator=generator) * 50 + 400
    sets[:, :3] += 200 * F.one_hot(classes, 3)
    probe = fit_probe(sets, classes)
    judge = Judge(("a", "b", "c"), probe)
    assert judge.agreement(sets, classes) > 0.95
    assert judge.agreement(sets, (classes + 1) % 3) < 0.05
    assert judge.agreement(sets[:4], judge.predictions(sets[:4])) == 1


def test_distances_of_features_to_themselves_and_to_others() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two, far = (torch.randn(400, 8, generator=generator) + shift for shift in (0, 0, 1))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    # The squared distance of the means.
    assert frechet_distance(one, far) == pytest.approx(8, rel=0.25)
    assert abs(kernel_distance(one, two)) < 50
    assert kernel_distance(one, far) > 1000


def test_the_judge_knows_what_it_was_fitted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "BUILD", tmp_path / "build")
    data = tmp_path / "things"
    for split, first in (("train", 0), ("test", 10)):
        make_folder(data / split, "red", "green", "blue", each=10, first=first)
    judge = load_judge(data, 96)
    assert judge.labels == ("blue", "green", "red")
    test, _ = read_split(data, "test", 96)
    found = judge.features(as_float(test))
    assert found.shape == (30, 1280)
    assert judge.agreement(found, test.classes) == 1
    assert torch.equal(load_judge(data, 96).predictions(found), test.classes)
    # What it is asked about is what it was fitted to.
    for split in ("train", "test"):
        (data / split / "red").rename(data / split / "scarlet")
    assert load_judge(data, 96).labels == ("blue", "green", "scarlet")
    # A size of its own, in [0, 1], in eval mode: a picture's features do not depend on those beside it.
    torch.testing.assert_close(features(load_network(), as_float(test)[3:4]), found[3:4], rtol=1e-4, atol=1e-4)


def test_masks_are_where_the_thing_is_and_are_trusted_where_the_class_is_there_too() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    places = torch.stack([(rows - 60).square() + (columns - x).square() < 24**2 for x in (36, 60)])[:, None]
    inside, outside = torch.tensor([0.9, 0.3, 0.1]), torch.tensor([0.2, 0.5, 0.7])
    noise = torch.randn(2, 3, 96, 96, generator=generator) * 0.03
    images = (torch.where(places, inside[:, None, None], outside[:, None, None]) + noise).clamp(0, 1)
    plain = (outside.view(1, 3, 1, 1) + noise).clamp(0, 1)
    network = load_network()
    probe = fit_probe(features(network, torch.cat([images, plain])), torch.tensor([0, 0, 1, 1]))
    masks, sure = object_masks(Judge(("ball", "nothing"), probe), images, 0)
    overlap = (masks & places).sum((1, 2, 3)) / (masks | places).sum((1, 2, 3))
    assert overlap.min() > 0.8
    assert sure.any()
    for parameter in probe.parameters():
        parameter.zero_()
    assert not object_masks(Judge(("ball", "nothing"), probe), images, 0)[1].any()


def test_classifiers_are_compared_on_the_classes_that_they_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge_module, "BUILD", tmp_path / "build")
    data = tmp_path / "scenes"
    for split, first in (("train", 0), ("test", 10)):
        folder = make_folder(data / split, "red", "green", "blue", each=10, first=first)
        for colour, label in {"red": "gas pump", "green": "forest"}.items():
            (folder / colour).rename(folder / label)
    chosen = painters(["canvas"], ["", '{"steps": 1}'])
    assert [painter.name for painter in chosen] == ["canvas", 'canvas {"steps": 1}']
    assert chosen[1].settings == chosen[0].settings.with_values(steps=1)
    (large,) = painters(["canvas"], [""], side=192)
    reduced, own = (painter.paint("gas pump", [0], 96) for painter in (large, chosen[0]))
    assert reduced.shape == own.shape == (1, 3, 96, 96)
    assert (reduced - own).abs().mean() > 0.01
    comparison = Comparison(data, chosen, 2)
    assert comparison.shared == ("forest", "gas pump")
    comparison.measure(comparison.shared)
    comparison.measure_each_class()
    comparison.save_sheet(tmp_path / "sheet.png")
    lines = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    names = [line[1] for line in lines if len(line) > 2]
    assert [name for name in names if name.startswith(("20 test", "canvas"))] == [
        "20 test pictures",
        *comparison.images,
    ]
    assert next(line for line in lines if line[1:2] == ["blue"])[3:5] == ["-", "-"]
    assert Image.open(tmp_path / "sheet.png").size == (4 * 98 + 2, 2 * 98 + 2)


def test_files_of_one_name_are_told_apart_and_classes_that_none_shares_are_an_error(tmp_path: Path) -> None:
    files = []
    for folder in ("a", "b"):
        files.append(tmp_path / folder / "canvas.safetensors")
        files[-1].parent.mkdir()
        files[-1].symlink_to(bundled_classifiers()["canvas"])
    assert [painter.name for painter in painters([*map(str, files)], [""])] == [*map(str, files)]
    make_folder(tmp_path / "data" / "train", "red", "green", each=10)
    make_folder(tmp_path / "data" / "test", "red", "green", each=10, first=10)
    with pytest.raises(SystemExit, match="No class of data"):
        Comparison(tmp_path / "data", painters(["canvas"], [""]), 1)


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


def test_the_slope_of_the_spectrum_falls_with_blur() -> None:
    noise = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    frequency = torch.fft.fftfreq(64)
    radius = (frequency.square()[:, None] + frequency.square()).sqrt().clamp(min=1 / 64)
    pink = torch.fft.ifft2(torch.fft.fft2(noise) / radius).real
    assert spectrum_slope(noise) == pytest.approx(0, abs=0.2)
    assert spectrum_slope(pink) == pytest.approx(-2, abs=0.3)
