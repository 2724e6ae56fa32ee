"""Image towers of CLIPs: the same function and gradient as open_clip's, from every layout of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from robust_synthesis.models import (
    CheckpointError,
    RobustClassifier,
    checkpointing,
    load_classifier,
    open_classifier,
    optimize_for_inference,
    save_classifier,
)
from robust_synthesis.models.architectures import ArchitectureError, build_network
from robust_synthesis.models.clip import FoundTower, find_tower, text_tensors, tower_of, with_texts
from robust_synthesis.models.clip_names import as_open_clip
from robust_synthesis.models.conversion import conversion_of
from robust_synthesis.models.state_dict import shapes_of, weights
from robust_synthesis.models.third_party import read_third_party
from tests.clip_files import (
    FULL_SIZE,
    LAYOUTS,
    OF_TRANSFORMERS,
    SMALL,
    full_size_clip,
    random_clip,
    transformers_state,
    write_clip,
)

TEXTS = ["a lighthouse at night", "a forest, in autumn", "people"]


def images(side: int, count: int = 2, width: int | None = None) -> Tensor:
    return torch.rand(count, 3, side, width or side, generator=torch.Generator().manual_seed(1))


def theirs(model: Any, x: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    result: Tensor = model.visual((x - mean) / std)
    return result


def read(kind: str, folder: Path, layout: str = "bin") -> RobustClassifier:
    """A tower in full precision, its activation given where its file would be taken for another's."""
    tower = read_third_party(write_clip(random_clip(kind), folder, layout))[0]
    if "quick_gelu" in tower.card.architecture:
        quick = SMALL[kind].get("quick_gelu", False)
        network = build_network({**tower.card.architecture, "quick_gelu": quick}, 0)
        network.load_state_dict(tower.network.state_dict())
        return RobustClassifier(network, tower.card)
    return tower


def with_classes(tower: RobustClassifier, model: Any) -> RobustClassifier:
    tokens = open_clip.tokenize(TEXTS)
    return with_texts(tower, model.encode_text(tokens), TEXTS, float(model.logit_scale))


@pytest.mark.parametrize(
    ("kind", "layout"),
    [(kind, "bin") for kind in SMALL]
    + [(kind, layout) for kind in ("vit", "convnext") for layout in LAYOUTS]
    + [(kind, layout) for kind in ("vit", "vit with quick gelu", "as wide as H/14") for layout in OF_TRANSFORMERS],
)
def test_logits_and_gradient_are_open_clips(kind: str, layout: str, tmp_path: Path) -> None:
    model = random_clip(kind)
    classifier = with_classes(read(kind, tmp_path, layout), model)
    x, y = (images(classifier.input_size if kind != "convnext" else 64).requires_grad_() for _ in range(2))
    logits = classifier(x)
    similar = (
        torch.nn.functional.normalize(theirs(model, y), dim=1)
        @ model.encode_text(open_clip.tokenize(TEXTS), normalize=True).mT
    )
    expected = float(model.logit_scale.exp()) * similar
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    for index in range(len(TEXTS)):
        mine = torch.autograd.grad(logits[:, index].sum(), x, retain_graph=True)[0]
        reference = torch.autograd.grad(expected[:, index].sum(), y, retain_graph=True)[0]
        assert reference.abs().max() > 1e-4
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4 * float(reference.abs().max()))


@pytest.mark.parametrize("name", FULL_SIZE)
def test_the_public_sizes_are_recognised_from_their_tensors(name: str) -> None:
    model = full_size_clip(name)
    layouts = [dict(model.state_dict())]
    if "convnext" not in name:
        layouts.append(dict(as_open_clip(Path("full.safetensors"), transformers_state(model))))
    for state in layouts:
        assert_public_size(name, model, find_tower(state))


def assert_public_size(name: str, model: Any, found: FoundTower | None) -> None:
    assert found is not None
    with torch.device("meta"):
        network = build_network(found.architecture, 0)
    expected = {key: shape for key, shape in shapes_of(weights(network)).items() if not key.startswith("classes.")}
    assert expected == shapes_of(found.tensors)
    assert shapes_of(found.text).keys() == {key for key in model.state_dict() if not key.startswith("visual.")}
    if "convnext" not in name:
        assert found.architecture["quick_gelu"] == name.endswith("quickgelu")
        block = model.visual.transformer.resblocks[0]
        assert found.architecture["heads"] == block.attn.num_heads


@pytest.mark.parametrize("kind", ["vit", "vit with quick gelu"])
def test_positions_are_interpolated_as_open_clip_does(kind: str, tmp_path: Path) -> None:
    from open_clip.model import CLIP, resize_pos_embed

    tower, side = read(kind, tmp_path), 112
    config = SMALL[kind] | {"vision_cfg": SMALL[kind]["vision_cfg"] | {"image_size": side}}
    larger, state = CLIP(**config).eval(), dict(random_clip(kind).state_dict())
    resize_pos_embed(state, larger)
    larger.load_state_dict(state)
    expected = torch.nn.functional.normalize(theirs(larger, images(side)), dim=1)
    torch.testing.assert_close(tower.features(images(side)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "vit with quick gelu", "convnext"])
@pytest.mark.parametrize("size", [(45, 71), (7, 200), (96, 64)])
def test_every_pixel_of_any_size_has_a_gradient(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    classifier = with_classes(read(kind, tmp_path), random_clip(kind))
    x = images(size[0], 1, size[1]).requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(x)[:, 0].sum(), x)
    assert (gradient.abs().amax((0, 1)) > 0).all()
    maps = classifier.feature_maps(x)
    stride = {"vit": 16, "vit with quick gelu": 14, "convnext": 32}[kind]
    assert maps.shape == (1, 48, *(max(round(side / stride), 1) for side in size))
    torch.testing.assert_close(maps.norm(dim=1), torch.ones_like(maps[:, 0]))


def test_features_are_the_input_of_the_last_layer_and_fake_relu_changes_nothing(tmp_path: Path) -> None:
    classifier = with_classes(read("vit", tmp_path), random_clip("vit"))
    x = images(64)
    features = classifier.features(x)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(features @ classifier.feature_effects.T, classifier(x))
    assert torch.equal(classifier(x, fake_relu=True), classifier(x))
    assert classifier.feature_count == 48


def test_recomputed_activations_give_the_same_gradient_in_less_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = with_classes(read("vit with quick gelu", tmp_path), random_clip("vit with quick gelu"))
    kept: list[Tensor] = []

    def gradient() -> tuple[Tensor, int]:
        saved = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal saved
            saved += tensor.numel()
            return tensor

        x = images(42).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = classifier(x)[:, 0].sum()
        return torch.autograd.grad(loss, x)[0], saved

    estimates = []
    for limit in (2**40, 0):
        monkeypatch.setattr(checkpointing, "KEPT_BYTES", limit)
        made, numbers = gradient()
        kept.append(made)
        estimates.append((numbers, classifier.activation_bytes(42, 42, 2)))
    torch.testing.assert_close(kept[0], kept[1], rtol=1e-5, atol=1e-6)
    (all_kept, all_estimated), (few_kept, few_estimated) = estimates
    assert few_kept < all_kept / 2
    assert few_estimated < all_estimated


@pytest.mark.parametrize(
    ("kind", "layout"), [("vit", "bin"), ("convnext", "bin"), ("vit", "transformers"), ("vit", "transformers, wrapped")]
)
def test_a_tower_and_its_classes_are_saved_and_loaded_with_the_text_tower(
    kind: str, layout: str, tmp_path: Path
) -> None:
    model = random_clip(kind)
    path = write_clip(model, tmp_path, layout)
    opened = open_classifier(path)
    assert opened.classifier.labels == ()
    assert opened.source == conversion_of(path)
    text = text_tensors(opened.source)
    assert shapes_of(text) == {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.startswith("visual.")}
    classifier = with_classes(opened.classifier, model)
    assert classifier.labels == ("a lighthouse at night", "a forest", "people")
    save_classifier(classifier, tmp_path / "texts.safetensors", text)
    again = load_classifier(tmp_path / "texts.safetensors")
    x = images(64)
    torch.testing.assert_close(again(x), classifier(x), rtol=1e-3, atol=0.02)
    assert again.card.labels == classifier.card.labels
    assert text_tensors(tmp_path / "texts.safetensors").keys() == text.keys()
    # It takes other texts as the tower does.
    assert len(with_texts(again, torch.rand(5, 48), list("abcde")).labels) == 5
    rounded = optimize_for_inference(again, torch.bfloat16)
    torch.testing.assert_close(rounded(x), classifier(x), rtol=0.05, atol=0.4)


def test_the_sidecar_says_what_the_activation_is(tmp_path: Path) -> None:
    path = write_clip(random_clip("vit"), tmp_path, "safetensors")
    assert open_classifier(path).classifier.card.architecture["quick_gelu"] is False
    plain = open_classifier(path).classifier.features(images(64))
    config = {
        "model_cfg": {"quick_gelu": True, "vision_cfg": {"image_size": 80}},
        "preprocess_cfg": {"mean": [0.5] * 3},
    }
    (tmp_path / "tower.json").write_text(json.dumps(config))
    opened = open_classifier(path)
    assert "activation QuickGELU" in " ".join(opened.notes)
    assert "taken to be" not in " ".join(opened.notes)
    card = opened.classifier.card
    assert (card.architecture["quick_gelu"], card.input_size, card.mean) == (True, 80, (0.5, 0.5, 0.5))
    (tmp_path / "tower.json").write_text('{"quick_gelu": true}')
    quick = open_classifier(path).classifier.features(images(64))
    assert 1e-4 < (quick - plain).abs().max() < 0.1
    (tmp_path / "tower.json").write_text('{"quick_gelu": "yes"}')
    with pytest.raises(CheckpointError, match=r"quick_gelu of tower.json is 'yes': write true or false"):
        open_classifier(path)


def test_what_its_activation_was_taken_to_be_is_said_at_every_run_unless_a_sidecar_says_it(tmp_path: Path) -> None:
    path = write_clip(random_clip("vit"), tmp_path, "bin")
    guess = "Its activation was taken to be GELU, which the file does not say."
    assert [" ".join(open_classifier(path).notes).count(guess) for _ in range(2)] == [1, 1]
    path.with_suffix(".safetensors").unlink()
    sidecar = path.with_suffix(".json")
    sidecar.write_text('{"quick_gelu": true}')
    # The first run converts.
    for _ in range(2):
        opened = open_classifier(path)
        assert opened.classifier.card.architecture["quick_gelu"] is True
        assert "taken to be" not in " ".join(opened.notes)
    sidecar.unlink()
    assert open_classifier(path).notes == (
        "tower.json, which gave its input size, mean, std or activation, is gone: tower.safetensors is used without "
        "them.",
        guess,
    )


def test_broken_towers_are_refused(tmp_path: Path) -> None:
    state = dict(random_clip("vit").state_dict())
    for name, change in {
        "visual.ln_post.weight": None,
        "visual.proj": torch.rand(1, 1).expand(128, 48),
        "visual.positional_embedding": torch.rand(20, 128),
        "visual.attn_pool.query": torch.rand(3, 3),
    }.items():
        changed = {**state, name: change} if change is not None else {k: v for k, v in state.items() if k != name}
        torch.save(changed, tmp_path / "tower.bin")
        with pytest.raises(CheckpointError, match=r"no kind that this pack knows|claims more numbers"):
            open_classifier(tmp_path / "tower.bin")
    assert list(tmp_path.iterdir()) == [tmp_path / "tower.bin"]
    with pytest.raises(ArchitectureError, match="heads do not divide"):
        build_network({**find_tower(state).architecture, "heads": 3}, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("visual_projection.weight", None, "tower of a CLIP without its visual_projection.*: take a file of the whole"),
        ("visual_projection.weight", torch.tensor(1.0), "without its visual_projection"),
        ("vision_model.encoder.layers.1.self_attn.k_proj.weight", None, r"lacks transformer.*1\.attn\.in_proj_weight"),
        ("vision_model.encoder.layers.0.self_attn.q_proj.bias", torch.tensor(1.0), "lacks transformer.*in_proj_bias"),
        ("vision_model.encoder.layers.0.self_attn.q_proj.weight", torch.rand(128, 9), "lacks .*in_proj_weight"),
        ("vision_model.encoder.layers.0.self_attn.q_proj.lora_A", torch.rand(4, 128), "q_proj.lora_A besides"),
    ],
)
def test_broken_files_of_transformers_are_refused(name: str, change: Tensor | None, words: str, tmp_path: Path) -> None:
    state = transformers_state(random_clip("vit"))
    state.pop(name, None)
    torch.save(state | ({} if change is None else {name: change}), tmp_path / "tower.bin")
    with pytest.raises(CheckpointError, match=rf"^tower\.bin is .*{words}"):
        open_classifier(tmp_path / "tower.bin")


def test_parts_that_claim_more_than_the_file_holds_are_not_joined(tmp_path: Path) -> None:
    huge = torch.zeros(1, 1).expand(10**7, 10**7)
    parts = {f"vision_model.encoder.layers.0.self_attn.{letter}_proj.weight": huge for letter in "qkv"}
    torch.save(transformers_state(random_clip("vit")) | parts, tmp_path / "tower.bin")
    with pytest.raises(CheckpointError, match=r"q_proj\.weight claims more numbers than the file holds"):
        open_classifier(tmp_path / "tower.bin")


def test_transformers_configuration_is_a_sidecar(tmp_path: Path) -> None:
    path = write_clip(random_clip("vit"), tmp_path, "transformers")
    for vision, quick, size in (
        ({"hidden_act": "gelu", "image_size": 80}, False, 80),
        # What is usual is left out.
        ({"hidden_size": 128}, True, 64),
    ):
        (tmp_path / "tower.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
        card = open_classifier(path).classifier.card
        assert (card.architecture["quick_gelu"], card.input_size) == (quick, size)


def test_only_towers_take_texts(tiny: RobustClassifier, tmp_path: Path) -> None:
    assert tower_of(tiny) is None
    with pytest.raises(ValueError, match="'Tiny' is not the image tower of a CLIP"):
        with_texts(tiny, torch.rand(2, 6), ("a", "b"))
    with pytest.raises(ValueError, match="have 7 numbers each, and the images of 'tower' 48: they are of different"):
        with_texts(read("vit", tmp_path), torch.rand(2, 7), ("a", "b"))
