"""The loop against the paper's formulas, and what holds for any picture, mask and network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import (
    CONSTRAINTS,
    OBJECTIVES,
    AscentSettings,
    Constraint,
    TranslateSettings,
    ascend,
    class_loss,
    class_seeds,
    classify,
    natural_noise,
    parse_class_expression,
    preset,
    translate,
)

SIZE = 96
EXACT = 1e-5


def reference(
    classifier: RobustClassifier, start: Tensor, target: int, norm: str, eps: float, step: float, steps: int
) -> tuple[list[Tensor], Tensor]:
    """One picture `[3, H, W]`, float64, as arXiv 1906.09453 writes it: all iterates, and the best of them."""
    iterates, losses = [start], []
    for count in range(steps + 1):
        x = iterates[-1].clone().requires_grad_()
        loss = F.cross_entropy(classifier(x[None]), torch.tensor([target]))
        losses.append(loss.item())
        if count == steps:
            break
        loss.backward()
        assert x.grad is not None
        with torch.no_grad():
            if norm == "l2":
                moved = x - step * x.grad / x.grad.square().sum().sqrt()
                length = (moved - start).square().sum().sqrt()
                if length > eps:
                    moved = start + (moved - start) * eps / length
            else:
                moved = x - step * torch.sign(x.grad)
                moved = torch.minimum(torch.maximum(moved, start - eps), start + eps)
            iterates.append(moved.clamp(0, 1))
    return iterates, iterates[losses.index(min(losses))]


# The paper's own settings, a ball so small that the ascent runs along its surface, and the other norm.
@pytest.mark.parametrize(
    "settings",
    [
        preset(TranslateSettings, "paper generate").settings.ascent.at_size(SIZE, SIZE),
        AscentSettings(steps=20, step_size=0.5, constraint=Constraint("l2", 2.0)),
        AscentSettings(steps=20, step_size=0.01, constraint=Constraint("linf", 0.05)),
    ],
    ids=["paper", "small ball", "linf"],
)
def test_each_iterate_is_the_papers(settings: AscentSettings) -> None:
    classifier = load_classifier(bundled_classifiers()["canvas"]).double()
    assert classifier.seeds is not None
    target = classifier.labels.index("church")
    mix = parse_class_expression("church", classifier.labels)
    starts = class_seeds(classifier.seeds, mix, SIZE, SIZE, [1]).double()
    starts = torch.cat([starts, natural_noise(SIZE, SIZE, [2]).double()])
    seen: list[Tensor] = []

    result = ascend(
        starts,
        class_loss(classifier, mix.vector(len(classifier.labels)), "cross-entropy"),
        settings,
        callback=lambda _step, _losses, picture: seen.append(picture().clone()),
    )

    assert len(seen) == settings.steps
    worst = 0.0
    for index, start in enumerate(starts):
        iterates, best = reference(
            classifier,
            start,
            target,
            settings.constraint.name,
            settings.constraint.epsilon,
            settings.step_size,
            settings.steps,
        )
        differences = [(ours[index] - theirs).abs().max() for ours, theirs in zip(seen, iterates, strict=False)]
        worst = max(worst, *(float(value) for value in differences), float((result[index] - best).abs().max()))
        assert (best - start).abs().max() > 0.01, "the reference went nowhere, so agreeing with it says nothing"
    print(f"greatest difference from the reference: {worst:.2e}")  # noqa: T201
    assert worst <= EXACT


@st.composite
def ascents(draw: st.DrawFn) -> tuple[Tensor, Tensor | None, AscentSettings]:
    """Random pictures of any shape, perhaps a mask with zeros, ones and greys, and settings."""
    count, height, width = draw(st.integers(1, 3)), draw(st.integers(16, 70)), draw(st.integers(16, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    # Beyond 0 and 1 before the clamp: pictures with black and white areas.
    start = (torch.rand(count, 3, height, width, generator=generator) * 1.4 - 0.2).clamp(0, 1)
    mask = (torch.rand(count, 1, height, width, generator=generator) * 3 - 1).clamp(0, 1)
    norm = draw(st.sampled_from(CONSTRAINTS))
    settings = AscentSettings(
        steps=draw(st.integers(1, 5)),
        step_size=draw(st.floats(0.01, 20)),
        constraint=Constraint(norm, draw(st.floats(0.01, 3))),
        final_step=draw(st.floats(0, 1)),
        jitter=draw(st.sampled_from([0, 1, 8, 120])),
        keep_best=draw(st.booleans()),
    )
    return start, mask if draw(st.booleans()) else None, settings


@given(case=ascents(), objective=st.sampled_from(OBJECTIVES))
def test_an_ascent_stays_where_it_may_go(
    tiny: RobustClassifier,
    case: tuple[Tensor, Tensor | None, AscentSettings],
    objective: str,
) -> None:
    start, mask, settings = case
    loss = class_loss(tiny, torch.tensor([0.0, 1.0, -0.5]), objective)  # type: ignore[arg-type]
    before = start.clone()

    result = ascend(start, loss, settings, mask)

    assert torch.equal(start, before), "the picture that came in was written to"
    assert result.shape == start.shape
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1
    change = result - start
    if settings.constraint.name == "l2":
        assert change.flatten(1).norm(dim=1).max() <= settings.constraint.epsilon * (1 + 1e-4)
    if settings.constraint.name == "linf":
        assert change.abs().max() <= settings.constraint.epsilon + 1e-6
    if mask is not None:
        kept = (mask == 0).expand_as(start)
        assert torch.equal(result[kept], start[kept])
    if settings.keep_best:
        assert (loss(result) <= loss(start) + 1e-6).all()
    assert torch.equal(result, ascend(start, loss, settings, mask)), "the same inputs gave another picture"


@given(case=ascents())
def test_a_mask_of_zeros_returns_the_picture(
    tiny: RobustClassifier, case: tuple[Tensor, Tensor | None, AscentSettings]
) -> None:
    start, _, settings = case
    loss = class_loss(tiny, torch.tensor([0.0, 1.0, 0.0]), "logit")

    result = ascend(start, loss, settings, torch.zeros_like(start[:, :1]))

    assert torch.equal(result, start)


@given(
    norm=st.sampled_from(CONSTRAINTS),
    magnitude=st.floats(-44, 37),
    seed=st.integers(0, 1000),
)
@example(norm="l2", magnitude=-30, seed=0)
@example(norm="none", magnitude=30, seed=0)
def test_a_step_has_its_length_however_small_or_large_the_gradient(norm: str, magnitude: float, seed: int) -> None:
    gradient = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    gradient = (gradient / gradient.abs().max()).double().mul(10.0**magnitude).float()
    gradient[1] = 0

    direction = Constraint(norm, 1.0).direction(gradient)  # type: ignore[arg-type]

    assert torch.equal(direction[1], torch.zeros_like(direction[1]))
    if norm == "linf":
        assert torch.equal(direction[0], gradient[0].sign())
    elif magnitude > -36:
        assert float(direction[0].norm()) == pytest.approx(1, abs=1e-4)
    else:
        # Subnormal numbers have few digits: too short a step will do, too long a one would not.
        assert direction[0].norm() <= 1.001


def test_a_picture_without_gradient_stays(tiny_classifier: Callable[..., RobustClassifier]) -> None:
    classifier = tiny_classifier(activation="relu")
    with torch.no_grad():
        classifier.network.get_classifier().weight.zero_()
    start = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loss = class_loss(classifier, torch.tensor([1.0, 0.0, 0.0]), "cross-entropy")

    for norm in CONSTRAINTS:
        assert torch.equal(
            ascend(start, loss, AscentSettings(steps=3, step_size=1.0, constraint=Constraint(norm, 1.0))), start
        )


def test_the_last_iterate_is_returned_when_the_best_is_not_kept(tiny: RobustClassifier) -> None:
    start = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loss = class_loss(tiny, torch.tensor([1.0, 0.0, 0.0]), "logit")
    longer = AscentSettings(steps=4, step_size=3.0, constraint=Constraint("none"), keep_best=False)
    shorter = AscentSettings(steps=3, step_size=3.0, constraint=Constraint("none"), keep_best=False)
    seen: list[Tensor] = []

    ascend(start, loss, longer, callback=lambda _step, _losses, picture: seen.append(picture().clone()))

    assert torch.equal(ascend(start, loss, shorter), seen[3])


@pytest.mark.parametrize(
    ("steps", "step_size"), [(0, 1.0), (-1, 1.0), (5, 0.0), (5, -1.0), (5, math.inf), (5, math.nan)]
)
def test_impossible_steps_are_refused(steps: int, step_size: float) -> None:
    with pytest.raises(ValueError, match=r"(?i)step"):
        TranslateSettings.from_values(steps=steps, step_size=step_size, epsilon=1.0, norm="l2", objective="logit")


@pytest.mark.parametrize(
    ("norm", "epsilon"), [("l2", 0.0), ("linf", -1.0), ("l2", math.inf), ("l2", math.nan), ("l7", 1.0)]
)
def test_impossible_constraints_are_refused(norm: str, epsilon: float) -> None:
    with pytest.raises(ValueError, match=r"(?i)epsilon|constraint"):
        TranslateSettings.from_values(
            steps=5,
            step_size=1.0,
            epsilon=epsilon,
            norm=norm,
            objective="logit",
        )


def photo(height: int, width: int) -> Tensor:
    """Middle grey with the finest detail there is: every pixel differs from its neighbours."""
    detail = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    return 0.35 + 0.3 * detail


@pytest.mark.parametrize(("height", "width"), [(360, 640), (53, 37), (300, 40), (40, 300), (1, 1), (700, 9)])
def test_odd_sizes_keep_their_size_and_change(canvas: RobustClassifier, height: int, width: int) -> None:
    picture = photo(height, width)
    mix = parse_class_expression("church", canvas.labels)

    result = translate(canvas, picture, mix, preset(TranslateSettings, "refine").settings, [0])

    assert result.shape == picture.shape
    assert result.isfinite().all()
    assert (result - picture).abs().max() > 0.002


def test_a_large_picture_keeps_its_detail(canvas: RobustClassifier) -> None:
    picture = photo(360, 640)
    mix = parse_class_expression("church", canvas.labels)

    result = translate(canvas, picture, mix, preset(TranslateSettings, "refine").settings, [0])

    assert result.min() > 0, "the clamp must stay out of this"
    assert result.max() < 1
    # The classifier works on 72 x 128: the change may hold what fits there, a fifth of the frequencies.
    spectrum = torch.fft.fft2(result - picture).abs().square().sum((0, 1))
    rows, columns = torch.fft.fftfreq(360).abs()[:, None], torch.fft.fftfreq(640).abs()[None]
    fine = torch.maximum(rows, columns) > 0.15
    assert spectrum[fine].sum() / spectrum.sum() < 0.02
    # Towards the class, though: the classifier sees more of what was asked for.
    church = canvas.labels.index("church")
    assert classify(canvas, result)[0, church] > 1.2 * classify(canvas, picture)[0, church]


def test_without_a_class_each_picture_moves_towards_what_it_shows(canvas: RobustClassifier) -> None:
    assert canvas.seeds is not None
    starts = [
        class_seeds(canvas.seeds, parse_class_expression(name, canvas.labels), SIZE, SIZE, [0])
        for name in ("sea", "church")
    ]
    pictures = torch.cat(starts)
    guesses: Sequence[int] = canvas(pictures).argmax(1).tolist()

    result = translate(canvas, pictures, None, preset(TranslateSettings, "refine").settings, [0, 0])

    assert guesses[0] != guesses[1], "two pictures of one class would not show that each has its own"
    before, after = canvas(pictures).softmax(1), canvas(result).softmax(1)
    for index, guess in enumerate(guesses):
        assert after[index, guess] > before[index, guess]


@pytest.mark.parametrize("side", [32, 128])
def test_a_grey_mask_shows_its_share_of_the_change_once(tiny: RobustClassifier, side: int) -> None:
    """At the classifier's own size and put back at full resolution alike."""
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    settings = TranslateSettings.from_values(steps=1, step_size=2.0, norm="none", objective="logit", keep_best=False)
    mix = parse_class_expression("class_1", tiny.labels)
    whole = translate(tiny, images, mix, settings, [0]) - images
    grey = translate(tiny, images, mix, settings, [0], torch.full((1, 1, side, side), 0.5)) - images
    assert whole.abs().max() > 0.01
    torch.testing.assert_close(grey, whole / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", CONSTRAINTS)
def test_reach_scales_the_steps_and_the_ball_of_each_picture(tiny: RobustClassifier, norm: str) -> None:
    # Grey enough that no value reaches 0 or 1.
    start = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    loss = class_loss(tiny, torch.tensor([1.0, 0.0, 0.0]), "logit")
    size, epsilon = (0.01, 0.025) if norm == "linf" else (0.4, 1.0)
    scale = torch.tensor([0.5, 1.0, 2.0])

    def run(pictures: Tensor, share: float, scale: Tensor | None = None) -> Tensor:
        constraint = Constraint(norm, epsilon * share)  # type: ignore[arg-type]
        return ascend(
            pictures, loss, AscentSettings(steps=6, step_size=size * share, constraint=constraint), scale=scale
        )

    result = run(start, 1.0, scale.view(-1, 1, 1, 1))

    for index, share in enumerate(scale.tolist()):
        alone = run(start[index : index + 1], share)
        torch.testing.assert_close(result[index : index + 1], alone, rtol=0, atol=1e-5)
    assert torch.equal(run(start, 1.0, torch.zeros(3, 1, 1, 1)), start)


def test_every_step_lands_on_the_further_projection(tiny: RobustClassifier) -> None:
    start = torch.full((1, 3, 32, 32), 0.5)
    loss = class_loss(tiny, torch.tensor([1.0, 0.0, 0.0]), "logit")
    seen: list[Tensor] = []

    def same_colours(images: Tensor) -> Tensor:
        return images - images.mean(1, keepdim=True) + 0.5

    result = ascend(
        start,
        loss,
        AscentSettings(steps=5, step_size=0.5, constraint=Constraint("none"), keep_best=False),
        callback=lambda _step, _losses, picture: seen.append(picture()),
        projection=same_colours,
    )

    for images in (*seen, result):
        torch.testing.assert_close(images.mean(1), torch.full((1, 32, 32), 0.5))
    assert (result - start).abs().max() > 0.01
