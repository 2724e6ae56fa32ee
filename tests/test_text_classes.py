"""Classes from Text: CLIP's embeddings of texts by ComfyUI's encoders, and from text to picture on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from robust_synthesis.models.clip import text_tensors
from robust_synthesis.synthesis import ExpressionError, Mix, parse_class_expression
from robust_synthesis.synthesis.text_classes import ANYTHING_ELSE, read_text_classes
from tests.clip_files import random_clip, write_clip
from tests.prompts import listed_classes, pictures
from tests.tiny_robust_clip import CAPTIONS, train_tiny_clip
from tools.client import ComfyClient, Prompt
from tools.server import ComfyServer

LINES = "a lighthouse at night\na horse, running (fast)\n\nratio 16:9\n"
LONG = "a very long text " * 30


def load(pack: ModuleType, classifier_folder: Path, layout: str = "bin") -> Any:
    path = write_clip(random_clip("vit with quick gelu"), classifier_folder, layout)
    path.with_suffix(".json").write_text(json.dumps({"quick_gelu": True}))
    return pack.RobustLoadClassifier.execute(path.name).result[0]


def classes(pack: ModuleType, tower: Any, texts: str = LINES, **inputs: Any) -> Any:
    with torch.inference_mode():
        return pack.RobustTextClasses.execute(tower, texts, **inputs).result[0]


def test_lines_are_classes() -> None:
    read = read_text_classes("  a horse,  running\n\ntime: noon\n", "a photo of {}")
    assert read.labels == ("a horse running", "time: noon")
    assert read.texts == ("a photo of a horse, running", "a photo of time: noon")
    alone = read_text_classes("a lighthouse")
    assert (alone.texts, alone.labels) == (("a lighthouse", ""), ("a lighthouse", ANYTHING_ELSE))


@pytest.mark.parametrize(
    ("lines", "template", "words"),
    [
        ("\n \n", "{}", "Write a class in each line of texts"),
        ("a dog\n-people", "{}", "Line 2 of texts begins with a minus: '-people'"),
        ("a dog\n\N{EN DASH} people", "{}", "Line 2 of texts begins with a minus"),
        ("a dog\n\nA  Dog", "{}", "Line 3 of texts is the same as line 1: 'A Dog'"),
        ("a dog\n,,", "{}", "Line 2 of texts is no text: ',,'"),
        ("a dog", "a photo", "The template 'a photo' has no {}"),
    ],
)
def test_lines_that_name_no_class_are_refused(lines: str, template: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        read_text_classes(lines, template)


LABELS = read_text_classes("a horse, running\na horse\nratio 16:9\nnoon: red, hot\n3 dogs").labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a horse, running", {0: 1.0}),
        ("a horse running", {0: 1.0}),
        ("-a horse, running:0.5, a horse", {0: -0.5, 1: 1.0}),
        ("a horse, ratio 16:9", {1: 1.0, 2: 1.0}),
        ("ratio 16:9:0.3", {2: 0.3}),
        ("noon: red, hot", {3: 1.0}),
        ("noon: red, hot:2, 3 dogs", {3: 2.0, 4: 1.0}),
        ("-3 dogs", {4: -1.0}),
        ("3", {3: 1.0}),
    ],
)
def test_expressions_find_texts_with_commas_and_colons(text: str, expected: dict[int, float]) -> None:
    assert dict(parse_class_expression(text, LABELS).weights) == expected


def test_a_part_of_a_text_is_no_class() -> None:
    with pytest.raises(ExpressionError, match=r"There is no class 'running'. Did you mean a horse running"):
        parse_class_expression("a horse, ratio 16:9, running", LABELS)
    mix = [f"thing, {number}" for number in range(40)]
    names = [f"thing {number}" for number in range(1000)]
    with pytest.raises(ExpressionError, match=r"There is no class 'thimg'. Did you mean thing"):
        parse_class_expression(f"{':0.3, '.join(mix)}, thimg", names)
    # What can be read term by term is read so.
    assert parse_class_expression("a, b", ("a", "b", "a b")) == Mix(((0, 1.0), (1, 1.0)))


@pytest.mark.parametrize("layout", ["bin", "transformers"])
def test_logits_are_open_clips_for_the_same_texts(layout: str, pack: ModuleType, classifier_folder: Path) -> None:
    model = random_clip("vit with quick gelu")
    made = classes(pack, load(pack, classifier_folder, layout), template="a photo of {}", texts=f"{LINES}{LONG}")
    assert made.model.labels == ("a lighthouse at night", "a horse running (fast)", "ratio 16:9", LONG.strip())
    texts = ["a lighthouse at night", "a horse, running (fast)", "ratio 16:9", LONG.strip()]
    tokens = open_clip.tokenize([f"a photo of {text}" for text in texts])
    expected = float(model.logit_scale.exp()) * model.encode_text(tokens, normalize=True)
    # Both towers are stored in half precision. Of long texts the last word that fits may be another.
    torch.testing.assert_close(made.model.feature_effects[:3], expected[:3], rtol=0.01, atol=0.02)
    assert torch.cosine_similarity(made.model.feature_effects[3], expected[3], 0) > 0.9


def test_the_wired_text_encoder_is_compared_with_the_files(
    pack: ModuleType, classifier_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from robust_synthesis.nodes.comfy.text_encoder import encoder_of_file

    tower = load(pack, classifier_folder)
    clip = encoder_of_file(text_tensors(tower.source), True).clip
    with caplog.at_level("INFO"):
        wired, own = classes(pack, tower, clip=clip), classes(pack, tower)
        assert "is not the one" not in caplog.text
        torch.testing.assert_close(wired.model.feature_effects, own.model.feature_effects)
        with torch.no_grad():
            clip.cond_stage_model.clip_l.transformer.text_model.encoder.layers[1].mlp.fc1.weight.mul_(1.01)
        assert not torch.equal(classes(pack, tower, clip=clip).model.feature_effects, own.model.feature_effects)
        assert "The wired text encoder is not the one that 'tower' was made with" in caplog.text
    broken = {name: tensor[..., :32] if tensor.ndim else tensor for name, tensor in text_tensors(tower.source).items()}
    with pytest.raises(ValueError, match="vocabulary of its own"):
        encoder_of_file({**broken, "token_embedding.weight": torch.rand(30522, 64)}, False)


def test_an_image_tower_alone_needs_a_text_encoder_with_a_projection(pack: ModuleType, classifier_folder: Path) -> None:
    from robust_synthesis.nodes.comfy.text_encoder import encoder_of_file

    model = random_clip("as wide as L/14")
    write_clip(model, classifier_folder, "image tower alone")
    alone = pack.RobustLoadClassifier.execute("tower_vision.pt").result[0]
    with pytest.raises(ValueError, match="is an image tower alone: connect its text encoder"):
        classes(pack, alone)
    whole = load(pack, classifier_folder)
    clip = encoder_of_file(text_tensors(whole.source), True).clip
    with pytest.raises(ValueError, match="needs a CLIP whose texts are 32 wide, and the wired one's are 64"):
        classes(pack, alone, clip=clip)


def test_the_encoders_own_projection_is_used_where_the_file_has_none(pack: ModuleType, classifier_folder: Path) -> None:
    from robust_synthesis.nodes.comfy.text_encoder import embed_texts, encoder_of_file

    encoder = encoder_of_file(text_tensors(load(pack, classifier_folder).source), True)
    projection = encoder.inner.transformer.text_projection.weight
    with pytest.raises(ValueError, match="There is no text_projection"):
        embed_texts(encoder, None, ["a dog"])
    with torch.no_grad():
        projection.copy_(torch.randn(64, 64) * 0.1)
    own, given = embed_texts(encoder, None, ["a dog"])[0], embed_texts(encoder, projection.mT, ["a dog"])[0]
    torch.testing.assert_close(own, given)


def test_a_tower_without_classes_says_what_is_missing(pack: ModuleType, classifier_folder: Path) -> None:
    tower, image, mask = load(pack, classifier_folder), torch.rand(1, 40, 40, 3), torch.ones(1, 40, 40)
    inputs: dict[str, tuple[Any, ...]] = {
        "RobustClassify": (image,),
        "RobustTranslate": (image,),
        "RobustInpaint": (image, mask),
        "RobustUpsample": (image,),
        "RobustActivationPaint": (image, mask, "1"),
        "RobustFeatures": (image,),
        "RobustClassSeed": (),
    }
    for node_id, given in inputs.items():
        with pytest.raises(ValueError, match="has no classes yet: put Classes from Text between it and this node"):
            getattr(pack, node_id).execute(tower, *given)
    canvas = pack.RobustLoadClassifier.execute("canvas").result[0]
    with pytest.raises(ValueError, match="is not the image tower of a CLIP, and has classes of its own"):
        classes(pack, canvas)


def test_towers_and_texts_are_saved_and_loaded(pack: ModuleType, classifier_folder: Path) -> None:
    tower = load(pack, classifier_folder)
    made, image = classes(pack, tower), torch.rand(1, 42, 42, 3)
    for name, value in (("bare", tower), ("texts", made)):
        pack.RobustSaveClassifier.execute(value, name)
    again = pack.RobustLoadClassifier.execute("texts.safetensors").result[0]
    assert again.model.labels == made.model.labels
    before, after = (pack.RobustClassify.execute(value, image).result[1] for value in (made, again))
    scores = [[float(line.rpartition(" ")[2]) for line in sorted(text.splitlines())] for text in (before, after)]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02)
    bare = pack.RobustLoadClassifier.execute("bare.safetensors").result[0]
    for value in (bare, again):
        assert classes(pack, value, "one\ntwo").model.labels == ("one", "two")


@pytest.fixture(scope="module")
def trained(server: ComfyServer) -> str:
    path = server.base / "models" / "robust_classifiers" / "tiny_robust_clip.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert train_tiny_clip(path) > 0.6
    return path.name


def class_names(server: ComfyServer, **query: str) -> tuple[list[list[str]], str]:
    """What the editor's class picker lists, and why there is nothing."""
    found = listed_classes(server.url, **query)
    return found["classes"], found["message"]


def test_text_becomes_a_picture_on_a_real_server(server: ComfyServer, trained: str) -> None:
    prompt: Prompt = {
        "load": {"class_type": "RobustLoadClassifier", "inputs": {"classifier": trained}},
        "texts": {
            "class_type": "RobustTextClasses",
            "inputs": {"classifier": ["load", 0], "texts": "\n".join(CAPTIONS.values())},
        },
    }
    for index, caption in enumerate(CAPTIONS.values()):
        common = {"classifier": ["texts", 0], "target_class": caption}
        size = {"width": 96, "height": 96, "batch_size": 2, "seed": 1}
        prompt |= {
            f"seed {index}": {"class_type": "RobustClassSeed", "inputs": {**common, **size}},
            f"made {index}": {
                "class_type": "RobustTranslate",
                "inputs": {**common, "image": [f"seed {index}", 0], "preset": "text", "seed": 1},
            },
            f"scores {index}": {
                "class_type": "RobustClassify",
                "inputs": {"classifier": ["texts", 0], "image": [f"made {index}", 0]},
            },
            f"look {index}": {"class_type": "PreviewAny", "inputs": {"source": [f"scores {index}", 0]}},
            f"see {index}": {"class_type": "PreviewImage", "inputs": {"images": [f"made {index}", 0]}},
        }
    client = ComfyClient(server.url)
    result = client.run(prompt)
    names = [caption.replace(",", "") for caption in CAPTIONS.values()]
    seen = [result.outputs[f"look {index}"]["text"][0].splitlines() for index in range(len(names))]
    # The tiny CLIP is not trained to the same weights everywhere.
    right = [sum(label == name for label in labels) for labels, name in zip(seen, names, strict=True)]
    assert min(right) > 0
    assert sum(right) >= 5, seen
    assert class_names(server, texts=", red\n".join("ab")) == ([["a red"], ["b"]], "")
    long = [f"{'長い' * 20} {number}" for number in range(2000)]
    assert class_names(server, texts="\n".join(long)) == ([[text] for text in long], "")
    assert class_names(server, texts="-a")[1].startswith("Line 1 of texts begins with a minus")
    assert class_names(server, classifier=trained)[1].startswith("It has no classes of its own: put Classes from Text")
    made = pictures(client, result)
    assert len(made) == 2 * len(names)
    assert all(picture.std() > 20 for picture in made)
