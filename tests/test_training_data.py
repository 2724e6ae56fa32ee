"""Reading the pictures to train on: folders and zips, good ones and bad ones."""

from __future__ import annotations

import os
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robust_synthesis.synthesis.picture_folder import opaque_picture
from robust_synthesis.training import DataError, TrainingData, read_data
from tests.pictures_to_train_on import COLOURS, make_folder, picture

SIZE = 16


def read(place: Path) -> TrainingData:
    return read_data(place, SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", "red", "green")


def zipped(folder: Path, inside: str = ".") -> Path:
    root = folder.parent if inside == folder.name else folder
    return Path(shutil.make_archive(str(folder.parent / "archive"), "zip", root, inside))


def test_a_folder_of_class_folders(folder: Path) -> None:
    data = read(folder)
    assert data.labels == ("green", "red")
    assert (len(data.train), len(data.validation), data.test) == (36, 4, None)
    assert data.train.images.shape == (36, 3, SIZE, SIZE)
    assert data.train.images.dtype == torch.uint8
    for index, label in enumerate(data.labels):
        own = data.train.images[data.train.classes == index].float().mean((0, 2, 3))
        torch.testing.assert_close(own, torch.tensor(COLOURS[label]).float(), atol=6, rtol=0)
    assert data.left_out.unreadable == ()


def test_the_validation_pictures_are_others_and_the_same_each_time(folder: Path) -> None:
    first, second = read(folder), read(folder)
    assert torch.equal(first.validation.images, second.validation.images)
    assert first.digest == second.digest
    train = {image.numpy().tobytes() for image in first.train.images}
    assert not train & {image.numpy().tobytes() for image in first.validation.images}
    assert sorted(first.validation.classes.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize("inside", [".", "data"], ids=["class folders", "a folder of class folders"])
def test_a_zip_gives_what_its_folder_gives(folder: Path, inside: str) -> None:
    (folder / "__MACOSX").mkdir()
    assert read(zipped(folder, inside)).digest == read(folder).digest


def test_train_and_test_are_kept_apart(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "blue", each=3, first=50)
    data = read(tmp_path)
    assert data.labels == ("blue", "red")
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 6)


def test_another_picture_is_another_digest(folder: Path) -> None:
    before = read(folder).digest
    picture("red", 99).save(folder / "red" / "05.png")
    assert read(folder).digest != before


def test_every_kind_of_picture_is_read(folder: Path) -> None:
    red = picture("red", 1, (300, 200))
    red.convert("CMYK").save(folder / "red" / "cmyk.jpg")
    red.convert("P").save(folder / "red" / "palette.gif", save_all=True, append_images=[picture("blue", 1, (300, 200))])
    clear = red.convert("RGBA")
    clear.putalpha(255)
    clear.save(folder / "red" / "clear.webp", lossless=True)
    red.convert("L").save(folder / "red" / "grey.tif")
    upright = Image.Exif()
    upright[0x0112] = 6
    red.save(folder / "red" / "turned.jpeg", exif=upright)
    (folder / "red" / "notes.txt").write_text("not a picture")
    data = read(folder)
    assert len(data.train) + len(data.validation) == 45
    assert data.left_out.unreadable == ()


def test_damaged_pictures_are_left_out_and_named(folder: Path) -> None:
    whole = (folder / "red" / "00.png").read_bytes()
    (folder / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "green" / "no.jpg").write_bytes(b"<html>")
    data = read(folder)
    assert data.left_out.unreadable == ("green/no.jpg", "red/cut.png")
    assert len(data.train) + len(data.validation) == 40


def test_each_picture_is_taken_once(folder: Path) -> None:
    for label in ("red", "green"):
        shutil.copy(folder / label / "03.png", folder / label / "again.png")
    data = read(folder)
    assert data.left_out.copies == ("green/again.png", "red/again.png")
    assert len(data.train) + len(data.validation) == 40


def test_a_picture_of_two_classes_is_of_neither(folder: Path) -> None:
    shutil.copy(folder / "red" / "03.png", folder / "green" / "other.png")
    data = read(folder)
    assert data.left_out.copies == ("green/other.png", "red/03.png")
    assert len(data.train) + len(data.validation) == 39


def test_what_is_tested_is_not_learned(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "blue", each=3, first=18)
    data = read(tmp_path)
    assert data.test is not None
    assert len(data.test) == 6
    assert data.left_out.copies == ("blue/18.png", "blue/19.png", "red/18.png", "red/19.png")
    assert len(data.train) + len(data.validation) == 36


def test_a_class_of_one_picture_and_its_copies(folder: Path) -> None:
    for path in (folder / "red").iterdir():
        picture("red", 0).save(path)
    with pytest.raises(DataError, match=r"too few pictures of red \(1\).*copies of other pictures \(19\): red/01.png"):
        read(folder)


def fill(folder: Path, name: str, count: int) -> None:
    (folder / name).mkdir(parents=True)
    for number in range(count):
        picture("blue", number).save(folder / name / f"{number}.png")


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    make_folder(tmp_path / "data", "red")
    with pytest.raises(DataError, match=r"'data' has one class only, 'red'\. A classifier tells classes apart"):
        read(tmp_path / "data")


def test_pictures_without_class_folders(tmp_path: Path) -> None:
    picture("red", 0).save(tmp_path / "0.png")
    with pytest.raises(DataError, match="holds no class folders"):
        read(tmp_path)


def test_an_empty_class_folder(folder: Path) -> None:
    (folder / "blue").mkdir()
    with pytest.raises(DataError, match="no pictures in blue of 'data'"):
        read(folder)


def test_three_pictures_in_a_class(folder: Path) -> None:
    fill(folder, "blue", 3)
    with pytest.raises(DataError, match=r"too few pictures of blue \(3\): a class needs 10"):
        read(folder)


def test_a_class_whose_pictures_are_all_damaged(folder: Path) -> None:
    for path in (folder / "red").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(
        DataError, match=r"too few pictures of red \(0\).*cannot be read \(20\): red/00.png.*and 15 more"
    ):
        read(folder)


def test_ten_thousand_classes_are_refused_before_a_picture_is_read(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(DataError, match="has 10000 class folders, and 1000 is the most"):
        read(tmp_path)


def test_train_and_test_of_other_classes(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "green", each=3)
    with pytest.raises(DataError, match="do not have the same classes: blue, green"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["-street", "red, dark", "red\uff0cdark", "Green", "gre_en"])
def test_a_folder_whose_name_means_something_else(folder: Path, name: str) -> None:
    fill(folder, name, 10)
    with pytest.raises(DataError, match=r"cannot be the name of a class.*Rename it"):
        read(folder)


def test_an_unreadable_test_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "blue", each=1)
    for path in (tmp_path / "test").rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"No picture in 'test' .* can be read: test/blue/00.png"):
        read(tmp_path)


def test_a_damaged_zip_and_a_locked_one(folder: Path) -> None:
    archive = zipped(folder)
    content = archive.read_bytes()
    with zipfile.ZipFile(archive) as whole:
        first = next(member for member in whole.infolist() if not member.is_dir())
    # One picture's bytes, its checksum no longer right.
    place = first.header_offset + 30 + len(first.filename) + 40
    archive.write_bytes(content[:place] + bytes(40) + content[place + 40 :])
    assert len(read(archive).left_out.unreadable) == 1
    archive.write_bytes(content[:-500] + content[-400:])
    with pytest.raises(DataError, match=r"neither a folder nor a zip file|damaged zip file"):
        read(archive)
    locked = bytearray(content)
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = locked.find(signature)
        while place >= 0:
            locked[place + flags] |= 1
            place = locked.find(signature, place + 4)
    archive.write_bytes(locked)
    with pytest.raises(DataError, match="locked with a password"):
        read(archive)


def test_sixteen_bits_are_not_white(folder: Path) -> None:
    grey = np.full((20, 20), 0x8000, np.uint16)
    for number, path in enumerate((folder / "green").iterdir()):
        # No copies.
        grey[:5, :5] = np.random.default_rng(number).integers(0, 2**16, (5, 5))
        Image.fromarray(grey).save(path)
    data = read(folder)
    green = data.train.images[data.train.classes == 0][..., 8:, 8:]
    assert green.min() == green.max() == 127


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder 'nowhere'"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="'file' is neither a folder nor a zip file"):
        read(tmp_path / "file")


def test_reading_is_counted_and_can_be_stopped(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_data(folder, SIZE, lambda done, count: seen.append((done, count)))
    assert [done for done, _ in seen if done < 40] == list(range(1, 40))
    assert seen[-1] == (40, 40)

    def stop(done: int, _count: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_data(folder, SIZE, stop)


def test_a_large_photo_is_cut_to_its_middle_square(folder: Path) -> None:
    # Red at both sides, green in the middle square.
    pixels = np.zeros((600, 1200, 3), np.uint8)
    pixels[..., 0] = 255
    for number, path in enumerate(sorted((folder / "green").iterdir())):
        # No copies.
        pixels[:, 300:900] = (0, 255, 0)
        pixels[:, 300:900, 2] = np.random.default_rng(number).integers(0, 256, (6, 6)).repeat(100, 0).repeat(100, 1)
        Image.fromarray(pixels).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    data = read(folder)
    green = data.train.images[data.train.classes == 0].float()
    assert green[:, 1].min() > 200
    assert green[:, 0].max() < 60


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", None),
        ("Train", "VALID", "Test"),
        ("training", "validation", "testing"),
        ("TRAIN", "Val", "test"),
    ],
)
def test_folders_of_the_splits_are_taken_for_what_they_are(
    tmp_path: Path, train: str, validation: str, test: str | None
) -> None:
    make_folder(tmp_path / train, "red", "blue")
    make_folder(tmp_path / validation, "red", "blue", each=3, first=50)
    if test:
        make_folder(tmp_path / test, "red", "blue", each=2, first=70)
    data = read(tmp_path)
    assert data.labels == ("blue", "red")
    assert (len(data.train), len(data.validation)) == (40, 6)
    assert (data.test is None) == (test is None)
    assert data.test is None or len(data.test) == 4
    expected = np.asarray(picture("blue", 50).crop((4, 0, 28, 24)).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    assert np.abs(data.validation.images[0].permute(1, 2, 0).numpy().astype(int) - expected).mean() < 2
    assert not str(data.left_out)


def test_a_large_validation_folder_is_drawn_from_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robust_synthesis.training.data.MAX_VALIDATION", 10)
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "val", "red", "blue", first=50)
    data = read(tmp_path)
    assert data.validation.classes.bincount().tolist() == [5, 5]
    assert "30 of the validation pictures are not used" in str(data.left_out)
    assert torch.equal(data.validation.images, read(tmp_path).validation.images)


def test_the_splits_share_no_picture(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "val", "red", "blue", each=3, first=18)
    make_folder(tmp_path / "test", "red", "blue", each=3, first=20)
    data = read(tmp_path)
    assert data.left_out.copies == (
        *("val/blue/20.png", "val/red/20.png"),
        *("blue/18.png", "blue/19.png", "red/18.png", "red/19.png"),
    )
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 6)


def test_what_lies_beside_the_class_folders_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "blue", each=3, first=50)
    make_folder(tmp_path / "samples", "red")
    for name in ("cover.png", "test/0.jfif"):
        picture("red", 99).save(tmp_path / name, "PNG")
    (tmp_path / "README.md").write_text("about")
    data = read(tmp_path)
    assert data.labels == ("blue", "red")
    assert str(data.left_out) == "Left out, because they lie in no class folder (3): cover.png, samples/, test/0.jfif."


def test_splits_without_train_and_splits_that_mean_the_same(tmp_path: Path) -> None:
    make_folder(tmp_path / "one" / "val", "red", "blue")
    make_folder(tmp_path / "one" / "test", "red", "blue")
    with pytest.raises(DataError, match="holds 'test' and 'val', but no folder 'train'"):
        read(tmp_path / "one")
    for name in ("train", "val", "Valid"):
        make_folder(tmp_path / "two" / name, "red", "blue")
    with pytest.raises(DataError, match="'Valid' and 'val', which mean the same: join them"):
        read(tmp_path / "two")


def test_class_folders_match_in_any_unicode_form_and_case(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "blue")
    make_folder(tmp_path / "test", "red", "blue", each=3, first=50)
    (tmp_path / "train" / "red").rename(tmp_path / "train" / "caf\u00e9")
    (tmp_path / "test" / "red").rename(tmp_path / "test" / "Cafe\u0301")
    data = read(tmp_path)
    assert data.labels == ("blue", "caf\u00e9")
    assert data.test is not None
    assert data.test.classes.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_a_class_folder_is_read_at_any_depth_and_the_rest_is_named(folder: Path, as_zip: bool) -> None:
    (folder / "red" / "more" / "yet").mkdir(parents=True)
    picture("red", 60).save(folder / "red" / "more" / "yet" / "a.jfif", "JPEG")
    (folder / "red" / "more" / "b.HEIC").write_bytes(b"no picture")
    (folder / "red" / "._00.png").write_bytes(b"no picture")
    data = read(zipped(folder) if as_zip else folder)
    assert len(data.train) + len(data.validation) == 41
    assert data.left_out.others == ("red/more/b.HEIC",)
    assert "1 .heic (red/more/b.HEIC). HEIC is how iPhones save photos" in str(data.left_out)


def test_a_class_of_heic_photos_is_told_how_to_convert_them(folder: Path) -> None:
    (folder / "blue").mkdir()
    (folder / "blue" / "a.heic").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"no pictures in blue of 'data' that can be read.*1 \.heic.*Most Compatible"):
        read(folder)


def test_a_link_to_the_parent_is_not_another_class(folder: Path) -> None:
    before = read(folder).digest
    (folder / "red" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "round").symlink_to(folder.parent, target_is_directory=True)
    assert read(folder).digest == before


def test_a_picture_whose_white_is_unknown_is_left_out_with_the_reason(folder: Path) -> None:
    depth = np.linspace(0, 3.5, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(depth).save(folder / "red" / "depth.tif")
    (why,) = read(folder).left_out.unreadable
    assert why.startswith("red/depth.tif (its values go from 0 to 3.5, and nothing says what is white")


def test_validation_pictures_that_are_all_tested_too_are_held_out_instead(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", "red", "green", each=20)
    make_folder(tmp_path / "val", "red", "green", each=5, first=50)
    shutil.copytree(tmp_path / "val", tmp_path / "test")
    data = read_data(tmp_path, 24)
    assert (len(data.train), len(data.validation)) == (36, 4)
    assert "val/green/50.png" in str(data.left_out)


def test_a_photo_whose_exif_cannot_be_written_again_is_read_upright(folder: Path) -> None:
    # Pillow writes the rest of the tags when it turns a photo, and the resolution is text here.
    entries = [(0x112, 3, 1, struct.pack("<HH", 6, 0)), (0x11A, 2, 3, b"72\0\0")]
    tags = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + tags + struct.pack("<I", 0)
    photo = Image.new("RGB", (40, 24), "white")
    photo.paste("black", (0, 0, 20, 24))
    photo.save(folder / "red" / "phone.jpg", exif=exif)
    with (folder / "red" / "phone.jpg").open("rb") as file:
        upright = opaque_picture(file)
    assert upright.size == (24, 40)
    assert upright.getpixel((12, 5)) == (0, 0, 0)
    assert len(read_data(folder, 24).left_out.unreadable) == 0


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode there")
def test_names_that_are_no_unicode_are_told_and_those_of_classes_refused(folder: Path) -> None:
    (folder / "red" / os.fsdecode(b"caf\xe9.txt")).write_text("a caption")
    assert r"caf\udce9.txt" in str(read_data(folder, 24).left_out)
    (folder / "red").rename(folder / os.fsdecode(b"r\xe9d"))
    with pytest.raises(DataError, match="cannot be written"):
        read_data(folder, 24)


@pytest.mark.parametrize("written", ["./{}", "{}", "pictures\\{}"])
def test_zips_of_windows_are_read(folder: Path, tmp_path: Path, written: str) -> None:
    archive = tmp_path / "windows.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.png")):
            name = path.relative_to(folder).as_posix()
            entry = zipfile.ZipInfo()
            entry.filename = written.format(name.replace("/", "\\") if "\\" in written else name)
            file.writestr(entry, path.read_bytes())
    assert read_data(archive, 24).digest == read_data(folder, 24).digest
