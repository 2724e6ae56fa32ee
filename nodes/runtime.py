"""The only file that knows ComfyUI's runtime: folders, devices, memory, progress, previews, cancel."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from PIL import Image
from torch import Tensor

from ..models import RobustClassifier, load_classifier
from ..models.catalog import EXTENSION, bundled_classifiers, user_classifiers
from ..synthesis.ascent import Callback
from ..synthesis.views import working_size

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

FOLDER = "robust_classifiers"
EXAMPLES = Path(__file__).parent.parent / "workflows" / "assets"
EXAMPLE_PREFIX = "robust_"
PREVIEW_SECONDS = 0.25
PREVIEW_PICTURES = 16
PREVIEW_SIDE = 512


@dataclass(frozen=True)
class LoadedClassifier:
    """What travels on a ROBUST_CLASSIFIER wire: the classifier, and ComfyUI's handle on its memory."""

    robust: RobustClassifier
    patcher: ModelPatcher


Work = Callable[[Tensor, slice, Callback], Tensor]
"""From images `[b, 3, H, W]` on the classifier's device, their place in the batch, and a callback, to new images."""


def register_classifier_folder() -> None:
    """Make `ComfyUI/models/robust_classifiers` a model folder of its own, listing only what this pack reads."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].add(EXTENSION)


def provide_example_pictures() -> None:
    """Put the example workflows' pictures where Load Image lists them; those that are there stay as they are."""
    target = Path(folder_paths.get_input_directory())
    try:
        target.mkdir(parents=True, exist_ok=True)
        for picture in EXAMPLES.glob("*.png"):
            place = target / f"{EXAMPLE_PREFIX}{picture.name}"
            if not place.exists():
                shutil.copyfile(picture, place)
    except OSError as error:
        # A read-only or full disk must not cost the artist the nodes.
        logging.warning("Robust Synthesis could not put its example pictures into %s: %s", target, error)


def classifier_choices() -> dict[str, Path]:
    """All classifiers that can be loaded: the bundled ones by name, then the user's by file name."""
    folders = [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]
    return bundled_classifiers() | user_classifiers(folders)


def load(path: Path) -> LoadedClassifier:
    """Read a classifier and hand its memory to ComfyUI, in the precision ComfyUI prefers for the device."""
    device = mm.get_torch_device()
    # Tensors made in inference mode could never take part in a backward pass.
    with torch.inference_mode(False):
        robust = load_classifier(path)
        size = sum(parameter.numel() for parameter in robust.parameters())
        dtype = mm.unet_dtype(device, model_params=size, supported_dtypes=[torch.bfloat16, torch.float32])
        # float16 is left out even when asked for by a flag: small gradients vanish in it.
        robust.network.to(torch.bfloat16 if dtype == torch.bfloat16 else torch.float32)
        patcher = comfy.model_patcher.CoreModelPatcher(
            robust, load_device=device, offload_device=mm.unet_offload_device()
        )
    return LoadedClassifier(robust, patcher)


def synthesize(loaded: LoadedClassifier, images: Tensor, steps: int, work: Work) -> Tensor:
    """Run work on a batch of images on the classifier's device, with progress, previews and cancel.

    When memory runs out, the batch goes on in halves.

    Args:
        loaded: the classifier that work climbs.
        images: `[B, 3, H, W]`.
        steps: how often work calls its callback for each chunk.
        work: see `Work`.

    Returns:
        Work's images in the order of the batch, on ComfyUI's intermediate device and in its dtype.
    """
    count, chunk, results = len(images), len(images), []
    bar = comfy.utils.ProgressBar(steps)
    with torch.inference_mode(False), torch.enable_grad():
        # A clone made here is an ordinary tensor, whatever mode its original was made in.
        images = images.clone()
        position = 0
        while position < count:
            part = slice(position, min(position + chunk, count))
            try:
                made = _run(loaded, images[part], part, work, _Reporter(bar, steps, part, count))
            except Exception as error:
                if not _out_of_memory(error) or chunk == 1:
                    raise
                chunk = (chunk + 1) // 2
            else:
                results.append(made)
                position = part.stop
                continue
            # Out here the exception, and the tensors its traceback holds, are gone.
            mm.soft_empty_cache()
    return torch.cat(results)


def to_intermediate(image: Tensor) -> Tensor:
    """An IMAGE where, and in the precision in which, ComfyUI keeps what passes between nodes."""
    return image.to(device=mm.intermediate_device(), dtype=mm.intermediate_dtype())


def _run(loaded: LoadedClassifier, images: Tensor, part: slice, work: Work, report: Callback) -> Tensor:
    size = working_size(images.shape[2], images.shape[3], loaded.robust.input_size)
    # The pictures at full size: original, result, and a few temporaries of the same size.
    pictures = 6 * images.numel() * 4
    climbing = len(images) * loaded.robust.climbing_bytes(*size)
    mm.load_models_gpu([loaded.patcher], memory_required=pictures + climbing)
    mm.throw_exception_if_processing_interrupted()
    return to_intermediate(work(images.to(loaded.patcher.load_device), part, report))


def _out_of_memory(error: Exception) -> bool:
    # ComfyUI's own test knows accelerators; torch's CPU allocator raises a plain RuntimeError.
    return bool(mm.is_oom(error)) or "DefaultCPUAllocator" in str(error)


class _Reporter:
    """The callback of one chunk: cancel and progress at each step, a preview a few times a second."""

    def __init__(self, bar: comfy.utils.ProgressBar, steps: int, part: slice, count: int) -> None:
        self.bar = bar
        self.steps = steps
        self.part = part
        self.count = count
        self.last_preview = 0.0

    def __call__(self, step: int, _losses: Tensor, images: Tensor) -> None:
        mm.throw_exception_if_processing_interrupted()
        preview = None
        if time.monotonic() - self.last_preview >= PREVIEW_SECONDS:
            preview = ("JPEG", _contact_sheet(images), PREVIEW_SIDE)
            self.last_preview = time.monotonic()
        done = self.part.start * self.steps + len(images) * (step + 1)
        self.bar.update_absolute(done // self.count, self.steps, preview)


def _contact_sheet(images: Tensor) -> Image.Image:
    images = (images[:PREVIEW_PICTURES].permute(0, 2, 3, 1) * 255).round().byte().cpu()
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height))
    for index, pixels in enumerate(images.numpy()):
        sheet.paste(Image.fromarray(pixels), (index % columns * width, index // columns * height))
    return sheet
