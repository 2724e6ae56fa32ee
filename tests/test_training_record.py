"""What the cards of the bundled classifiers say of their trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_synthesis.models import bundled_classifiers, load_classifier
from robust_synthesis.training import TrainingRecord

TRAINED = {name: path for name, path in bundled_classifiers().items() if name != "canvas-ensemble"}
"""A combination of others has no training of its own."""


@pytest.mark.parametrize("path", TRAINED.values(), ids=TRAINED)
def test_a_training_record_is_read_and_written_back(path: Path) -> None:
    training = load_classifier(path).card.training
    record = TrainingRecord.from_dict(training)
    # Some were trained before it was kept what was left out, and what was fine-tuned.
    assert record.to_dict() == {"left_out": "", "fine_tuned": "", "command": "", **training}
    assert record.cutmix_prob == training["cut_mix"]
    with pytest.raises(ValueError, match="not of a run of this pack"):
        TrainingRecord.from_dict({"data": "ImageNet", "epsilon": 3.0, "clean_accuracy": 0.5})
