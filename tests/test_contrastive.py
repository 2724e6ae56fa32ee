"""Stage two: the sampler's chains, the energy that tells them from pictures, and what is watched on the way."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch_fidelity.metric_kid import kernel_mmd  # type: ignore[import-untyped]

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import AscentSettings, TranslateSettings, ascend, class_loss, preset
from robust_synthesis.training import TrainingData, TrainingPlan, read_data
from robust_synthesis.training.adversarial import AdversarialTrainer
from robust_synthesis.training.chains import Chains
from robust_synthesis.training.contrastive import ContrastiveTrainer
from robust_synthesis.training.evaluation import kernel_distance
from robust_synthesis.training.seeds import fit_all_seeds
from tests.pictures_to_train_on import TINY, make_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_data(make_folder(tmp_path_factory.mktemp("data"), "red", "green"), TINY.input_size)


@pytest.fixture(scope="module")
def plan(data: TrainingData) -> TrainingPlan:
    assert TINY.contrastive
    return replace(TINY, contrastive=replace(TINY.contrastive, rel_work=2.0)).plan(len(data.train))


@pytest.fixture(scope="module")
def stage_one(data: TrainingData, plan: TrainingPlan) -> RobustClassifier:
    trainer = AdversarialTrainer(data.train, data.labels, plan, CPU)
    for _ in range(plan.steps):
        trainer.advance()
    return trainer.classifier(fit_all_seeds(data.train, len(data.labels), TINY.input_size))


def trainer_of(data: TrainingData, plan: TrainingPlan, classifier: RobustClassifier) -> ContrastiveTrainer:
    return ContrastiveTrainer(data.train, copy.deepcopy(classifier), plan, CPU)


@given(parts=st.lists(st.integers(1, 4), min_size=1, max_size=4), jitter=st.integers(0, 3))
def test_an_ascent_in_parts_is_the_whole(tiny: RobustClassifier, parts: list[int], jitter: int) -> None:
    start = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    loss = class_loss(tiny, torch.tensor([1.0, 0.0, 0.0]), "logit")
    settings = AscentSettings(steps=sum(parts), step_size=0.5, final_step=0.2, jitter=jitter, keep_best=False)
    images, taken = start, 0
    for steps in parts:
        images = ascend(images, loss, settings, steps=range(taken, taken + steps))
        taken += steps
    torch.testing.assert_close(images, ascend(start, loss, settings), rtol=0, atol=1e-5)


def test_chains_go_on_until_they_are_long_enough(data: TrainingData, stage_one: RobustClassifier) -> None:
    assert stage_one.seeds is not None
    chains = Chains(6, preset(TranslateSettings, "generate").settings, stage_one.seeds, data.train)
    torch.manual_seed(0)
    lengths: list[int] = []
    fallen: list[float] = []
    for _ in range(20):
        before, classes, taken = chains.images.clone(), chains.targets.clone(), chains.taken.clone()
        images, targets, ended = chains.advance(stage_one, 7)
        assert images.shape == (6, 3, 24, 24)
        assert 0 <= images.min() <= images.max() <= 1
        goes_on = ((taken >= 0) & (taken < 7)).repeat_interleave(2)
        assert torch.equal(targets[goes_on], classes[goes_on])
        assert torch.equal(ended, (chains.taken == 7).repeat_interleave(2))
        lengths += chains.taken.tolist()
        losses = [F.cross_entropy(stage_one(each), targets, reduction="none") for each in (before, images)]
        fallen += (losses[0] - losses[1])[goes_on].tolist()
    assert set(lengths) <= set(range(1, 8))
    assert lengths.count(7) >= 3
    assert len(fallen) > 10
    assert sum(fallen) / len(fallen) > 0.1
    assert min(fallen) > -0.1


def test_stage_two_teaches_what_is_real(data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier) -> None:
    """On the same pictures, those of the sampler are told from real ones better after it than before."""
    trainer = trainer_of(data, plan, stage_one)
    statistics = {name: t.clone() for name, t in trainer.network.named_buffers()}
    trainer.length = trainer.max_length
    for _ in range(plan.contrastive.steps if plan.contrastive else 0):
        trainer.advance()
    for name, buffer in trainer.network.named_buffers():
        assert torch.equal(buffer, statistics[name]), name
    made, real = trainer.chains.images, data.train.images.float() / 255
    before, after = (
        float(classifier(real).logsumexp(1).mean() - classifier(made).logsumexp(1).mean())
        for classifier in (stage_one, trainer.classifier())
    )
    assert after > before + 0.5


def test_a_class_that_is_lost_has_no_energy_term(
    data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier
) -> None:
    losses = []
    for agreement in (1.0, 0.0):
        trainer = trainer_of(data, plan, stage_one)
        trainer.agreement.fill_(agreement)
        # Nothing ends in the first step, so the agreement stays.
        trainer.length = trainer.max_length
        losses.append(trainer.advance()[0])
    assert losses[1] < losses[0] - 0.1


def test_what_stage_one_does_not_recognise_lowers_the_agreement(
    data: TrainingData, plan: TrainingPlan, stage_one: RobustClassifier
) -> None:
    trainer = trainer_of(data, plan, stage_one)
    trainer.length = trainer.max_length = 1
    trainer.chains.ascent = replace(trainer.chains.ascent, step_size=1e-6)
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
