"""The nodes in a real ComfyUI: what they promise in their schemas, and what they do."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from robust_synthesis.synthesis.presets import presets
from tests.seed_fitting import fit

ROOT = Path(__file__).resolve().parent.parent
# Saved workflows hold these names.
INPUTS = {
    "RobustLoadClassifier": ["classifier", "input_size", "mean", "std"],
    "RobustClassSeed": [
        "classifier",
        "target_class",
        "width",
        "height",
        "batch_size",
        "seed",
        "method",
        "best_of",
        "same_seed",
    ],
    "RobustTranslate": ["classifier", "image", "target_class", "preset", "seed", "mask", "animate", "same_seed"],
    "RobustInpaint": ["classifier", "image", "mask", "target_class", "preset", "seed", "animate", "same_seed"],
    "RobustUpsample": ["classifier", "image", "factor", "target_class", "preset", "animate"],
    "RobustActivationPaint": [
        "classifier",
        "image",
        "mask",
        "feature",
        "strength",
        "preset",
        "reference",
        "reference_mask",
        "animate",
    ],
    "RobustCanvas": ["classifier", "image", "width", "height", "painting"],
    "RobustFeatures": ["classifier", "image", "count", "mask"],
    "RobustClassify": ["classifier", "image", "top_k"],
    "RobustClassMask": ["classifier", "image", "target_class", "threshold", "softness"],
    "RobustFitSeeds": ["classifier", "target_class", "image", "folder"],
    "RobustSaveClassifier": ["classifier", "filename"],
    "RobustCombineClassifiers": ["classifier", "second_classifier", "weight"],
    "RobustTextClasses": ["classifier", "texts", "clip", "template"],
    "RobustTrainClassifier": ["folder", "recipe", "epochs", "name", "epsilon"],
}
LENGTHS = ["steps", "step_size", "epsilon", "norm"]
MASKED = ["feather", "penalty", "detail_steps"]
# The inputs that a choice of preset unfolds.
PRESETS: dict[str, dict[str, list[str]]] = {
    "RobustTranslate": {
        "generate": [],
        "translate": [],
        "repaint": [],
        "style": [],
        "sketch": [],
        "dual": [],
        "text": [],
        "text views": [],
        "refine": [],
        "custom": [*LENGTHS, "objective", "final_step", "jitter", "noise", "detail_steps"],
    },
    "RobustInpaint": {
        "inpaint": ["fill"],
        "paper": [],
        "custom": [*LENGTHS, "objective", "final_step", "jitter", "fill", *MASKED],
    },
    "RobustUpsample": {
        "upsample": [],
        "paper": [],
        "custom": [*LENGTHS, "objective", "final_step", "jitter", "consistent"],
    },
    "RobustActivationPaint": {"paint": [], "paper": [], "custom": [*LENGTHS, "final_step", "jitter", *MASKED]},
}


@pytest.mark.parametrize("node_id", INPUTS)
def test_every_node_explains_itself(pack: ModuleType, node_id: str) -> None:
    node = getattr(pack, node_id)
    schema = node.GET_SCHEMA()
    info = node.GET_NODE_INFO_V1()

    assert schema.node_id == node_id
    assert [*info["input_order"]["required"], *info["input_order"].get("optional", [])] == INPUTS[node_id]
    inputs = {**info["input"]["required"], **info["input"].get("optional", {})}
    unfolded: dict[str, list[str]] = {}
    for name, (_, options) in list(inputs.items()):
        for choice in options.get("options", []):
            if isinstance(choice, dict):
                nested = {inner: spec for group in choice["inputs"].values() for inner, spec in group.items()}
                unfolded[choice["key"]] = list(nested)
                inputs.update({f"{name}.{choice['key']}.{inner}": spec for inner, spec in nested.items()})
    assert unfolded == PRESETS.get(node_id, {})
    for name, (_, options) in inputs.items():
        assert len(options.get("tooltip", "")) > 15, f"the input {name} has no tooltip"
    assert all(len(tooltip or "") > 15 for tooltip in info["output_tooltips"])
    assert len(info["output_tooltips"]) == len(info["output"])
    # Without an output, there must be another reason to run it.
    assert info["output"] or info["output_node"]
    assert len(schema.description) > 30
    assert len(schema.search_aliases) >= 3
    assert (ROOT / "web" / "docs" / f"{node_id}.md").is_file(), "a node without a help page"


def test_the_pack_registers_its_folder_and_reads_a_users_file(pack: ModuleType) -> None:
    import folder_paths

    from robust_synthesis.models import bundled_classifiers

    (folder,) = folder_paths.get_folder_paths("robust_classifiers")
    mine = Path(folder) / "mine" / "sunny.safetensors"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(bundled_classifiers()["seasons"].read_bytes())

    choices = pack.RobustLoadClassifier.GET_NODE_INFO_V1()["input"]["required"]["classifier"][1]["options"]

    bundled = ["canvas", "canvas-bold", "canvas-ensemble", "painters", "seasons"]
    assert choices[:7] == [*bundled, "mine/sunny.safetensors", "resnet50_l2_eps3"]
    loaded = pack.RobustLoadClassifier.execute("mine/sunny.safetensors").result[0]
    assert loaded.model.labels == ("summer", "winter")
    with pytest.raises(LookupError, match=r"no classifier named 'canvass'\. Did you mean canvas"):
        pack.RobustLoadClassifier.execute("canvass")


def seeds(pack: ModuleType, classifier: object, count: int, seed: int = 3, method: str = "class gaussian") -> Tensor:
    made: Tensor = pack.RobustClassSeed.execute(classifier, "church", 96, 96, count, seed, method).result[0]
    return made


def test_nodes_without_pictures_work_in_inference_mode_as_outside(pack: ModuleType) -> None:
    def run() -> tuple[list[Tensor], list[str]]:
        loaded = pack.RobustLoadClassifier.execute("canvas").result[0]
        # Not only what our own node makes, but tensors born in inference mode, as other nodes give them.
        image, mask = seeds(pack, loaded, 2) * 1.0, torch.ones(1, 48, 48) * 0.9
        label, scores, chart = pack.RobustClassify.execute(loaded, image, 3).result
        features, sheet = pack.RobustFeatures.execute(loaded, image, 2, mask).result
        fitted = fit(pack, loaded, image, "sea")
        drawn = pack.RobustClassSeed.execute(fitted, "sea", 32, 32, 2, 0, "class gaussian").result[0]
        return [chart, sheet, drawn], [label, scores, features]

    outside = run()
    with torch.inference_mode():
        inside = run()
    for made, before in zip(inside[0], outside[0], strict=True):
        torch.testing.assert_close(made, before, rtol=0, atol=1e-5)
    assert inside[1] == outside[1]
    (chart, sheet, drawn), (label, scores, features) = inside
    assert drawn.shape == (2, 32, 32, 3)
    assert len(features.split(", ")) == 2
    assert sheet.shape[0] == 1
    assert [picture.split(": ")[0] for picture in scores.split("\n\n")] == label.split("\n")
    assert [len(picture.splitlines()) for picture in scores.split("\n\n")] == [3, 3]
    assert chart.shape[0] == 2
    assert chart.shape[3] == 3


@pytest.mark.parametrize("node_id", INPUTS)
def test_whatever_has_a_default_may_be_left_out(pack: ModuleType, node_id: str) -> None:
    node = getattr(pack, node_id)
    parameters = inspect.signature(node.execute).parameters
    for entry in node.GET_SCHEMA().inputs:
        if getattr(entry, "default", None) is not None:
            assert entry.optional, f"{entry.id} has a default and is required"
            # A node that takes lists is given a list of one.
            default = (entry.default,) if node.GET_SCHEMA().is_input_list else entry.default
            assert parameters[entry.id].default == default, f"the default of {entry.id}"
        for option in getattr(entry, "options", None) or []:
            assert all(inner.optional for inner in getattr(option, "inputs", []))
    # A choice of presets has no default: it is the first.
    assert all(entry.optional for entry in node.GET_SCHEMA().inputs if entry.id == "preset")


@pytest.mark.parametrize("node_id", PRESETS)
def test_custom_starts_from_the_papers_numbers(pack: ModuleType, node_id: str) -> None:
    node = getattr(pack, node_id)
    options = node.GET_NODE_INFO_V1()["input"]["optional"]["preset"][1]["options"]
    (custom,) = (choice["inputs"]["optional"] for choice in options if choice["key"] == "custom")
    settings = type(node.CUSTOM_START)
    (paper,) = (entry for name, entry in presets(settings).items() if name in ("paper", "paper generate"))
    # Holding the result to its source is no number of the paper's: whoever sets everything starts with it.
    ours = {"consistent": True} if node_id == "RobustUpsample" else {}
    expected = {name: paper.settings.values()[name] for name in PRESETS[node_id]["custom"]} | ours
    assert {name: spec["default"] for name, (_, spec) in custom.items()} == expected


def test_refine_without_a_class_strengthens_what_is_there(pack: ModuleType, classifier: object) -> None:
    image = seeds(pack, classifier, 1)
    refined, _ = pack.RobustTranslate.execute(classifier, image, " ", {"preset": "refine"}, 0).result
    before, after = (pack.RobustClassify.execute(classifier, x, 1).result for x in (image, refined))
    assert after[0] == before[0]
    assert float(after[1].split(": ")[1]) > float(before[1].split(": ")[1])


ONE_STEP = {
    "preset": "custom",
    "steps": 1,
    "step_size": 2.0,
    "epsilon": 10.0,
    "norm": "l2",
    "objective": "logit",
    "final_step": 1.0,
    "jitter": 0,
    "fill": "surround",
    "feather": 0,
    "penalty": 0.0,
    "detail_steps": 0,
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space, which only Linux enforces")
def test_when_memory_runs_out_the_batch_goes_on_in_halves(comfyui: Path, tmp_path: Path) -> None:
    script = f"""
import resource, sys
sys.path.insert(0, {str(comfyui)!r})
import comfy.cli_args
comfy.cli_args.args.cpu = True
comfy.cli_args.args.base_directory = {str(tmp_path)!r}
import torch
torch.set_num_threads(1)
from robust_synthesis import nodes
from robust_synthesis.nodes.comfy import folders
folders.register_classifier_folder()
loaded = nodes.RobustLoadClassifier.execute("canvas").result[0]
image = torch.rand(6, 1024, 1024, 3, generator=torch.Generator().manual_seed(0))
mask = torch.zeros(1, 1024, 1024)
mask[:, 300:700, 300:700] = 1
reports = []
comfy.utils.set_progress_bar_global_hook(lambda *report, **more: reports.append(report))
def fill(image):
    reports.clear()
    result = nodes.RobustInpaint.execute(loaded, image, mask, "church", {ONE_STEP!r}).result[0]
    return result, len(reports)
fill(image[:1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
# Each of the batch's tensors takes 72 MiB: enough for those that outlive a run, not for filling all holes at once.
resource.setrlimit(resource.RLIMIT_AS, (used + 440 * 2**20, resource.RLIM_INFINITY))
halves, steps = fill(image)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
whole, steps_at_once = fill(image)
print(steps_at_once, steps, float((halves - whole).abs().max()))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    steps_at_once, steps, difference = result.stdout.split()
    assert int(steps) > int(steps_at_once), "the memory sufficed, so nothing was halved"
    assert float(difference) <= 1e-5


def test_the_engine_needs_no_comfyui(tmp_path: Path) -> None:
    script = """
import sys
import robust_synthesis, robust_synthesis.synthesis, robust_synthesis.models
known = {name.partition(".")[0] for name in sys.modules}
assert not known & {"comfy", "comfy_api", "folder_paths", "nodes", "server"}, known
print(robust_synthesis.WEB_DIRECTORY, callable(robust_synthesis.comfy_entrypoint))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.stdout.split() == ["./web", "True"], result.stderr


def test_an_input_folder_that_cannot_be_written_costs_only_the_examples(
    pack: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert pack
    import folder_paths

    from robust_synthesis.nodes.comfy.server import provide_example_pictures

    (tmp_path / "file").touch()
    usual = folder_paths.get_input_directory()
    folder_paths.set_input_directory(str(tmp_path / "file" / "input"))
    try:
        provide_example_pictures()
    finally:
        folder_paths.set_input_directory(usual)
    assert "could not put its example pictures" in caplog.text
