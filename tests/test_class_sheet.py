"""The small pictures of a classifier's classes, and the route that gives them to the editor."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.transforms.functional import to_pil_image

from robust_synthesis.models import (
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    open_classifier,
    save_classifier,
)
from robust_synthesis.models.conversion import conversion_of
from robust_synthesis.models.thumbnails import COLUMNS, SIDE, find_sheet, sheet_of
from robust_synthesis.synthesis import Mix, class_sheet, generate
from robust_synthesis.synthesis.class_sheet import RANDOM_SEED
from robust_synthesis.training.pictures import Pictures
from robust_synthesis.training.seeds import fit_all_seeds
from tests.checkpoint_layouts import random_network
from tests.live_client import LiveClient
from tests.prompts import listed_classes
from tools.server import ComfyServer


def test_the_sheet_has_a_generated_picture_of_each_class(tiny_classifier: Callable[..., RobustClassifier]) -> None:
    classes = COLUMNS + 2
    images = torch.randint(256, (4 * classes, 3, 32, 32), dtype=torch.uint8)
    pictures = Pictures(images, torch.arange(4 * classes).remainder(classes))
    classifier = tiny_classifier(classes=classes).with_seeds(fit_all_seeds(pictures, classes, 32))
    sheet = class_sheet(classifier)
    assert sheet.size == (COLUMNS * SIDE, 2 * SIDE)
    (made,) = generate(classifier, Mix.single(COLUMNS + 1), [RANDOM_SEED])
    expected = ImageOps.fit(to_pil_image(made), (SIDE, SIDE), Image.Resampling.LANCZOS)
    assert sheet.crop((SIDE, SIDE, 2 * SIDE, 2 * SIDE)).tobytes() == expected.tobytes()


def test_classes_without_seeds_have_pictures_of_their_own(tiny: RobustClassifier) -> None:
    assert tiny.seeds is None
    sheet = class_sheet(tiny)
    tiles = {sheet.crop((left, 0, left + SIDE, SIDE)).tobytes() for left in range(0, 3 * SIDE, SIDE)}
    assert len(tiles) == 3


def test_the_live_canvas_makes_them_once_and_keeps_them(server: ComfyServer, without_sheet: str) -> None:
    def sheet() -> dict[str, int] | None:
        found: dict[str, int] | None = listed_classes(server.url, classifier=without_sheet)["sheet"]
        return found

    session = LiveClient(server.url).open(classifier=without_sheet)
    first = session.get("class?number=0")
    assert first.pixels.shape == (SIDE, SIDE, 3)
    assert sheet() is None
    second = session.get("class?number=1")
    assert sheet() == {"columns": COLUMNS}
    assert session.get("class?number=0").content == first.content != second.content
    assert session.client.get(f"/{session.id}/class?number=2").status == 400
    session.close()
    path = f"{server.url}/robust_synthesis/thumbnails?classifier={without_sheet}"
    with urllib.request.urlopen(path) as answer:
        kept = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))
    # Both are JPEGs, and a JPEG loses detail: the means of small squares stay.
    shown, *tiles = (_squares(each) for each in (first.pixels, kept[:, :SIDE], kept[:, SIDE:]))
    assert np.abs(tiles[0] - shown).mean() < 2
    assert np.abs(tiles[1] - shown).mean() > 4


def _squares(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The means `[H / 4, W / 4, 3]` of squares of 4 x 4 pixels."""
    height, width, _ = pixels.shape
    means: NDArray[np.float64] = pixels.reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
    return means


@pytest.mark.parametrize("name", bundled_classifiers())
def test_every_bundled_classifier_has_its_sheet(name: str, server: ComfyServer) -> None:
    classes = len(load_classifier(bundled_classifiers()[name]).labels)
    assert listed_classes(server.url, classifier=name)["sheet"] == {"columns": COLUMNS}
    with urllib.request.urlopen(f"{server.url}/robust_synthesis/thumbnails?classifier={name}") as answer:
        sent = answer.read()
    assert sent == sheet_of(bundled_classifiers()[name]).read_bytes()
    columns = min(classes, COLUMNS)
    assert Image.open(io.BytesIO(sent)).size == (columns * SIDE, -(-classes // COLUMNS) * SIDE)


@pytest.mark.parametrize("name", ["", "nobody", "..%2F..%2Fweb%2Fbanner", "resnet50_l2_eps3"])
def test_other_names_have_no_sheet(name: str, server: ComfyServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server.url}/robust_synthesis/thumbnails?classifier={name}")


def test_a_sheet_is_that_of_the_file_that_is_read(tmp_path: Path, tiny: RobustClassifier) -> None:
    for name in ("best.pt", "best.pth"):
        torch.save({"state_dict": random_network("resnet18", 3).state_dict()}, tmp_path / name)
    own = tmp_path / "own.safetensors"
    save_classifier(tiny, own)
    for path in (own, conversion_of(tmp_path / "best.pt")):
        sheet_of(path).write_bytes(b"")
    assert find_sheet(own.name, [tmp_path]) == sheet_of(own)
    assert find_sheet("best.pt", [tmp_path]) == tmp_path / "best.classes.jpg"
    # The converted file of the other has a name of its own.
    open_classifier(tmp_path / "best.pt")
    assert find_sheet("best.pt", [tmp_path]) == tmp_path / "best.classes.jpg"
    assert find_sheet("best.pth", [tmp_path]) is None
