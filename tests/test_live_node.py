"""Live Canvas as a node, without a browser: what it gives, and what it says when it cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

Run = Callable[..., Any]


@pytest.fixture
def run(pack: ModuleType, classifier: Any) -> Run:
    def run(image: Tensor | None = None, **inputs: Any) -> Any:
        return pack.RobustCanvas.execute(classifier, image, **inputs)

    return run


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def eight_bits(image: Tensor) -> Tensor:
    return (image * 255).round() / 255


def painted(base: Tensor, number: int = 1, folder: str = "a1") -> tuple[str, Any]:
    """A painting on an IMAGE, saved: its name, and itself."""
    import folder_paths

    from robust_synthesis.synthesis.live import Brush, Painting, write_revision

    painting = Painting((base[0].permute(2, 0, 1) * 255).round().byte())
    stroke = painting.begin(None, Brush(kind="colour", colour="#ff0000", size=20))
    stroke.advance([(40.0, 40.0, 1.0), (60.0, 50.0, 1.0)], 0)
    stroke.finish()
    write_revision(Path(folder_paths.get_input_directory()) / "robust_canvas" / folder, number, painting)
    return f"robust_canvas/{folder}/{number:04}.png", painting


def test_without_a_painting_it_gives_the_image_or_an_empty_canvas(run: Run) -> None:
    image = noise(1, 70, 90, 3)
    picture, mask = run(image).result
    assert torch.equal(picture, eight_bits(image))
    assert mask.shape == (1, 70, 90)
    assert not mask.any()
    picture, mask = run(width=128, height=64).result
    assert picture.shape == (1, 64, 128, 3)
    assert torch.equal(picture, torch.full_like(picture, 128 / 255))
    assert mask.shape == (1, 64, 128)
    assert run().result[0].shape == (1, 768, 768, 3)


def test_with_a_painting_it_gives_its_pixels_and_what_was_painted(run: Run) -> None:
    name, painting = painted(noise(1, 80, 100, 3))
    with torch.inference_mode():
        picture, mask = run(width=64, height=64, painting=name).result
    assert torch.equal((picture * 255).round().byte(), painting.picture.permute(1, 2, 0)[None])
    assert torch.equal((mask * 255).round().byte(), painting.painted)
    assert mask.max() == 1


def test_a_wired_image_is_written_once_for_the_canvas(run: Run, pack: ModuleType) -> None:
    import folder_paths

    assert pack
    image = noise(1, 70, 90, 3)
    (base,) = run(image).ui["robust_canvas_base"]
    assert base["type"] == "temp"
    file = Path(folder_paths.get_temp_directory()) / base["filename"]
    pixels = np.asarray(Image.open(file))
    assert np.array_equal(pixels, (image[0] * 255).round().byte().numpy())
    before = file.stat().st_mtime_ns
    assert run(image).ui["robust_canvas_base"] == [base]
    assert file.stat().st_mtime_ns == before
    assert run(noise(1, 71, 90, 3)).ui["robust_canvas_base"] != [base]
    assert "robust_canvas_base" not in run().ui


@pytest.mark.parametrize("other", [noise(1, 80, 100, 3) * 0.9, noise(1, 90, 100, 3)], ids=["pixels", "size"])
def test_another_image_than_was_painted_on_is_told_and_the_painting_kept(
    run: Run, other: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    name, painting = painted(noise(1, 80, 100, 3))
    caplog.set_level("INFO")
    same = run(noise(1, 80, 100, 3), painting=name)
    assert same.ui["robust_canvas_changed"] == [False]
    assert "has changed" not in caplog.text
    result = run(other, painting=name)
    assert result.ui["robust_canvas_changed"] == [True]
    assert "The image has changed" in caplog.text
    assert torch.equal((result.result[0] * 255).round().byte(), painting.picture.permute(1, 2, 0)[None])


def test_transparency_is_flattened_as_by_the_other_nodes(run: Run) -> None:
    image = noise(1, 70, 90, 4)
    flat = image[..., :3] * image[..., 3:] + (1 - image[..., 3:])
    picture = run(image).result[0]
    torch.testing.assert_close(picture, eight_bits(flat), rtol=0, atol=1e-6)
    assert run(noise(1, 70, 90, 1)).result[0].shape == (1, 70, 90, 3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (noise(2, 70, 90, 3), r"one picture, and here are 2: put .* between"),
        (noise(1, 70, 63, 3), "63 x 70 pixels.* 64 to 4096"),
        (torch.zeros(1, 64, 4097, 3), "4097 x 64 pixels.* 64 to 4096"),
        (noise(1, 70, 90, 5), "5 channels"),
        (noise(0, 70, 90, 3), "empty"),
        (noise(1, 70, 90, 3) * torch.nan, "NaN"),
    ],
)
def test_images_that_cannot_be_painted_on_are_refused(run: Run, image: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(image)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("robust_canvas/gone/0001.png", "not in ComfyUI's input folder. Copy its folder there, or empty the field"),
        ("robust_canvas/a1/0009.png", "not in ComfyUI's input folder"),
        ("../secret.png", "not the name of a painting"),
        ("robust_canvas/a1/../a1/0001.png", "not the name of a painting"),
        ("robust_canvas/a1/0001.json", "not the name of a painting"),
        ("C:\\robust_canvas\\a1\\0001.png", "not the name of a painting"),
        ("robust_canvas/" + "x" * 400 + "/0001.png", "not the name of a painting"),
        ("\0", "not the name of a painting"),
    ],
)
def test_a_painting_that_is_not_there_is_told_with_what_to_do(
    run: Run, pack: ModuleType, name: str, words: str
) -> None:
    painted(noise(1, 80, 100, 3))
    with pytest.raises(ValueError, match=words):
        run(painting=name)
    stamp = pack.RobustCanvas.fingerprint_inputs(painting=name)
    assert math.isnan(stamp), "never equal, so that the node runs, and says it"


def test_it_runs_again_when_the_painting_has_changed(run: Run, pack: ModuleType) -> None:
    def stamp(painting: str | None) -> object:
        return pack.RobustCanvas.fingerprint_inputs(painting=painting, width=64)

    name, _ = painted(noise(1, 80, 100, 3))
    before = stamp(name)
    assert stamp(name) == before
    painted(noise(1, 80, 101, 3))
    assert stamp(name) != before
    assert stamp("") == stamp("")
    assert stamp(None) == stamp(None)
    assert run(painting=name).result[0].shape == (1, 80, 101, 3)
