"""Fit Class Seeds and Save Robust Classifier in a real ComfyUI: seeds of one's own, drawn, kept and found again."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tests.seed_fitting import fit

RED, GREEN = torch.tensor([0.7, 0.3, 0.25]), torch.tensor([0.2, 0.55, 0.3])


@pytest.fixture
def folder(pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of classifiers, not there yet."""
    assert pack
    import folder_paths

    place = tmp_path / "models" / "robust_classifiers"
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "robust_classifiers", ([str(place)], {".safetensors"}))
    return place


def landscapes(count: int, height: int = 60, width: int = 90) -> Tensor:
    """Red above, green below, none like the other."""
    picture = torch.cat([RED.expand(height // 2, width, 3), GREEN.expand(height - height // 2, width, 3)])
    grain = torch.randn(count, 3, 5, 3, generator=torch.Generator().manual_seed(1)) * 0.06
    smooth = torch.nn.functional.interpolate(grain.permute(0, 3, 1, 2), (height, width), mode="bilinear")
    return (picture + smooth.permute(0, 2, 3, 1)).clamp(0, 1)


def draw(pack: ModuleType, classifier: Any, target: str, count: int = 64) -> Tensor:
    made: Tensor = pack.RobustClassSeed.execute(classifier, target, 24, 24, count, 0, "class gaussian").result[0]
    return made


@pytest.mark.parametrize("target", ["sea", "29", "SEA:2"])
def test_the_seeds_of_a_class_have_the_colours_and_the_layout_of_its_pictures(
    pack: ModuleType, classifier: Any, target: str
) -> None:
    pictures = landscapes(20)
    before = draw(pack, classifier, "sea")
    fitted = fit(pack, classifier, pictures, target)
    drawn = draw(pack, fitted, "sea")
    for half, rows in ((slice(0, 11), slice(0, 28)), (slice(13, 24), slice(32, 60))):
        mean = pictures[:, rows].mean((0, 1, 2))
        torch.testing.assert_close(drawn[:, half].mean((0, 1, 2)), mean, rtol=0, atol=0.03)
        assert (before[:, half].mean((0, 1, 2)) - mean).abs().max() > 0.1
    assert drawn.std(0).mean() == pytest.approx(float(pictures.std(0).mean()), rel=0.5)


def test_the_other_classes_and_the_classifier_that_came_in_stay(pack: ModuleType, classifier: Any) -> None:
    pictures = landscapes(4)
    kept = pictures.clone()
    labels = classifier.model.labels
    before = {label: draw(pack, classifier, label, 2) for label in labels}
    fitted = fit(pack, classifier, pictures, "sea")

    assert torch.equal(pictures, kept)
    for label in labels:
        assert torch.equal(draw(pack, classifier, label, 2), before[label])
        assert torch.equal(draw(pack, fitted, label, 2), before[label]) == (label != "sea")
    image = landscapes(1)
    (first, second) = (pack.RobustClassify.execute(x, image, 5).result[1] for x in (classifier, fitted))
    assert first == second
    # Fitted again, and for another class, it keeps what it has.
    both = fit(pack, fitted, 1 - pictures, "church")
    assert torch.equal(draw(pack, both, "sea", 2), draw(pack, fitted, "sea", 2))
    assert not torch.equal(draw(pack, both, "church", 2), before["church"])


def test_a_single_picture_is_every_seed(pack: ModuleType, classifier: Any) -> None:
    fitted = fit(pack, classifier, landscapes(1), "sea")
    drawn = draw(pack, fitted, "sea", 3)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_a_classifier_without_seeds_gets_its_first(pack: ModuleType, classifier: Any, folder: Path) -> None:
    from dataclasses import replace

    bare = replace(classifier, opened=classifier.model.with_seeds(None))
    fitted = fit(pack, bare, landscapes(5), "sea")
    assert draw(pack, fitted, "sea", 2).shape == (2, 24, 24, 3)
    with pytest.raises(ValueError, match=r"no class seeds for church\. Choose the method"):
        draw(pack, fitted, "church", 1)
    pack.RobustSaveClassifier.execute(fitted, "first")
    assert (folder / "first.safetensors").is_file()
    again = pack.RobustLoadClassifier.execute("first.safetensors").result[0]
    assert again.model.seeds.classes == (again.model.labels.index("sea"),)


@pytest.mark.parametrize("target", ["sea, church", "-sea", "sea:0.5, 3"])
def test_seeds_are_fitted_to_one_class_at_a_time(pack: ModuleType, classifier: Any, target: str) -> None:
    with pytest.raises(ValueError, match="is not one class: seeds are fitted for one at a time"):
        fit(pack, classifier, landscapes(2), target)


def test_a_list_without_pictures_is_refused(pack: ModuleType, classifier: Any) -> None:
    with pytest.raises(ValueError, match="There are no pictures to fit seeds to"):
        pack.RobustFitSeeds.execute([classifier], [], ["sea"], [""])


def test_a_class_that_does_not_exist_is_answered_with_the_nearest(pack: ModuleType, classifier: Any) -> None:
    with pytest.raises(ValueError, match="Did you mean church"):
        fit(pack, classifier, landscapes(2), "chruch")
    with pytest.raises(ValueError, match="Write a class"):
        fit(pack, classifier, landscapes(2), "")


def contents(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return tensors, json.loads(file.metadata()["robust_classifier"])


def test_a_saved_classifier_is_its_source_with_the_new_seeds(pack: ModuleType, classifier: Any, folder: Path) -> None:
    fitted = fit(pack, classifier, landscapes(30), "sea")
    made = pack.RobustSaveClassifier.execute(fitted, "my churches")

    assert sorted(path.name for path in folder.iterdir()) == ["my churches.classes.jpg", "my churches.safetensors"]
    assert "my churches.safetensors" in str(made.ui.as_dict())
    options = pack.RobustLoadClassifier.GET_NODE_INFO_V1()["input"]["required"]["classifier"][1]["options"]
    assert options[:6] == ["canvas", "canvas-bold", "canvas-ensemble", "painters", "seasons", "my churches.safetensors"]
    again = pack.RobustLoadClassifier.execute("my churches.safetensors").result[0]
    assert again.model.labels == classifier.model.labels
    seeds, before = again.model.seeds, fitted.model.seeds
    assert seeds.classes == before.classes
    assert seeds.grain == before.grain
    # A file holds half precision.
    assert torch.equal(seeds.mean, before.mean.half().float())
    assert torch.equal(seeds.factors, before.factors.half().float())
    (tensors, header), (source, source_header) = contents(folder / "my churches.safetensors"), contents(fitted.source)
    assert tensors.keys() == source.keys()
    for name, tensor in tensors.items():
        if not name.startswith("seeds."):
            assert tensor.dtype == source[name].dtype
            assert torch.equal(tensor, source[name]), name
    # A card without a licence says so when it is saved.
    assert {**header, "seeds": None} == {"licence": "", **source_header, "seeds": None}


def test_weights_are_saved_as_they_were_loaded_whatever_the_device_has_made_of_them(
    pack: ModuleType, folder: Path
) -> None:
    loaded = pack.RobustLoadClassifier.execute("seasons").result[0]
    loaded.model.network.to(torch.bfloat16)
    pack.RobustSaveClassifier.execute(loaded, "rounded")
    saved, source = contents(folder / "rounded.safetensors")[0], contents(loaded.source)[0]
    assert all(torch.equal(tensor, source[name]) for name, tensor in saved.items())


def test_an_existing_file_is_kept_and_the_new_one_gets_a_number(
    pack: ModuleType, classifier: Any, folder: Path
) -> None:
    for name in ("twice", "twice.safetensors", " twice ", "deep/er/twice", "deep/er/twice"):
        (folder / "twice.safetensors").exists() and (folder / "twice.safetensors").write_bytes(b"precious")
        pack.RobustSaveClassifier.execute(classifier, name)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))
    assert names == [
        "deep/er/twice.safetensors",
        "deep/er/twice_2.safetensors",
        "twice.safetensors",
        "twice_2.safetensors",
        "twice_3.safetensors",
    ]
    assert (folder / "twice.safetensors").read_bytes() == b"precious"
    assert pack.RobustLoadClassifier.execute("deep/er/twice_2.safetensors").result[0].model.labels


@pytest.mark.parametrize("name", ["", "  ", "../evil", "/abs", "..", ".", "a/../../evil", "a/..", ".safetensors", "a/"])
def test_a_name_that_is_none_or_leads_elsewhere_is_refused(
    pack: ModuleType, classifier: Any, folder: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="is no name for a file in models/robust_classifiers"):
        pack.RobustSaveClassifier.execute(classifier, name)
    above = folder.parent.parent
    assert not [path for path in above.rglob("*") if path.is_file()]
    assert not Path("/abs.safetensors").exists()


def test_a_list_of_pictures_of_any_sizes_is_one_set(pack: ModuleType, classifier: Any) -> None:
    batch = landscapes(12)
    listed = fit(pack, classifier, [picture[None] for picture in batch], "sea")
    together = fit(pack, classifier, batch, "sea")
    torch.testing.assert_close(listed.model.seeds.mean, together.model.seeds.mean)
    torch.testing.assert_close(draw(pack, listed, "sea"), draw(pack, together, "sea"), rtol=0, atol=1e-4)
    mixed = fit(pack, classifier, [landscapes(3), landscapes(1, 90, 40), torch.rand(2, 7, 5, 1)], "sea")
    assert mixed.model.seeds.mean.isfinite().all()


def test_lists_of_classes_and_classifiers_give_one_classifier_each(pack: ModuleType, classifier: Any) -> None:
    both = [classifier, fit(pack, classifier, 1 - landscapes(4), "church")]
    (made,) = pack.RobustFitSeeds.execute(both, [landscapes(4)], ["sea", "church", "29"], [""]).result
    assert len(made) == 3
    expected = [fit(pack, both[min(n, 1)], landscapes(4), target) for n, target in enumerate(["sea", "church", "sea"])]
    for ours, theirs in zip(made, expected, strict=True):
        assert torch.equal(ours.model.seeds.mean, theirs.model.seeds.mean)
