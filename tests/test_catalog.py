"""The catalogue, and what can be chosen: the pack's classifiers, the user's, and the Hub's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robust_synthesis.models.architectures import architectures
from robust_synthesis.models.catalog import (
    HubFile,
    bundled_classifiers,
    catalog_files,
    choices,
    find,
    user_classifiers,
)
from robust_synthesis.models.conversion import conversion_of
from robust_synthesis.models.labels import known_labels

HUB = catalog_files()
BEST = "resnet50_l2_eps3"


def put(path: Path, size: int = 400_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_each_entry_can_be_downloaded_and_read() -> None:
    known = {entry.name for entry in architectures()}
    for name, file in HUB.items():
        assert file.filename.startswith(f"{name}.")
        assert file.architecture in known
        # The image tower of a CLIP has no classes of its own.
        assert file.architecture.startswith("clip_") if not file.labels else known_labels(file.labels)
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        if isinstance(file, HubFile):
            assert file.url.endswith(f"/{file.repository}/resolve/{file.revision}/{file.remote_name}")


def test_the_recommended_ones_are_on_top() -> None:
    assert list(HUB)[:3] == [BEST, "resnet18_l2_eps3", "wide_resnet50_2_l2_eps3"]
    flags = [file.recommended for file in HUB.values()]
    assert flags == sorted(flags, reverse=True)
    assert [name for name, file in HUB.items() if file.recommended and not file.labels] == ["fare2_vit_l14"]
    assert sum(flags) == 6


def test_a_card_can_say_where_a_classifier_is_from() -> None:
    assert HUB[BEST].about == {
        "title": "ImageNet: ResNet-50 (L2, epsilon 3)",
        "training": {
            "data": "ImageNet",
            "norm": "l2",
            "epsilon": 3,
            "clean_accuracy": 0.6283,
            "source": "madrylab/robust-imagenet-models@3f04ac96136001cfe402022100728124cbe3fac5/resnet50_l2_eps3.ckpt",
        },
        "licence": "MIT",
    }
    assert HUB["resnet50_linf_eps4.0"].about["training"]["epsilon"] == pytest.approx(4 / 255)


def test_all_kinds_of_classifier_files_are_listed(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.ckpt", "sub/c.PT", "sub/deep/d.Pth", "notes.txt", ".hidden.ckpt"):
        put(tmp_path / name)
    put(tmp_path / ".downloads" / "e.ckpt")
    put(tmp_path / "sub" / ".saving-1" / "f.safetensors")
    (tmp_path / "gone.ckpt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.ckpt").mkdir()
    assert list(user_classifiers([tmp_path])) == ["a.ckpt", "b.safetensors", "sub/c.PT", "sub/deep/d.Pth"]


def test_links_to_other_places_are_followed(tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / "x.ckpt")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file.ckpt").symlink_to(elsewhere)
    (mine / "folder").symlink_to(elsewhere.parent)
    assert list(user_classifiers([mine])) == ["file.ckpt", "folder/x.ckpt"]


def test_a_link_to_a_folder_that_it_lies_in_lists_nothing_twice(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    put(mine / "x.ckpt")
    put(mine / "sub" / "y.ckpt")
    (mine / "again").symlink_to(mine)
    (mine / "sub" / "up").symlink_to(mine)
    (mine / "sub" / "everything").symlink_to(tmp_path)
    # Two folders that link to each other are listed in each other, once.
    put(mine / "z" / "z.ckpt")
    (mine / "z" / "sub").symlink_to(mine / "sub")
    (mine / "sub" / "z").symlink_to(mine / "z")
    assert list(user_classifiers([mine])) == ["sub/y.ckpt", "sub/z/z.ckpt", "x.ckpt", "z/sub/y.ckpt", "z/z.ckpt"]


def test_the_first_of_two_folders_has_a_name(tmp_path: Path) -> None:
    first = put(tmp_path / "first" / "x.pt")
    put(tmp_path / "second" / "x.pt")
    folders = [tmp_path / "none", tmp_path / "first", tmp_path / "second"]
    assert user_classifiers(folders) == {"x.pt": first}


def test_choices_are_the_packs_then_the_users_then_the_hubs(tmp_path: Path) -> None:
    mine = put(tmp_path / "mine.pt", 97_600_000)
    listed = choices([tmp_path])
    assert list(listed) == [*bundled_classifiers(), "mine.pt", *HUB]
    assert all(name == choice.name for name, choice in listed.items())
    assert listed["canvas"].note == "bundled"
    assert (listed["mine.pt"].path, listed["mine.pt"].download, listed["mine.pt"].note) == (mine, None, "98 MB")
    assert (listed[BEST].path, listed[BEST].download) == (None, HUB[BEST])
    assert listed[BEST].note == "on the Hub, 205 MB, not here yet"


def test_a_file_of_the_hub_that_is_here_is_one_choice(tmp_path: Path) -> None:
    downloaded = put(tmp_path / f"{BEST}.ckpt")
    choice = choices([tmp_path])[BEST]
    assert (choice.path, choice.download, choice.note) == (downloaded, HUB[BEST], "from the Hub, 0.4 MB, here")
    converted = put(tmp_path / f"{BEST}.safetensors", 51_000_000)
    listed = choices([tmp_path])
    assert (listed[BEST].path, listed[BEST].note) == (converted, "from the Hub, 51 MB, here")
    assert list(listed) == [*bundled_classifiers(), *HUB]


def test_a_converted_file_is_found_under_its_old_name(tmp_path: Path) -> None:
    converted = put(tmp_path / "sub" / "mine.safetensors")
    assert find("sub/mine.ckpt", [tmp_path]).path == converted
    assert find("sub/mine.PTH", [tmp_path]).path == converted
    original = put(tmp_path / "sub" / "mine.ckpt")
    assert find("sub/mine.ckpt", [tmp_path]).path == original


def test_a_file_of_the_hub_is_found_under_its_files_names(tmp_path: Path) -> None:
    for name in (BEST, f"{BEST}.ckpt", f"{BEST}.safetensors"):
        assert find(name, [tmp_path]).download == HUB[BEST]


@pytest.mark.parametrize("name", ["fare2_vit_l14", "tecoa4_vit_b16"])
def test_a_clip_of_the_hub_is_one_choice_under_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    downloaded = put(tmp_path / HUB[name].filename)
    assert choices([tmp_path])[name].path == downloaded
    converted = put(conversion_of(downloaded), 51_000_000)
    listed = choices([tmp_path])
    assert listed[name].path == converted
    assert list(listed) == [*bundled_classifiers(), *HUB]


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    put(tmp_path / "birds.pt")
    with pytest.raises(LookupError, match=r"no classifier named 'brids.pt'. Did you mean birds.pt"):
        find("brids.pt", [tmp_path])
    with pytest.raises(LookupError, match="Did you mean canvas"):
        find("canvass", [])
    # The pack's is not the user's of the same name.
    with pytest.raises(LookupError):
        find("canvas.ckpt", [])


@pytest.mark.parametrize("name", ["../x.ckpt", "../../x.ckpt", "sub/../../x.ckpt", "..\\x.ckpt", "C:x.ckpt", "", "."])
def test_no_name_leads_out_of_the_folders(tmp_path: Path, name: str) -> None:
    put(tmp_path / "x.ckpt")
    put(tmp_path / "x.safetensors")
    inside = tmp_path / "a" / "b"
    put(inside / "sub" / "mine.ckpt")
    for tried in (name, str(tmp_path / "x.ckpt")):
        with pytest.raises(LookupError):
            find(tried, [inside, inside.parent / "b"])
