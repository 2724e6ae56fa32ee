"""Upsample in a real ComfyUI: sizes, fidelity to what came in, and sizes that no machine could hold."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.seed_fitting import fit

CUSTOM = {
    "preset": "custom",
    "steps": 2,
    "step_size": 8.0,
    "epsilon": 8.0,
    "norm": "none",
    "objective": "logit",
    "final_step": 1.0,
    "jitter": 1,
    "consistent": True,
}


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def reduced(image: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(image.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("shape", "factor"),
    [((2, 24, 32), 2), ((1, 53, 37), 3), ((16, 5, 7), 4), ((1, 90, 160), 4), ((1, 6, 6), 7), ((2, 9, 5), 8)],
)
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
def test_averaged_back_the_result_is_what_came_in(
    pack: ModuleType, classifier: Any, shape: tuple[int, int, int], factor: int, half: bool
) -> None:
    # Black and white pixels, which have no room on one side, lie beside the others.
    image = (noise(*shape, 3) * 1.4 - 0.2).clamp(0, 1)
    image = image.half() if half else image
    larger, _ = pack.RobustUpsample.execute(classifier, image, factor, "sea", CUSTOM).result
    assert larger.shape == (shape[0], shape[1] * factor, shape[2] * factor, 3)
    assert larger.dtype == torch.float32
    assert larger.min() >= 0
    assert larger.max() <= 1
    assert (reduced(larger, factor) - image.float()).abs().max() <= 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (2, 2)])
@pytest.mark.parametrize("preset", ["upsample", "paper"])
def test_a_picture_of_a_pixel_or_two_is_enlarged_as_any(
    pack: ModuleType, classifier: Any, shape: tuple[int, int], preset: str
) -> None:
    image = noise(1, *shape, 3)
    settings = {"preset": preset} if preset == "upsample" else CUSTOM | {"consistent": False}
    larger, _ = pack.RobustUpsample.execute(classifier, image, 8, "", settings).result
    assert larger.shape == (1, shape[0] * 8, shape[1] * 8, 3)
    if preset == "upsample":
        assert (reduced(larger, 8) - image).abs().max() <= 1e-5


def test_detail_of_the_class_is_added(pack: ModuleType, classifier: Any) -> None:
    image = pack.RobustClassSeed.execute(classifier, "church", 48, 48, 1, 3, "class gaussian").result[0]
    larger = {
        target: pack.RobustUpsample.execute(classifier, image, 2, target, {"preset": "upsample"}).result[0]
        for target in ("church", "sea")
    }
    plain = F.interpolate(image.permute(0, 3, 1, 2), scale_factor=2, mode="bicubic").permute(0, 2, 3, 1).clamp(0, 1)

    def probability(picture: Tensor, label: str) -> float:
        scores = pack.RobustClassify.execute(classifier, picture, 100).result[1]
        return float(dict(line.split(": ") for line in scores.splitlines())[label])

    for target, picture in larger.items():
        assert probability(picture, target) > probability(plain, target)
    assert (larger["church"] - larger["sea"]).abs().max() > 0.05


def test_without_a_class_it_is_the_one_the_classifier_sees(pack: ModuleType, classifier: Any) -> None:
    image = pack.RobustClassSeed.execute(classifier, "sea", 64, 64, 1, 3, "class gaussian").result[0]
    label = pack.RobustClassify.execute(classifier, image, 1).result[0]
    guessed, _ = pack.RobustUpsample.execute(classifier, image, 2, " ", CUSTOM).result
    named, _ = pack.RobustUpsample.execute(classifier, image, 2, label, CUSTOM).result
    assert torch.equal(guessed, named)


@pytest.mark.parametrize("height", [4, 30])
@pytest.mark.parametrize("consistent", [True, False])
def test_a_long_strip_is_enlarged(pack: ModuleType, classifier: Any, height: int, consistent: bool) -> None:
    # Twice 30 x 20,000 is seen in hundreds of tiles, which takes its time.
    width = 20000 if height == 4 or not consistent else 5000
    settings = CUSTOM | {"steps": 1, "consistent": consistent}
    larger, _ = pack.RobustUpsample.execute(classifier, noise(1, height, width, 3), 2, "", settings).result
    assert larger.shape == (1, height * 2, width * 2, 3)


def test_a_long_strip_is_classified_and_fitted(pack: ModuleType, classifier: Any) -> None:
    image = noise(1, 30, 20000, 3)
    label, scores, _ = pack.RobustClassify.execute(classifier, image, 1).result
    assert scores.startswith(f"{label}: ")
    fitted = fit(pack, classifier, image, "sea")
    assert fitted.model.seeds.mean.isfinite().all()


@pytest.mark.parametrize("factor", [1, 9])
def test_a_factor_beyond_the_widgets_is_named(pack: ModuleType, classifier: Any, factor: int) -> None:
    with pytest.raises(ValueError, match=f"The factor is {factor}; it must be from 2 to 8"):
        pack.RobustUpsample.execute(classifier, noise(1, 4, 4, 3), factor, "sea", CUSTOM)


def test_what_memory_cannot_hold_is_refused_with_its_size_before_any_work(
    pack: ModuleType, classifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as mm

    def work(*_: object, **__: object) -> None:
        pytest.fail("the work has begun")

    monkeypatch.setattr(mm, "get_free_memory", lambda *_: 2 * 2**30)
    monkeypatch.setattr(pack.upsample, "run_batch", work)
    # 8192 x 8192 pixels of 12 bytes are 0.75 GiB: one result and its batch, and a dozen copies of it on the way.
    with pytest.raises(ValueError, match=r"1 x 8192 x 8192 pixels would take 10\.5 GiB of memory on cpu.*2\.0 GiB"):
        pack.RobustUpsample.execute(classifier, torch.zeros(1, 1024, 1024, 3), 8, "sea", {"preset": "upsample"})
    # Many small ones need room as well, when they are done.
    with pytest.raises(ValueError, match=r"400 x 1024 x 512 pixels would take 4\.\d GiB"):
        pack.RobustUpsample.execute(classifier, torch.zeros(400, 64, 128, 3), 8, "sea", {"preset": "upsample"})


def test_a_film_that_the_memory_cannot_hold_is_refused(pack: ModuleType, classifier: Any) -> None:
    image = torch.rand(1, 1, 1, 3).expand(1, 4000, 4000, 3)
    settings = {key: value for key, value in CUSTOM.items() if key != "consistent"} | {"steps": 2000}
    with pytest.raises(ValueError, match=r"2001 x 4000 x 4000 pixels would take"):
        pack.RobustTranslate.execute(classifier, image, "sea", settings, animate=1)
