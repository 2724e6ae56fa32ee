"""Which files of a folder are read as pictures, what the others are called, and that every walk ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from robust_synthesis.synthesis import picture_files
from robust_synthesis.synthesis.picture_files import find_files, not_read, picture_suffixes
from robust_synthesis.synthesis.picture_folder import PictureRangeError, opaque_picture, pictures_in
from tests.picture_makers import scene


def found(folder: Path) -> list[str]:
    return list(find_files(folder).pictures)


def test_what_pillow_reads_is_a_picture(tmp_path: Path) -> None:
    names = ["a.jfif", "b.JPE", "c.png", "d.tga", "e.jp2"] + (["f.avif"] if features.check("avif") else [])
    formats = {".jfif": "JPEG", ".JPE": "JPEG"}
    for name in names:
        scene(0).save(tmp_path / name, formats.get(Path(name).suffix))
    assert found(tmp_path) == names
    assert pictures_in(tmp_path, 8, 8).images.shape == (len(names), 3, 8, 8)
    assert not {".mpeg", ".eps", ".h5", ".pdf"} & picture_suffixes()


def test_pictures_at_any_depth_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/deep/er/1.png", "c/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        scene(0).save(tmp_path / name)
    assert found(tmp_path) == ["a/deep/er/1.png", "a/z.png", "b.png", "c/2.png"]


def test_hidden_files_are_passed_over_without_a_word(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "photo.jpg")
    for name in ("._photo.jpg", ".hidden.png", "Thumbs.db", "desktop.ini", "@eaDir/photo.jpg", "__MACOSX/photo.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    files = find_files(tmp_path)
    assert list(files.pictures) == ["photo.jpg"]
    assert files.others == []
    assert pictures_in(tmp_path, 8, 8).left_out == ""


def test_what_is_not_read_is_counted_and_heic_explained(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "0.png")
    for name in ("0.txt", "1.txt", "2.txt", "deep/IMG_1.HEIC", "raw.cr2", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    text = pictures_in(tmp_path, 8, 8).left_out
    counted = text[text.index(": ") + 2 : text.index(" (")].split(", ")
    assert counted[0] == "3 .txt"
    assert sorted(counted[1:]) == ["1 .cr2", "1 .heic", "1 without a suffix"]
    assert "(deep/IMG_1.HEIC, " in text
    assert "HEIC is how iPhones save photos: turn them into JPEGs" in text
    assert "HEIC" not in not_read(["a.txt"])
    assert not_read([]) == ""


def test_a_damaged_picture_is_left_out_and_named(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    pictures = pictures_in(tmp_path, 8, 8)
    assert len(pictures.images) == 1
    assert "cannot be read (1): 1.png" in pictures.left_out


def test_links_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    for name in ("data/roses/1.png", "data/tulips/2.png", "elsewhere/3.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        scene(0).save(tmp_path / name)
    roses = tmp_path / "data" / "roses"
    (roses / "parent").symlink_to(tmp_path / "data", target_is_directory=True)
    (roses / "self").symlink_to(roses, target_is_directory=True)
    (roses / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (roses / "again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(roses, target_is_directory=True)
    # Each folder once, and none of the other class's pictures.
    assert sorted(Path(path).name for path in found(roses)) == ["1.png", "3.png"]


def test_links_that_double_at_each_level_are_entered_once(tmp_path: Path) -> None:
    for level in range(40):
        (tmp_path / str(level)).mkdir()
        for side in ("left", "right"):
            (tmp_path / str(level) / side).symlink_to(tmp_path / str(level + 1), target_is_directory=True)
    (tmp_path / "40").mkdir()
    scene(0).save(tmp_path / "40" / "end.png")
    started = time.perf_counter()
    assert len(found(tmp_path / "0")) == 1
    assert time.perf_counter() - started < 5


def test_a_walk_is_bounded_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(600):
        (tmp_path / f"{number}.png").touch()

    def stop(done: int, count: int) -> None:
        assert done == 0
        if count > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_files(tmp_path, stop)
    monkeypatch.setattr(picture_files, "MAX_ENTRIES", 500)
    with pytest.raises(ValueError, match=r"holds more than 500 files\. Is there a link in it to a whole disk"):
        find_files(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert find_files(tmp_path).others == ["pipe.png"]


GRADIENT = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("unit.tif", GRADIENT.astype(np.float32)),
        ("overshoot.tif", (GRADIENT * 1.08 - 0.04).astype(np.float32)),
        ("bytes.tif", (GRADIENT * 255).astype(np.float32)),
        ("words.tif", (GRADIENT * 65535).astype(np.float32)),
        ("int bytes.tif", (GRADIENT * 255).astype(np.int32)),
        ("int words.tif", (GRADIENT * 65535).astype(np.int32)),
        ("int.tif", (GRADIENT * (2**31 - 1)).astype(np.int32)),
        ("words.png", (GRADIENT * 65535).astype(np.uint16)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_many_bits_are_scaled(tmp_path: Path, name: str, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / name)
    with (tmp_path / name).open("rb") as file:
        read = np.asarray(opaque_picture(file), dtype=float)
    off = 12 if name == "overshoot.tif" else 1.01
    assert np.abs(read - 255 * GRADIENT[..., None]).max() <= off


@pytest.mark.parametrize(
    "values",
    [GRADIENT * 3.5, GRADIENT * 2000, GRADIENT - 0.5, np.full((8, 8), np.nan), GRADIENT * 1e12],
    ids=["up to 3.5", "up to 2000", "negative", "NaN", "up to 1e12"],
)
def test_a_picture_whose_white_is_unknown_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "depth.tif")
    with (
        (tmp_path / "depth.tif").open("rb") as file,
        pytest.raises(PictureRangeError, match=r"its values go from .* to"),
    ):
        opaque_picture(file)


def test_a_black_picture_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "black.tif")
    assert pictures_in(tmp_path, 8, 8).images.max() == 0
