"""What holds of every node that makes pictures, property by property. A new node is one row of `NODES`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.clip_files import random_clip, write_clip

NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "translate": ("RobustTranslate", {"target_class": "sea", "mask": None}),
    "masked translate": ("RobustTranslate", {"target_class": "sea"}),
    "translate to text": ("RobustTranslate", {"target_class": "sea", "mask": None, "classifier": "texts"}),
    "inpaint": ("RobustInpaint", {"target_class": "sea"}),
    "paint": ("RobustActivationPaint", {"feature": "60:1, 160:0.5", "strength": 1.0}),
    "upsample": ("RobustUpsample", {"target_class": "sea", "factor": 2}),
    "class seed": ("RobustClassSeed", {"target_class": "sea", "method": "class gaussian"}),
    "natural noise": ("RobustClassSeed", {"target_class": "sea", "method": "natural noise"}),
    "class mask": ("RobustClassMask", {"target_class": "sea"}),
    "best of": ("RobustClassSeed", {"target_class": "sea", "method": "natural noise", "best_of": 2}),
}
PRESETS = [name for name in NODES if not name.startswith(("class", "natural", "best"))]
MASKED = ["masked translate", "inpaint", "paint"]
# Values of custom: short, and with everything random or finer switched on.
SHORT = {
    "steps": 2,
    "step_size": 4.0,
    "epsilon": 40.0,
    "norm": "none",
    "objective": "logit",
    "final_step": 0.5,
    "jitter": 1,
    "noise": 0.2,
    "fill": "noise",
    "feather": 1,
    "penalty": 0.0,
    "consistent": True,
    "detail_steps": 1,
}


class Node:
    """A node with short settings, run outside of a server."""

    def __init__(self, pack: ModuleType, classifier: Any, node_id: str, inputs: dict[str, Any]) -> None:
        self.node = getattr(pack, node_id)
        self.classifier = classifier
        self.inputs = inputs
        schema = {entry.id: entry for entry in self.node.GET_SCHEMA().inputs}
        self.names = list(schema)
        options = {option.key: option.inputs for option in schema["preset"].options} if "preset" in schema else {}
        self.settings = {entry.id for entry in options.get("custom", [])}

    def __call__(self, image: Tensor, mask: Tensor | None = None, seed: int = 0, **changes: Any) -> tuple[Tensor, ...]:
        """The outputs; `changes` are inputs, or values of custom."""
        count, height, width, _ = image.shape
        mask = torch.ones(1, 8, 8) if mask is None else mask
        given = {"classifier": self.classifier, "image": image, "mask": mask, "seed": seed}
        given |= {"batch_size": count, "height": height, "width": width}
        given |= {"preset": {"preset": "custom", **{key: SHORT[key] for key in self.settings}}} | self.inputs
        given["preset"] = given["preset"] | {key: value for key, value in changes.items() if key in self.settings}
        given |= {key: value for key, value in changes.items() if key not in self.settings}
        outputs: tuple[Tensor, ...] = self.node.execute(
            **{name: given[name] for name in self.names if name in given}
        ).result
        return outputs


@pytest.fixture(scope="module")
def texts(pack: ModuleType, classifier_folder: Path) -> Any:
    """A CLIP of random weights before the classes that the rows name."""
    tower = pack.RobustLoadClassifier.execute(write_clip(random_clip("vit"), classifier_folder, "bin").name).result[0]
    return pack.RobustTextClasses.execute(tower, "church\nsea").result[0]


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, pack: ModuleType, classifier: Any, texts: Any) -> Node:
    node_id, inputs = NODES[request.param]
    own = {"classifier": texts} if "classifier" in inputs else {}
    return Node(pack, classifier, node_id, inputs | own)


every_preset = pytest.mark.parametrize("node", PRESETS, indirect=True)
every_mask = pytest.mark.parametrize("node", MASKED, indirect=True)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def islands(height: int, width: int) -> Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, 2 : height // 4, 3 : width // 4] = 1
    mask[:, height // 2 : -3, width // 2 : width // 2 + 5] = 1
    mask[:, -1, -1] = 1
    mask[:, 0, : width // 8] = 0.5
    return mask


def test_picture_n_of_a_batch_is_seed_plus_n_made_alone(node: Node) -> None:
    # After the largest seed comes the smallest.
    seeds = (2**64 - 2, 2**64 - 1, 0)
    image = noise(3, 40, 56, 3)
    together = node(image, seed=seeds[0])[0]
    assert len(together) == 3
    for n, seed in enumerate(seeds):
        torch.testing.assert_close(together[n : n + 1], node(image[n : n + 1], seed=seed)[0], rtol=0, atol=1e-4)


def test_the_same_again_is_the_same_picture_in_inference_mode_too(node: Node) -> None:
    image, mask = noise(2, 64, 48, 3), islands(64, 48)
    before = image.clone()
    outside = node(image, mask, seed=3)[0]
    with torch.inference_mode():
        inside = node(image * 1.0, mask * 1.0, seed=3)[0]
    assert torch.equal(outside, inside)
    assert torch.equal(image, before), "the input was changed in place"
    assert not outside.requires_grad


@pytest.mark.parametrize("size", [(53, 37), (1, 1), (1, 500), (9, 3000)])
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
@every_preset
def test_pictures_of_any_size_come_back_at_theirs(node: Node, size: tuple[int, int], half: bool) -> None:
    image = noise(1, *size, 3)
    made = node(image.half() if half else image, steps=1)[0]
    factor = node.inputs.get("factor", 1)
    assert made.shape == (1, size[0] * factor, size[1] * factor, 3)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1


MASKS: dict[str, tuple[tuple[int, int, int], Tensor]] = {
    "wide": ((1, 180, 320), islands(180, 320)),
    "odd": ((1, 53, 37), islands(53, 37)),
    "a batch": ((16, 24, 20), islands(24, 20)),
    "a mask of another size": ((1, 90, 130), islands(53, 37)),
    "a mask for each": ((3, 40, 40), torch.cat([islands(40, 40), islands(40, 40).flip(1), islands(40, 40).flip(2)])),
    "a picture for all masks": ((1, 40, 40), torch.cat([islands(40, 40), islands(40, 40).flip(2)])),
    "without its batch": ((1, 40, 40), islands(40, 40)[0]),
}


@pytest.mark.parametrize(("shape", "mask"), MASKS.values(), ids=MASKS)
@every_mask
def test_outside_of_the_mask_pictures_and_frames_stay_bit_for_bit(
    node: Node, shape: tuple[int, int, int], mask: Tensor
) -> None:
    from robust_synthesis.nodes import tensors

    image = noise(*shape, 3)
    made, frames = node(image, mask, animate=2)
    fitted = tensors.mask_from_comfy(mask, *shape[1:])
    assert fitted is not None
    count = max(len(image), len(fitted))
    outside = fitted.eq(0).expand(count, 3, -1, -1).permute(0, 2, 3, 1)
    expected = image.expand(count, -1, -1, -1)
    assert 0 < float(outside.float().mean()) < 1
    assert torch.equal(made[outside], expected[outside])
    inside = (made != expected).any(3).flatten(1).sum(1)
    assert bool((inside > 0).all()), "a picture has not changed at all"
    for scene in frames.unflatten(0, (count, -1)).unbind(1):
        assert torch.equal(scene[outside], expected[outside])


@every_mask
def test_with_masks_of_their_own_each_picture_is_the_one_made_alone(node: Node) -> None:
    image, mask = noise(3, 150, 130, 3), torch.zeros(3, 150, 130)
    # Of different sizes and in different places, so that the views of them differ, and so does their finest detail.
    mask[0, :20, :20] = 1
    mask[1] = 1
    mask[2, 60:150, 40:130] = 1
    together = node(image, mask, seed=4)[0]
    for n in range(3):
        alone = node(image[n : n + 1], mask[n : n + 1], seed=4 + n)[0]
        torch.testing.assert_close(together[n : n + 1], alone, rtol=0, atol=1e-4)


LONG: list[dict[str, Any]] = [{"steps": 400, "detail_steps": 0}, {"steps": 1, "detail_steps": 400}]


@pytest.mark.parametrize("node", [*PRESETS, "best of", "class mask"], indirect=True)
def test_cancel_stops_within_a_step(node: Node) -> None:
    import comfy.model_management as mm
    import comfy.utils

    reports: list[int] = []

    def cancel(value: int, *_: object, **__: object) -> None:
        reports.append(value)
        if value >= 3:
            mm.interrupt_current_processing(True)

    comfy.utils.set_progress_bar_global_hook(cancel)
    try:
        # At the size of the classifier, and in the detail where a node adds some.
        for settings in LONG if "detail_steps" in node.settings else LONG[:1]:
            reports.clear()
            own = {key: value for key, value in settings.items() if key in node.settings} or {"best_of": 64}
            with pytest.raises(mm.InterruptProcessingException):
                node(noise(1, 192, 192, 3), **own)
            assert not mm.processing_interrupted()
            assert [value >= 3 for value in reports] == [False] * (len(reports) - 1) + [True]
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
        mm.interrupt_current_processing(False)


def see_through(batch: int, height: int, width: int) -> Tensor:
    """Pictures of noise that fade out to the right."""
    image = noise(batch, height, width, 4)
    image[..., 3] = torch.linspace(1.5, -0.5, width).clamp(0, 1)
    return image


@every_preset
def test_transparency_is_carried_through_to_pictures_and_frames(node: Node) -> None:
    image, mask = see_through(2, 40, 56), islands(40, 56)
    factor = node.inputs.get("factor", 1)
    made, frames = node(image, mask, animate=2)
    assert made.shape == (2, 40 * factor, 56 * factor, 4)
    assert frames.shape[1:] == made.shape[1:]
    flat = image[..., :3] * image[..., 3:] + (1 - image[..., 3:])
    plain, plain_frames = node(flat, mask, animate=2)
    assert plain.shape[3] == plain_frames.shape[3] == 3
    for carried, opaque in ((made, plain), (frames, plain_frames)):
        solid = carried[..., 3] == 1
        assert torch.equal(carried[solid][:, :3], opaque[solid])
    if factor == 1:
        assert torch.equal(made[..., 3], image[..., 3])
        assert torch.equal(frames[..., 3], image[:1, ..., 3].expand(len(frames), -1, -1))
    if node.inputs.get("mask", mask) is not None and factor == 1:
        outside = islands(40, 56)[0] == 0
        assert torch.equal(made[:, outside], image[:, outside])


@pytest.mark.parametrize("node", ["translate", "masked translate", "inpaint", "natural noise"], indirect=True)
def test_with_the_same_seed_like_pictures_stay_alike(node: Node) -> None:
    image = noise(1, 40, 56, 3).expand(3, -1, -1, -1)
    each, same = node(image, seed=5)[0], node(image, seed=5, same_seed=True)[0]
    assert not torch.equal(each[:1], each[1:2])
    for n in range(3):
        torch.testing.assert_close(same[n : n + 1], each[:1], rtol=0, atol=1e-4)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"steps": 0}, "Steps is 0"),
    ({"step_size": -1.0}, "step size is -1.0"),
    ({"norm": "l2", "epsilon": 0.0}, "Epsilon is 0.0"),
    ({"norm": "l7"}, "l7"),
    ({"jitter": -1}, "Jitter is -1"),
    ({"final_step": 1.5}, "The final step is 1.5"),
    ({"objective": "fame"}, "fame"),
    ({"noise": 2.0}, "Noise is 2.0"),
    ({"feather": -1}, "Feather is -1"),
    ({"penalty": -1.0}, "The penalty is -1.0"),
    ({"detail_steps": -1}, "Detail steps is -1"),
    ({"fill": "mud"}, "Unknown fill 'mud'"),
    ({"target_class": "chruch"}, "Did you mean church"),
    ({"mask": torch.ones(2, 20, 20)}, "3 images and 2 masks"),
    ({"feature": "99999"}, "features are 0 to"),
    ({"image": noise(1, 4, 4, 5)}, "5 channels"),
    ({"preset": "none of them"}, "There is no such preset: 'none of them'. There are: .*, custom"),
]


@every_preset
def test_mistakes_are_answered_before_any_work(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    from robust_synthesis.nodes.comfy.classifiers import LoadedClassifier

    monkeypatch.setattr(LoadedClassifier, "to_device", lambda *_: pytest.fail("the work has begun"))
    # What a row leaves out, it cannot do wrong.
    known = node.settings | {name for name in node.names if node.inputs.get(name, "") is not None}
    for changes, words in MISTAKES:
        if changes.keys() <= known:
            with pytest.raises(ValueError, match=words):
                node(**{"image": noise(3, 20, 20, 3), **changes})


@every_preset
def test_old_workflows_run_with_their_values(node: Node) -> None:
    image, mask = noise(1, 40, 56, 3), islands(40, 56)
    assert torch.equal(node(image, mask, norm="free")[0], node(image, mask, norm="none")[0])


@every_preset
def test_a_film_begins_at_the_start_and_ends_at_the_result(node: Node) -> None:
    image, mask = noise(2, 64, 48, 3), torch.zeros(1, 64, 48)
    mask[:, 10:40, 10:40] = 1
    still = {"steps": 5, "jitter": 0, "noise": 0.0, "fill": "surround"}
    settings: dict[str, Any] = {key: value for key, value in still.items() if key in node.settings}
    result, frames = node(image, mask, animate=3, **settings)
    without, same = node(image, mask, **settings)
    assert torch.equal(without, same), "without a film, frames are the result"
    assert torch.equal(result, without), "the film changed the result"
    scenes = frames.unflatten(0, (2, -1))
    assert torch.equal(scenes[:, -1], result)
    changes = (scenes[:, 1:] - scenes[:, :-1]).abs().amax((2, 3, 4))
    assert (changes > 0.001).all()
