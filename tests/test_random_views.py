"""The gradient averaged over random views of a picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import AscentSettings, TranslateSettings, ascend, class_loss, preset, translate
from robust_synthesis.synthesis.mix import Mix
from robust_synthesis.synthesis.random_views import CROP, CROP_WEIGHT, SCALES, random_view

VIEWS = 6


def places(height: int, width: int) -> Tensor:
    """A picture `[1, 3, height, width]` whose first two channels say where a pixel is, across and down, from 0 to 1."""
    across, down = ((torch.arange(side) + 0.5) / side for side in (width, height))
    channels = across.expand(height, width), down[:, None].expand(height, width), torch.zeros(height, width)
    return torch.stack(channels)[None]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 112)])
def test_views_are_whole_pictures_and_crops_in_turn(height: int, width: int) -> None:
    picture = places(height, width)
    corners = set()
    for number in range(64):
        seen = random_view(picture, number)
        assert seen.shape == picture.shape
        assert seen.min() >= 0
        assert seen.max() <= 1
        # Linear, so that the middle part tells how much of the picture is shown.
        shown = 2 * (seen[0, 0, 0, 3 * width // 4 - 1] - seen[0, 0, 0, width // 4]) * (width / 2) / (width / 2 - 1)
        if number % 2:
            assert float(shown) == pytest.approx(CROP, abs=0.01)
        else:
            assert SCALES[0] - 0.01 <= float(shown) <= SCALES[1] + 0.01
        corners.add(tuple(seen[0, :2, 0, 0].tolist()))
    assert len(corners) == 64


def test_a_view_of_a_picture_is_the_same_in_any_batch(tiny: RobustClassifier) -> None:
    images = torch.rand(3, 3, tiny.input_size, tiny.input_size)
    for number in (4, 5):
        torch.testing.assert_close(random_view(images, number)[1:2], random_view(images[1:2], number))


def test_a_step_follows_the_mean_of_its_views(tiny_classifier: Callable[..., RobustClassifier]) -> None:
    network = tiny_classifier().double()
    side = network.input_size
    start = 0.3 + 0.4 * torch.rand(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = class_loss(network, Mix.single(1).vector(len(network.labels)).double(), "logit")
    settings = AscentSettings(steps=2, step_size=0.5, views=VIEWS, keep_best=False)
    seen: list[tuple[int, Tensor]] = []

    made = ascend(start, loss, settings, callback=lambda n, losses, _: seen.append((n, losses)))

    expected = start
    for step in range(2):
        leaf = expected.clone().requires_grad_()
        numbers = range(step * VIEWS, (step + 1) * VIEWS)
        views = [(CROP_WEIGHT if n % 2 else 1.0) * loss(random_view(leaf, n)) for n in numbers]
        (gradient,) = torch.autograd.grad(torch.stack(views).sum(), leaf)
        lengths = gradient.square().sum((1, 2, 3), keepdim=True).sqrt()
        expected = (expected - 0.5 * gradient / lengths).clamp(0, 1)
    torch.testing.assert_close(made, expected)
    assert [step for step, _ in seen] == [0] * (VIEWS + 1) + [1] * (VIEWS + 1)
    torch.testing.assert_close(seen[0][1], loss(random_view(start, 0)))


def test_a_step_of_many_views_stops_in_the_middle(tiny: RobustClassifier) -> None:
    class StopError(Exception):
        pass

    calls = []

    def stop(step: int, _losses: Tensor, _picture: object) -> None:
        calls.append(step)
        if len(calls) == 3:
            raise StopError

    settings = preset(TranslateSettings, "text views").settings
    with pytest.raises(StopError):
        translate(tiny, torch.rand(1, 3, 32, 32), Mix.single(0), settings, [0], callback=stop)
    assert calls == [0, 0, 0]


def test_there_is_a_view_at_least() -> None:
    with pytest.raises(ValueError, match="Views is 0; it must be at least 1"):
        AscentSettings(steps=1, step_size=1.0, views=0)
