"""Runs that earlier versions of the pack began."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_synthesis.training import (
    Beginning,
    CardInfo,
    Progress,
    RunExistsError,
    RunPaths,
    beginning,
    read_data,
    train,
)
from robust_synthesis.training.saved_state import SavedState, read_state, write_state
from tests.picture_makers import make_scenes, saved_again, scene
from tests.pictures_to_train_on import TINY, make_folder

CPU = torch.device("cpu")
INFO = CardInfo("Scenes", "drawn by the tests", "MIT")


def of_an_earlier_version(state: SavedState) -> dict[str, Any]:
    """The identity of a run as versions wrote it that kept near copies and had no stage two."""
    later = ("contrastive", "fine_tune")
    recipe = {key: value for key, value in state.identity["recipe"].items() if key not in later}
    return {"recipe": recipe, "epochs": state.identity["epochs"], "data": state.identity["data"]}


def test_a_run_of_an_earlier_version_resumes_with_its_near_copies(tmp_path: Path) -> None:
    paths, plain = RunPaths(tmp_path / "old.safetensors", tmp_path / "old-training"), replace(TINY, contrastive=None)

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    for number, label in enumerate(("red", "green")):
        make_scenes(tmp_path / "data" / label, 12, 100 * number)
        saved_again(scene(100 * number)).save(tmp_path / "data" / label / "again.png")
    with_copies = read_data(tmp_path / "data", TINY.input_size, keep_near_copies=True)
    assert (len(with_copies.train) + len(with_copies.validation), with_copies.left_out.near_copies) == (26, ())
    with pytest.raises(KeyboardInterrupt):
        train(with_copies, plain, paths, INFO, CPU, report=stop)
    state = read_state(paths.state)
    assert state is not None
    # As earlier versions wrote it.
    history = [{**entry, "chain_steps": None} for entry in state.history]
    assert history
    write_state(paths.state, replace(state, identity=of_an_earlier_version(state), history=history))
    assert beginning(paths) == Beginning(near_copies=True, stage_two=False)
    data = read_data(tmp_path / "data", TINY.input_size, keep_near_copies=True)
    first: list[int] = []
    train(data, plain, paths, INFO, CPU, report=lambda progress: first.append(progress.step))
    assert first[0] == 3
    # New runs leave them out.
    other = RunPaths(tmp_path / "new.safetensors", tmp_path / "new-training")
    assert beginning(other) == Beginning()
    new = read_data(tmp_path / "data", TINY.input_size)
    assert new.left_out.near_copies == ("green/again.png", "red/again.png")
    with pytest.raises(RunExistsError, match="other pictures or settings"):
        train(new, plain, paths, INFO, CPU)


def test_a_run_of_an_earlier_version_ends_with_stage_one(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "old.safetensors", tmp_path / "old-training")

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    plain = replace(TINY, contrastive=None)
    data = read_data(make_folder(tmp_path / "data", "red", "green"), TINY.input_size, keep_near_copies=True)
    with pytest.raises(KeyboardInterrupt):
        train(data, plain, paths, INFO, CPU, report=stop)
    state = read_state(paths.state)
    assert state is not None
    # As earlier versions wrote it.
    write_state(paths.state, replace(state, identity=of_an_earlier_version(state)))
    with pytest.raises(RunExistsError, match="other pictures or settings"):
        train(data, TINY, paths, INFO, CPU)
    seen: list[Progress] = []
    classifier = train(data, plain, paths, INFO, CPU, report=seen.append)
    assert (seen[0].step, seen[-1].step, seen[-1].steps) == (3, 20, 20)
    assert "contrastive_steps" not in classifier.card.training
    # It is finished, and loaded.
    seen.clear()
    train(data, plain, paths, INFO, CPU, report=seen.append)
    assert not seen
