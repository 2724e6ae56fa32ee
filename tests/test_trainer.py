"""Adversarial training, step by step: the attack, the plan of a recipe, the trainer, accuracies."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import (
    ClassifierCard,
    RobustClassifier,
    bundled_classifiers,
    load_classifier,
    open_classifier,
    save_classifier,
)
from robust_synthesis.models.architectures import build_network
from robust_synthesis.synthesis.preconditioning import Preconditioning
from robust_synthesis.training import (
    RECIPES,
    Attack,
    TrainingData,
    read_data,
)
from robust_synthesis.training import evaluation as evaluation_module
from robust_synthesis.training.adversarial import AdversarialTrainer
from robust_synthesis.training.attack import pgd_attack, preconditioned_attack
from robust_synthesis.training.data import Pictures
from robust_synthesis.training.evaluation import accuracy, evaluate
from robust_synthesis.training.fine_tuning import classifier_to_fine_tune, fine_tuning, layers_to_fine_tune
from tests.clip_files import random_clip, write_clip
from tests.pictures_to_train_on import TINY, make_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_data(make_folder(tmp_path_factory.mktemp("data"), "red", "green"), TINY.input_size)


@given(
    norm=st.sampled_from(("l2", "linf")),
    epsilon=st.floats(0.01, 5),
    steps=st.integers(1, 3),
    rel_step_size=st.floats(0.1, 2),
    restarts=st.integers(1, 3),
)
def test_an_attack_stays_in_its_ball_and_is_a_picture(
    tiny: RobustClassifier,
    norm: Literal["l2", "linf"],
    epsilon: float,
    steps: int,
    rel_step_size: float,
    restarts: int,
) -> None:
    images = torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(steps))
    attack = Attack(norm, epsilon, steps, rel_step_size, restarts)
    found = pgd_attack(tiny, images, torch.tensor([0, 1, 2, 0]), attack)
    change = (found - images).flatten(1)
    length = change.norm(dim=1) if norm == "l2" else change.abs().amax(1)
    assert length.max() <= epsilon * (1 + 1e-4) + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1


def test_classes_and_their_probabilities_are_attacked_alike(tiny: RobustClassifier) -> None:
    images, classes = torch.rand(4, 3, 24, 24), torch.tensor([0, 1, 2, 0])
    found = []
    for targets in (classes, F.one_hot(classes, len(tiny.labels)).float()):
        torch.manual_seed(0)
        found.append(pgd_attack(tiny, images, targets, Attack("l2", 0.5, 3, 0.5, restarts=2)))
    torch.testing.assert_close(*found)


def test_a_preconditioned_attack_stays_in_its_ball_and_is_smoother_than_a_plain_one(canvas: RobustClassifier) -> None:
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    classes, attack = canvas(images).argmax(1), Attack("l2", 4.0, 2, 0.94)
    metric = Preconditioning(whitening=0.8, decay_power=1.2)
    found = preconditioned_attack(canvas, images, classes, attack, metric)
    assert (found - images).flatten(1).norm(dim=1).max() <= 4.0 * (1 + 1e-4)
    assert F.cross_entropy(canvas(found), classes) > F.cross_entropy(canvas(images), classes) + 1
    plain = pgd_attack(canvas, images, classes, attack)

    def roughness(change: Tensor) -> float:
        return float(change.diff(dim=3).norm() / change.norm())

    assert roughness(found - images) < 0.7 * roughness(plain - images)


def test_half_of_a_batch_is_attacked_along_the_samplers_gradients(data: TrainingData) -> None:
    recipe = replace(TINY, warmup=0.0)
    logits_of = build_network(recipe.architecture, 2).eval()
    images, targets = torch.rand(4, 3, TINY.input_size, TINY.input_size), torch.eye(2)[[0, 1, 0, 1]]
    lengths = []
    for epsilon in (0.0, 9.0):
        plan = replace(recipe, preconditioned_epsilon=epsilon).plan(len(data.train))
        trainer = AdversarialTrainer(data.train, data.labels, plan, CPU)
        lengths.append((trainer.attacked(logits_of, images, targets) - images).flatten(1).norm(dim=1))
    assert lengths[0].max() <= TINY.attack.epsilon * (1 + 1e-4)
    assert lengths[1][:2].min() > TINY.attack.epsilon
    assert lengths[1][2:].max() <= TINY.attack.epsilon * (1 + 1e-4)


def test_an_attack_deceives_where_noise_does_not(canvas: RobustClassifier) -> None:
    images = torch.rand(6, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    logits = canvas(images)
    classes = logits.argmax(1)
    before = F.cross_entropy(logits, classes)
    found = canvas(pgd_attack(canvas, images, classes, Attack("l2", 4.0, 5, 0.4)))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    moved = (images + 4.0 * noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)
    assert F.cross_entropy(found, classes) > before + 1
    assert F.cross_entropy(canvas(moved), classes) < before + 0.1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"norm": "none"}, "its norm is l2 or linf"),
        ({"epsilon": 0.0}, "must be a number above 0"),
        ({"epsilon": float("nan")}, "must be a number above 0"),
        ({"steps": 0}, "must be 1 or more"),
        ({"restarts": 0}, "must be 1 or more"),
        ({"rel_step_size": 0.0}, "must be above 0"),
    ],
)
def test_an_impossible_attack_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(TINY.attack, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan_for_any_number_of_pictures(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.summary
    for count in (20, 300, 13_000, 1_000_000):
        plan = recipe.plan(count)
        network = build_network(plan.architecture, 2)
        assert network(torch.zeros(1, 3, recipe.input_size, recipe.input_size)).shape == (1, 2)
        assert 1 <= plan.epochs <= recipe.max_epochs
        assert 1 <= plan.batch_size <= min(count, recipe.batch_size)
        assert plan.steps == plan.epochs * plan.steps_per_epoch >= 1
        assert plan.contrastive
        assert plan.contrastive.steps >= 1
        assert 1 <= plan.contrastive.sampled <= plan.contrastive.batch_size <= count
    assert recipe.plan(13_000).batch_size == recipe.batch_size
    assert recipe.plan(13_000).learning_rate == recipe.learning_rate * recipe.batch_size / 128
    assert recipe.plan(13_000, epochs=3).epochs == 3


def test_few_pictures_start_from_a_bundled_classifier_without_cutmix(data: TrainingData) -> None:
    recipe = replace(RECIPES["quick"], input_size=TINY.input_size)
    few, many = recipe.plan(len(data.train), epochs=1), recipe.plan(13_000)
    assert (few.cutmix_prob, few.pretrained) == (0.0, "canvas")
    assert (many.cutmix_prob, many.pretrained) == (0.5, "")
    further = replace(RECIPES["quick"], fine_tune="canvas")
    assert [further.plan(count).cutmix_prob for count in (300, 30_000)] == [0.0, 0.5]
    ours = AdversarialTrainer(data.train, data.labels, few, CPU).network.state_dict()
    canvas = load_classifier(bundled_classifiers()["canvas"]).network.state_dict()
    same = {name for name, tensor in canvas.items() if torch.equal(tensor, ours[name])}
    assert {"conv1.weight", "layer1.0.conv1.weight", "layer3.0.conv2.weight", "layer3.0.bn2.running_mean"} <= same
    assert not {"layer4.0.conv1.weight", "fc.weight"} & same


@pytest.mark.parametrize("name", ["canvas", "seasons"])
def test_a_classifier_is_fine_tuned_whatever_its_network_and_the_number_of_pictures(
    data: TrainingData, name: str
) -> None:
    recipe = fine_tuning(replace(RECIPES["quick"], input_size=TINY.input_size), name)
    ours = AdversarialTrainer(data.train, data.labels, recipe.plan(len(data.train), epochs=1), CPU).network.state_dict()
    begun = load_classifier(bundled_classifiers()[name])
    theirs = begun.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert [key for key, tensor in theirs.items() if not torch.equal(tensor, ours[key])] == ["fc.weight", "fc.bias"]
    assert layers_to_fine_tune(begun, begun.labels).keys() == theirs.keys()


def test_a_network_of_another_family_is_fine_tuned_with_its_normalisation(data: TrainingData, tmp_path: Path) -> None:
    file = tmp_path / "first.safetensors"
    mobile = {"name": "mobilenet_v2"}
    card = ClassifierCard("first", mobile, ("a", "b", "c"), 32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save_classifier(RobustClassifier(build_network(mobile, 3), card), file)
    plan = fine_tuning(TINY, str(file)).plan(len(data.train), epochs=1)
    trainer = AdversarialTrainer(data.train, data.labels, plan, CPU)
    theirs = load_classifier(file).network.state_dict()
    ours = trainer.network.state_dict()
    new = [key for key, tensor in theirs.items() if not torch.equal(tensor, ours[key])]
    assert new == ["classifier.1.weight", "classifier.1.bias"]
    assert (trainer.card.mean, trainer.card.std) == (card.mean, card.std)
    assert trainer.advance()[0] > 0


def test_a_recipe_of_another_network_says_how_to_take_the_network_over() -> None:
    recipe = replace(RECIPES["quick"], fine_tune="seasons")
    with pytest.raises(ValueError, match=r"'seasons' has another network .* Make the recipe with `fine_tuning`"):
        classifier_to_fine_tune(recipe)
    assert classifier_to_fine_tune(fine_tuning(recipe, "seasons")).labels == ("summer", "winter")


def test_a_clip_has_no_classes_and_is_not_fine_tuned(tmp_path: Path) -> None:
    file = open_classifier(write_clip(random_clip("vit"), tmp_path, "safetensors")).source
    with pytest.raises(ValueError, match="is a CLIP, which has no classes"):
        fine_tuning(TINY, str(file))


def test_mixed_pictures_are_learned(data: TrainingData) -> None:
    """Of a mixed picture the loss stays higher, and still falls."""
    losses = []
    for cutmix_prob in (0.0, 1.0):
        plan = replace(TINY, small_data_cutmix_prob=cutmix_prob).plan(len(data.train), epochs=20)
        trainer = AdversarialTrainer(data.train, data.labels, plan, CPU)
        losses.append([trainer.advance()[0] for _ in range(plan.steps)])
    plain, mixed = (sum(loss[-10:]) / 10 for loss in losses)
    assert plain < mixed < sum(losses[1][:3]) / 3


def test_the_average_and_the_learning_rate_follow_their_schedules(data: TrainingData) -> None:
    plan = TINY.plan(len(data.train))
    trainer, resumed = (AdversarialTrainer(data.train, data.labels, plan, CPU) for _ in range(2))
    average = trainer.network.state_dict()["fc.weight"].clone()
    for step in range(1, plan.steps + 1):
        trainer.advance()
        decay = min(TINY.ema_decay, step / (step + 10))
        average = decay * average + (1 - decay) * trainer.network.state_dict()["fc.weight"]
        resumed.restore(trainer.state(), step)
        rates = [each.optimizer.param_groups[0]["lr"] / plan.learning_rate for each in (trainer, resumed)]
        progress = step / plan.steps
        falling = 0.5 + 0.5 * math.cos(math.pi * (progress - 0.1) / 0.9)
        assert rates == pytest.approx([progress / 0.1 if progress < 0.1 else falling] * 2, abs=1e-12)
        assert rates[0] == rates[1]
    torch.testing.assert_close(trainer.averaged_network.state_dict()["fc.weight"], average)


def test_a_misclassified_picture_is_not_robust(tiny: RobustClassifier) -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    predicted = tiny(images.float() / 255).argmax(1)
    found = accuracy(tiny, Pictures(images, (predicted + 1) % 3), Attack("l2", 0.1, 1, 1.0))
    assert (found.clean, found.robust) == (0, 0)


def test_the_final_figures_fall_with_epsilon_and_are_of_so_many_pictures_at_most(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = AdversarialTrainer(data.train, data.labels, TINY.plan(len(data.train), epochs=20), CPU)
    for _ in range(trainer.steps):
        trainer.advance()
    tested, seen = replace(data, test=data.train), []
    attack = replace(TINY.attack, epsilon=3.0)
    monkeypatch.setattr(evaluation_module, "FINAL_PICTURES", 20)
    found = evaluate(trainer.classifier(), tested, attack, report=lambda *counts: seen.append(counts))
    assert found.measured_on == f"20 of the {len(data.train)} pictures of the test split"
    assert seen[0] == (20, 20)
    assert found.clean_accuracy > 0.8
    shares = list(found.robust_accuracies.values())
    assert found.clean_accuracy >= shares[0] >= shares[1] >= shares[2]
    assert shares[2] < found.clean_accuracy
    assert found.robust_accuracy == found.robust_accuracies["3"]
    # What 1.5 deceives is not attacked with 3 again.
    assert seen[1][1] == 20 * shares[0]
