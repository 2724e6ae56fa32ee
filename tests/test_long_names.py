"""Names that are too long for the file system: a sentence that says so, wherever a name is written."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from robust_synthesis.models import open_classifier
from robust_synthesis.models.catalog import find
from robust_synthesis.models.class_lists import class_list
from robust_synthesis.training import DataError, read_data
from tests.checkpoint_layouts import write_robustness_checkpoint

# Most file systems allow 255 bytes.
LONG = "church " * 40
UMLAUTS = "\u00fc" * 130
"""As bytes it is twice as long."""
NUMBERED = "c" * 243
"""It fits with its extension, but not with a number."""


@pytest.mark.parametrize("name", [LONG, UMLAUTS, NUMBERED, f"mine/{LONG}", f"{LONG}/mine"])
def test_saving_names_what_is_too_long(pack: ModuleType, name: str) -> None:
    loaded = pack.RobustLoadClassifier.execute("canvas").result[0]
    with pytest.raises(ValueError, match="' is too long for the name of a file: write a shorter one") as raised:
        pack.RobustSaveClassifier.execute(loaded, name)
    # The whole of it would hide what the message says.
    assert len(str(raised.value)) < 140


def test_training_names_what_is_too_long_before_it_reads_a_picture(pack: ModuleType) -> None:
    train = pack.RobustTrainClassifier.execute
    with pytest.raises(ValueError, match="' is too long for the name of a file"):
        train("robust_patterns", "quick", 1, LONG)
    with pytest.raises(ValueError, match="' is too long for the name of a folder"):
        train(LONG, "quick", 1, "mine")


@pytest.mark.parametrize("name", [LONG, UMLAUTS])
def test_a_folder_of_pictures_whose_name_is_too_long_is_refused_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"\.\.\.' is too long for the name of a folder: no folder can have it\.$"):
        read_data(tmp_path / name, 32)


def test_a_checkpoint_whose_conversion_would_have_too_long_a_name_still_loads(tmp_path: Path) -> None:
    path = tmp_path / f"{'c' * 250}.pt"
    write_robustness_checkpoint(path, "shufflenet_v2_x1_0", 2)
    for _ in range(2):
        opened = open_classifier(path)
        assert opened.source == path
        assert opened.notes[-1].endswith(".safetensors is too long for a name: give it a shorter one.")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert find(path.name, [tmp_path]).path == path
    assert class_list(path.name, [tmp_path])[1].startswith("Run once")
