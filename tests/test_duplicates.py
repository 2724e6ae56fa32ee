"""Copies: the same pixels, and pictures that were saved again or resized."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from robust_synthesis.training import read_data
from robust_synthesis.training.duplicates import find_copies
from robust_synthesis.training.pictures import Pictures
from tests.picture_makers import make_scenes, saved_again, scene

SIZE = 48


def pictures(*images: Image.Image, classes: list[int] | None = None) -> Pictures:
    fitted = [np.asarray(ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.LANCZOS)).copy() for image in images]
    stacked = torch.from_numpy(np.stack(fitted)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, torch.tensor(classes or [0] * len(images)))


def test_another_scene_is_no_copy() -> None:
    found = find_copies(pictures(*map(scene, range(200))), None)
    assert found.kept.all()


@pytest.mark.parametrize(
    "copy",
    [
        lambda picture: saved_again(picture, "JPEG", 40),
        lambda picture: saved_again(picture, "WEBP", 50),
        lambda picture: picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR),
        lambda picture: saved_again(picture.resize((3 * picture.width, 3 * picture.height)), "JPEG", 75),
    ],
    ids=["JPEG", "WebP", "half the size", "three times the size, JPEG"],
)
def test_a_copy_that_was_saved_again_or_resized_is_found(copy: Callable[[Image.Image], Image.Image]) -> None:
    originals = [scene(number) for number in range(30)]
    found = find_copies(pictures(*originals, *map(copy, originals)), None)
    assert not found.exact.any()
    assert found.near.tolist() == [False] * 30 + [True] * 30


@pytest.mark.parametrize("change", [ImageOps.mirror, ImageOps.flip, ImageOps.invert], ids=["mirror", "flip", "invert"])
def test_a_mirrored_or_recoloured_picture_is_no_copy(change: Callable[[Image.Image], Image.Image]) -> None:
    assert find_copies(pictures(scene(0), change(scene(0))), None).kept.all()


def test_plain_pictures_are_copies_only_if_they_are_equal() -> None:
    greys = [Image.new("RGB", (20, 20), (value, value, value)) for value in (100, 101, 100, 200)]
    found = find_copies(pictures(*greys), None)
    assert found.exact.tolist() == [False, False, True, False]
    assert not found.near.any()


def test_a_picture_of_two_classes_is_of_neither_however_it_was_saved() -> None:
    one = scene(0)
    found = find_copies(pictures(one, scene(1), saved_again(one), one, classes=[0, 0, 1, 0]), None)
    assert found.exact.tolist() == [False, False, False, True]
    assert found.near.tolist() == [True, False, True, False]


def test_what_is_near_to_a_picture_of_two_classes_goes_with_it() -> None:
    one = scene(0)
    found = find_copies(pictures(one, one, saved_again(one), classes=[0, 1, 1]), None)
    assert found.exact.tolist() == [True, True, False]
    assert found.near.tolist() == [False, False, True]


def test_copies_of_other_pictures_are_found() -> None:
    found = find_copies(pictures(scene(0), scene(1), saved_again(scene(2))), pictures(scene(2), scene(0)))
    assert found.exact.tolist() == [True, False, False]
    assert found.near.tolist() == [False, False, True]


def test_a_film_of_one_scene_is_searched_in_little_memory() -> None:
    frames = [saved_again(scene(0), "JPEG", 60 + number % 30) for number in range(60)]
    found = find_copies(pictures(*(frames * 40)), None)
    assert int(found.kept.sum()) == 1


def test_many_pictures_are_searched_in_seconds_and_the_search_can_be_stopped() -> None:
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(256, (20_000, 3, 16, 16), generator=generator, dtype=torch.uint8)
    started = time.perf_counter()
    found = find_copies(Pictures(many, torch.zeros(len(many), dtype=torch.int64)), None)
    # About 2 seconds; the bound allows for a busy machine.
    assert time.perf_counter() - started < 30
    assert found.kept.all()

    calls: list[None] = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_copies(Pictures(many, torch.zeros(len(many), dtype=torch.int64)), None, stop)


def test_a_folder_with_copies_of_both_kinds_names_them(tmp_path: Path) -> None:
    make_scenes(tmp_path / "train" / "a", 20)
    make_scenes(tmp_path / "train" / "b", 20, 20)
    make_scenes(tmp_path / "test" / "a", 3, 100)
    make_scenes(tmp_path / "test" / "b", 3, 200)
    scene(5).save(tmp_path / "train" / "a" / "copy.png")
    saved_again(scene(6)).save(tmp_path / "train" / "a" / "small.jpg")
    saved_again(scene(7)).resize((192, 160)).save(tmp_path / "train" / "b" / "of a.webp")
    saved_again(scene(201)).save(tmp_path / "train" / "b" / "tested.jpg")
    data = read_data(tmp_path, SIZE)
    assert data.left_out.copies == ("a/copy.png",)
    assert data.left_out.near_copies == ("a/07.png", "a/small.jpg", "b/of a.webp", "b/tested.jpg")
    assert len(data.train) + len(data.validation) == 39
    assert "saved again or resized (4): a/07.png, a/small.jpg, b/of a.webp, b/tested.jpg." in str(data.left_out)


def sky(number: int) -> Image.Image:
    """A clear sky: two colours, and everything between them."""
    random = np.random.default_rng(number)
    colours = np.array([[60, 110, 200], [170, 200, 235]]) + random.integers(-15, 15, (2, 3))
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8)[:, None]).resize((64, 64), Image.Resampling.BILINEAR)


def shape(sides: int, side: int = 128, right: int = 0, radius: int = 40) -> Image.Image:
    """A red polygon on white paper."""
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).regular_polygon((side // 2 + right, side // 2, radius), sides, fill=(200, 30, 30))
    return picture


def word(text: str, large: int) -> Image.Image:
    picture = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(picture).text((100, 100), text, "black", ImageFont.load_default(large), anchor="mm")
    return picture


@pytest.mark.parametrize(
    "drawn",
    [
        [sky(number) for number in range(100)],
        [shape(sides) for sides in (3, 4, 5, 6, 7, 8, 30)],
        [shape(30, right=right) for right in range(-20, 20, 5)],
        [shape(30, radius=radius) for radius in range(20, 60, 4)],
        [word(letter, large) for letter in "0123456789ABCDEFGabcdefg" for large in (50, 120)],
    ],
    ids=["clear skies", "polygons", "places", "sizes", "letters"],
)
def test_skies_and_drawn_shapes_that_differ_are_no_copies(drawn: list[Image.Image]) -> None:
    found = find_copies(pictures(*drawn), None)
    assert not found.near.any()


def test_a_copy_of_a_drawn_shape_is_found() -> None:
    assert find_copies(pictures(shape(5), saved_again(shape(5))), None).near.tolist() == [False, True]
