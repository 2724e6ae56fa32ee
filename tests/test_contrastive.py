"""Stage two: what the sampler makes, the energy that tells them from pictures, and what is watched on the way."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch_fidelity.metric_kid import kernel_mmd  # type: ignore[import-untyped]

from robust_synthesis.models import RobustClassifier, load_classifier, save_classifier
from robust_synthesis.synthesis import Mix, TranslateSettings, preset, translate
from robust_synthesis.training import (
    CardInfo,
    Contrastive,
    Progress,
    RunPaths,
    TrainingData,
    TrainingPlan,
    read_data,
    train,
)
from robust_synthesis.training.adversarial import AdversarialTrainer
from robust_synthesis.training.contrastive import ContrastiveTrainer
from robust_synthesis.training.contrastive_sampler import ContrastiveSampler
from robust_synthesis.training.evaluation import kernel_distance
from robust_synthesis.training.seeds import fit_all_seeds
from tests.pictures_to_train_on import TINY, make_folder

CPU = torch.device("cpu")
INFO = CardInfo("Colours", "drawn by the tests")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_data(make_folder(tmp_path_factory.mktemp("data"), "red", "green"), TINY.input_size)


@pytest.fixture(scope="module")
def plan(data: TrainingData) -> TrainingPlan:
    return replace(TINY, contrastive=Contrastive(steps=30, batch_size=18, learning_rate=0.1)).plan(len(data.train))


@pytest.fixture(scope="module")
def stage_one(data: TrainingData, plan: TrainingPlan) -> RobustClassifier:
    trainer = AdversarialTrainer(data.train, data.labels, plan, CPU)
    for _ in range(plan.steps):
        trainer.advance()
    return trainer.classifier(fit_all_seeds(data.train, len(data.labels), TINY.input_size))


def trainer_of(data: TrainingData, plan: TrainingPlan, classifier: RobustClassifier) -> ContrastiveTrainer:
    return ContrastiveTrainer(data.train, copy.deepcopy(classifier), plan, CPU)


def test_contrastive_pictures_are_what_the_sampler_makes(data: TrainingData, stage_one: RobustClassifier) -> None:
    assert stage_one.seeds is not None
    sampler = ContrastiveSampler(preset(TranslateSettings, "generate").settings, stage_one.seeds, data.train)
    torch.manual_seed(0)
    classifier = copy.deepcopy(stage_one).eval()
    images, targets = sampler.draw(classifier, 8)
    assert images.shape == (8, 3, 24, 24)
    assert 0 <= images.min() <= images.max() <= 1
    assert set(targets.tolist()) == {0, 1}
    # The starts of the same random numbers, given to the sampler as a user gives them.
    torch.manual_seed(0)
    starts, _ = sampler.starts(8)
    for start, image, target in zip(starts, images, targets.tolist(), strict=True):
        painted = translate(classifier, start[None], Mix.single(target), sampler.settings, [0])
        torch.testing.assert_close(image[None], painted, rtol=0, atol=1e-4)


def test_a_fifth_of_the_starts_are_photographs_of_other_classes(
    data: TrainingData, stage_one: RobustClassifier
) -> None:
    assert stage_one.seeds is not None
    sampler = ContrastiveSampler(preset(TranslateSettings, "generate").settings, stage_one.seeds, data.train)
    torch.manual_seed(0)
    starts, targets = sampler.starts(400)
    photographs = data.train.images.float() / 255
    same = (starts[:, None] - photographs[None]).abs().amax((2, 3, 4)) == 0
    assert 0.15 < same.any(1).float().mean() < 0.25
    # Of the class that they go to, none is.
    assert not (same & (targets[:, None] == data.train.classes[None])).any()


def test_stage_two_teaches_what_is_real(data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier) -> None:
    """On the same pictures, those of the sampler are told from real ones better after it than before."""
    trainer = trainer_of(data, plan, stage_one)
    statistics = {name: t.clone() for name, t in trainer.network.named_buffers()}
    for _ in range(plan.contrastive.steps if plan.contrastive else 0):
        trainer.advance()
    for name, buffer in trainer.network.named_buffers():
        assert torch.equal(buffer, statistics[name]), name
    made, real = trainer.sampler.draw(stage_one, 20)[0], data.train.images.float() / 255
    losses = []
    for classifier in (stage_one, trainer.classifier()):
        of_real, of_made = (trainer.offset - classifier(images).logsumexp(1) for images in (real, made))
        losses.append(float(F.softplus(of_real).mean() + F.softplus(-of_made).mean()))
    assert losses[1] < losses[0] - 0.2


def test_a_class_that_is_lost_has_no_energy_term(
    data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier
) -> None:
    losses = []
    for agreement in (1.0, 0.0):
        trainer = trainer_of(data, plan, stage_one)
        trainer.agreement.fill_(agreement)
        losses.append(trainer.advance()[0])
    assert losses[1] < losses[0] - 0.1


def test_what_stage_one_does_not_recognise_lowers_the_agreement(
    data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier
) -> None:
    trainer = trainer_of(data, plan, stage_one)
    trainer.sampler.settings = trainer.sampler.settings.with_values(step_size=1e-6)
    for _ in range(3):
        trainer.advance()
    # Starts that stayed what they were: photographs of other classes, and noise, are among them.
    assert trainer.agreement.min() < 1
    assert trainer.agreement.min() > 0


def test_the_kernel_distance_is_the_kernel_inception_distance_of_its_features() -> None:
    generator = torch.Generator().manual_seed(0)
    real, same = (torch.randn(200, 5, generator=generator) for _ in range(2))
    other = same * 2 + 1
    for generated in (same, other):
        expected = kernel_mmd(real.double().numpy(), generated.double().numpy(), verbose=False)
        assert kernel_distance(real, generated) == pytest.approx(float(expected), rel=1e-6)
    assert abs(kernel_distance(real, same)) < 0.1 < kernel_distance(real, other)


def test_without_epochs_the_fine_tuned_classifier_goes_to_stage_two(
    data: TrainingData, stage_one: RobustClassifier, tmp_path: Path
) -> None:
    first = tmp_path / "first.safetensors"
    save_classifier(stage_one, first)
    assert TINY.contrastive
    recipe = replace(TINY, fine_tune=str(first), contrastive=replace(TINY.contrastive, steps=2))
    paths = RunPaths(tmp_path / "second.safetensors", tmp_path / "second-training")
    seen: list[Progress] = []
    train(data, recipe, paths, INFO, CPU, 0, seen.append)
    # What nothing was done of yet is not estimated.
    assert (seen[0].seconds_left, "left" in str(seen[0])) == (None, False)
    assert any("Stage two, step 2 of 2, 0:" in str(progress) for progress in seen)
    log = json.loads((paths.folder / "log.json").read_text("utf-8"))["history"]
    assert [(entry["stage"], entry["contrastive_step"], entry["loss"] is None) for entry in log] == [
        (1, 0, True),
        (2, 0, True),
        (2, 2, False),
    ]
    assert log[0]["clean"] == log[1]["clean"]
    assert load_classifier(paths.result).card.training["fine_tuned"] == "first"
    others = replace(data, labels=("other", "red"))
    elsewhere = RunPaths(tmp_path / "x.safetensors", tmp_path / "x")
    for pictures, begun in ((others, recipe), (data, TINY)):
        with pytest.raises(ValueError, match="a classifier that has the classes of the pictures"):
            train(pictures, begun, elsewhere, INFO, CPU, 0)
    assert not list(tmp_path.glob("x*"))
