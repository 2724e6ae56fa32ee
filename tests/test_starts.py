"""Starting without class seeds: noise, the best of many, a folder of pictures, through the nodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import Mix, automatic_start, detailed_class_seeds
from tests.picture_makers import make_scenes
from tests.seed_fitting import fit


@pytest.fixture(scope="module")
def loaded(pack: ModuleType) -> Any:
    return pack.RobustLoadClassifier.execute("canvas").result[0]


@pytest.fixture(scope="module")
def bare(loaded: Any) -> Any:
    """A classifier without class seeds, as those on the Hub."""
    return replace(loaded, opened=RobustClassifier(loaded.model.network, loaded.model.card))


def start(pack: ModuleType, classifier: Any, method: str = "automatic", **inputs: Any) -> Tensor:
    settings = {"target_class": "sea", "width": 0, "height": 0, "batch_size": 2, "seed": 5} | inputs
    made: Tensor = pack.RobustClassSeed.execute(classifier, method=method, **settings).result[0]
    return made


def test_no_size_means_the_classifiers_own(pack: ModuleType, loaded: Any) -> None:
    assert start(pack, loaded).shape == (2, 96, 96, 3)
    assert start(pack, loaded, width=40).shape == (2, 96, 40, 3)
    with pytest.raises(ValueError, match="40 x 15 pixels are too few"):
        start(pack, loaded, width=40, height=15)


def test_automatic_takes_the_seeds_there_are(pack: ModuleType, loaded: Any, bare: Any) -> None:
    sea = Mix.single(loaded.model.labels.index("sea"))
    detailed = detailed_class_seeds(loaded.model.seeds, sea, 96, 96, [5, 6])
    torch.testing.assert_close(start(pack, loaded), detailed.movedim(1, -1))
    assert (start(pack, loaded, "class gaussian") - start(pack, loaded)).abs().mean() > 0.02
    with torch.inference_mode(False):
        chosen = automatic_start(bare.model, sea, 96, 96, [5, 6])
    torch.testing.assert_close(start(pack, bare), chosen.movedim(1, -1))
    # Who asks for fewer gets as many, and who asks for more gets more.
    assert torch.equal(start(pack, bare, best_of=2), start(pack, bare))
    assert not torch.equal(start(pack, bare, best_of=40), start(pack, bare))
    with pytest.raises(ValueError, match=r"no class seeds for sea.*automatic"):
        start(pack, bare, "class gaussian")
    # Seeds for one class of all.
    fitted = fit(pack, bare, torch.rand(4, 30, 30, 3), "sea")
    detailed = detailed_class_seeds(fitted.model.seeds, sea, 96, 96, [5, 6])
    torch.testing.assert_close(start(pack, fitted), detailed.movedim(1, -1))
    assert torch.equal(start(pack, fitted, target_class="church"), start(pack, bare, target_class="church"))


def test_natural_noise_does_not_read_the_class(pack: ModuleType, bare: Any) -> None:
    assert start(pack, bare, "natural noise", target_class="no such class").shape == (2, 96, 96, 3)
    with pytest.raises(ValueError, match="no class 'no such class'"):
        start(pack, bare, "natural noise", target_class="no such class", best_of=2)


@pytest.mark.parametrize("method", ["class gaussian", "natural noise"])
def test_the_best_of_many_scores_higher(pack: ModuleType, loaded: Any, method: str) -> None:
    def likely(images: Tensor) -> Tensor:
        scores: Tensor = loaded.model(images.movedim(-1, 1).float()).log_softmax(1)
        return scores[:, loaded.model.labels.index("sea")]

    one, best = (start(pack, loaded, method, batch_size=4, best_of=count) for count in (1, 16))
    assert (likely(best) >= likely(one) - 1e-4).all()
    assert likely(best).mean() > likely(one).mean() + 0.1


def test_seeds_are_fitted_to_a_folder(pack: ModuleType, bare: Any) -> None:
    import folder_paths

    folder = Path(folder_paths.get_input_directory()) / "my seas"
    folder.mkdir(parents=True, exist_ok=True)
    for index, size in enumerate([(300, 200), (50, 90), (96, 96)]):
        Image.new("RGB", size, (10 * index, 60, 200)).save(folder / f"{index}.png")
    fitted = fit(pack, bare, None, "sea", "my seas")
    mean = start(pack, fitted, "class gaussian", batch_size=64).mean((0, 1, 2))
    torch.testing.assert_close(mean, torch.tensor([10.0, 60, 200]) / 255, atol=0.02, rtol=0)
    before = pack.RobustFitSeeds.fingerprint_inputs(folder=["my seas"])
    Image.new("RGB", (8, 8)).save(folder / "another.png")
    assert pack.RobustFitSeeds.fingerprint_inputs(folder=["my seas"]) != before


@pytest.mark.parametrize(
    ("folder", "words"),
    [("", "connect image, or name a folder"), ("../..", "not inside"), ("/", "not inside"), ("nowhere", "no folder")],
)
def test_a_folder_that_will_not_do_is_answered(pack: ModuleType, bare: Any, folder: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(pack, bare, None, "sea", folder)


def test_a_folder_of_a_mac_is_read_and_what_was_left_out_is_shown(
    pack: ModuleType, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths

    shown: list[str] = []
    monkeypatch.setattr("robust_synthesis.nodes.fit_seeds.show_status", shown.append)
    folder = Path(folder_paths.get_input_directory()) / "cafe\u0301s"
    make_scenes(folder / "deep", 3)
    for name in ("._00.png", "IMG_1.HEIC", "broken.png"):
        (folder / name).write_bytes(b"no picture")
    (folder / "up").symlink_to(folder.parent, target_is_directory=True)
    fitted = fit(pack, bare, None, "sea", "caf\u00e9s")
    assert fitted.model.seeds.classes == (bare.model.labels.index("sea"),)
    (text,) = shown
    assert "cannot be read (1): broken.png" in text
    assert "1 .heic (IMG_1.HEIC). HEIC is how" in text


def test_a_link_out_of_the_input_folder_is_called_that(pack: ModuleType, bare: Any, tmp_path: Path) -> None:
    import folder_paths

    make_scenes(tmp_path / "elsewhere", 2)
    link = Path(folder_paths.get_input_directory()) / "linked"
    link.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(ValueError, match="'linked' is a link that leads out of ComfyUI's input folder"):
        fit(pack, bare, None, "sea", "linked")


def test_reading_a_folder_is_cancelled(pack: ModuleType, bare: Any) -> None:
    import comfy.model_management as mm
    import folder_paths

    make_scenes(Path(folder_paths.get_input_directory()) / "many", 3)
    mm.interrupt_current_processing(True)
    try:
        with pytest.raises(mm.InterruptProcessingException):
            fit(pack, bare, None, "sea", "many")
        assert not mm.processing_interrupted()
    finally:
        mm.interrupt_current_processing(False)
