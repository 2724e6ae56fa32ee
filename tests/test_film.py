"""The film of a climb, at every node that climbs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

Node = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""From IMAGE and animate to the outputs image and frames."""
STEPS = 5
CLIMB: dict[str, Any] = {
    "preset": "custom",
    "steps": STEPS,
    "step_size": 2.0,
    "epsilon": 5.0,
    "norm": "free",
    "final_step": 0.5,
    "jitter": 0,
}
MASKED = {"feather": 0, "penalty": 0.0, "detail_steps": 1}


@pytest.fixture(scope="module")
def classifier(pack: ModuleType) -> Any:
    return pack.RobustLoadClassifier.execute("canvas").result[0]


@pytest.fixture(params=["translate", "masked translate", "inpaint", "upsample", "paint"])
def node(request: pytest.FixtureRequest, pack: ModuleType, classifier: Any) -> Node:
    def run(image: Tensor, animate: int) -> tuple[Tensor, Tensor]:
        mask = torch.zeros(1, *image.shape[1:3])
        mask[:, 10:40, 10:40] = 1
        goal = {**CLIMB, "objective": "logit"}
        result: tuple[Tensor, Tensor] = {
            "translate": lambda: pack.RobustTranslate.execute(
                classifier, image, "sea", {**goal, "noise": 0.0, "detail_steps": 1}, animate=animate
            ),
            "masked translate": lambda: pack.RobustTranslate.execute(
                classifier, image, "sea", {**goal, "noise": 0.0, "detail_steps": 1}, mask=mask, animate=animate
            ),
            "inpaint": lambda: pack.RobustInpaint.execute(
                classifier, image, mask, "sea", {**goal, **MASKED, "fill": "surround"}, animate=animate
            ),
            "upsample": lambda: pack.RobustUpsample.execute(
                classifier, image, 2, "sea", {**goal, "consistent": True}, animate=animate
            ),
            "paint": lambda: pack.RobustActivationPaint.execute(
                classifier, image, mask, "137", 1.0, {**CLIMB, **MASKED}, animate=animate
            ),
        }[request.param]().result
        return result

    return run


def pictures(count: int) -> Tensor:
    return torch.rand(count, 64, 48, 3, generator=torch.Generator().manual_seed(0))


def test_a_film_begins_at_the_start_and_ends_at_the_result(node: Node) -> None:
    image, frames = node(pictures(1), 2)
    assert frames.shape == (4, *image.shape[1:])
    assert torch.equal(frames[-1:], image)
    changes = (frames[1:] - frames[:-1]).abs().amax((1, 2, 3))
    assert (changes > 0.001).all()


def test_a_film_changes_nothing_and_none_is_the_result(node: Node) -> None:
    image, frames = node(pictures(2), 0)
    assert torch.equal(image, frames)
    assert torch.equal(node(pictures(2), 1)[0], image)


def test_the_films_of_a_batch_follow_each_other(node: Node) -> None:
    image, frames = node(pictures(2), 3)
    assert len(frames) == 2 * 3
    assert torch.equal(frames[[2, 5]], image)
    torch.testing.assert_close(frames[3:], node(pictures(2)[1:], 3)[1], rtol=0, atol=0.02)


def test_outside_of_the_mask_no_frame_changes(pack: ModuleType, classifier: Any) -> None:
    image = torch.rand(1, 300, 200, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 300, 200)
    mask[:, 100:200, 50:120] = 1
    climb = {**CLIMB, **MASKED, "fill": "surround", "objective": "logit", "penalty": 1.0}
    frames = pack.RobustInpaint.execute(classifier, image, mask, "sea", climb, animate=1).result[1]
    outside = mask[0] == 0
    assert len(frames) > STEPS + 1
    for frame in frames:
        assert torch.equal(frame[outside], image[0][outside])


def test_a_film_that_the_memory_cannot_hold_is_refused(pack: ModuleType, classifier: Any) -> None:
    image = torch.rand(1, 1, 1, 3).expand(1, 4000, 4000, 3)
    climb = {**CLIMB, "steps": 2000, "objective": "logit", "noise": 0.0, "detail_steps": 0}
    with pytest.raises(ValueError, match=r"2001 x 4000 x 4000 pixels would take"):
        pack.RobustTranslate.execute(classifier, image, "sea", climb, animate=1)
