"""Run an operation on a batch of pictures: device, memory, progress, previews, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable

import comfy.model_management as mm
import torch
from torch import Tensor

from ...synthesis.ascent import Callback, Picture
from ...synthesis.coarse_to_fine import Plan
from ...synthesis.views import working_size
from ..film import Film
from ..tensors import images_to_comfy
from .classifiers import LoadedClassifier
from .status import Progress

PREVIEW_SECONDS = 0.25
PREVIEW_SHARE = 0.1
"""The share of the time that previews of large pictures may take."""
PREVIEW_PICTURES = 16
WORKING_COPIES = 12
"""How many copies of a full-size picture an operation holds at once."""
CPU_OUT_OF_MEMORY = ("DefaultCPUAllocator", "could not create a primitive")

Work = Callable[[Tensor, slice, Callback], Tensor]
"""From images `[b, 3, H, W]` on the classifier's device, their place in the batch, and a callback, to new images."""


def refuse_beyond_memory(loaded: LoadedClassifier, count: int, height: int, width: int) -> None:
    """Refuse to make pictures that the machine cannot hold.

    Raises:
        ValueError: `count` pictures of this size, and the copies needed to make one of them, exceed the free memory.
    """
    picture = 3 * 4 * height * width
    demands = {loaded.device: WORKING_COPIES * picture}
    # The finished pictures, and the same in ComfyUI's layout.
    host = torch.device("cpu")
    demands[host] = demands.get(host, 0) + 2 * count * picture
    for device, demand in demands.items():
        free = mm.get_free_memory(device)
        if demand > free:
            raise ValueError(
                f"{count} x {width} x {height} pixels would take {demand / 2**30:.1f} GiB of memory on {device}, and "
                f"{free / 2**30:.1f} GiB are free. Take a smaller factor, a smaller picture or fewer at once."
            )


def run_batch(
    loaded: LoadedClassifier,
    images: Tensor,
    work: Work,
    *,
    plan: Plan | None = None,
    steps: int = 1,
    together: bool = True,
    enlarged: int = 1,
    film: Film | None = None,
) -> Tensor:
    """Run work on a batch of images on the classifier's device, with progress, previews and cancel.

    When memory runs out, the batch goes on in halves.

    Args:
        loaded: the classifier that work uses.
        images: `[B, 3, H, W]`.
        work: see `Work`.
        plan: of work's ascent: it tells the number of steps and the largest input of the network.
        steps: how often work calls its callback for each chunk; for work without a plan, whose network input is the
            images at about the classifier's own size.
        together: False for one image at a time, where the view of an image must not depend on the rest of the batch.
        enlarged: how many times as wide and high work's images are.
        film: collects its frames.

    Returns:
        Work's images in the order of the batch, on ComfyUI's intermediate device and in its dtype.

    Raises:
        ValueError: the film would not fit into memory.
    """
    count, film = len(images), film or Film(0)
    steps = plan.steps if plan else steps
    if film.every:
        height, width = (side * enlarged for side in images.shape[2:])
        refuse_beyond_memory(loaded, count * (film.count(steps) + 1), height, width)
    progress = Progress()
    with torch.inference_mode(False), torch.enable_grad():
        # A clone made here is an ordinary tensor, even of an inference tensor.
        images = images.clone()

        def run(part: slice) -> Tensor:
            report = _Reporter(progress, steps, part, count, film)
            made = _run(loaded, images[part], part, work, plan, report, enlarged)
            if film.every:
                film.add(report.frames, images_to_comfy(made))
            return made

        return _in_parts(run, count, count if together else 1)


def _in_parts(run: Callable[[slice], Tensor], count: int, size: int) -> Tensor:
    """Run on parts of a batch of `count`, of some size at first; when memory runs out, of half of it."""
    results: Tensor | None = None
    position = 0
    while position < count:
        part = slice(position, min(position + size, count))
        try:
            made = run(part)
        except Exception as error:
            if not _out_of_memory(error) or size == 1:
                raise
            size = (size + 1) // 2
        else:
            if results is None:
                # One tensor for all, because joining a list of parts would hold them twice.
                results = made if len(made) == count else made.new_empty(count, *made.shape[1:])
            results[part] = made
            position = part.stop
            continue
        # Here, outside of `except`, the traceback no longer holds the tensors.
        mm.soft_empty_cache()
    assert results is not None, "a batch has at least one picture"
    return results


def to_intermediate(image: Tensor) -> Tensor:
    """A tensor on the device and in the dtype that ComfyUI passes between nodes."""
    return image.to(device=mm.intermediate_device(), dtype=mm.intermediate_dtype())


def empty_device() -> torch.device:
    """The device to compute on, after all models have left it."""
    mm.unload_all_models()
    device: torch.device = mm.get_torch_device()
    return device


def _run(
    loaded: LoadedClassifier,
    images: Tensor,
    part: slice,
    work: Work,
    plan: Plan | None,
    report: Callback,
    enlarged: int,
) -> Tensor:
    count, height, width = (
        plan.network_input(len(images))
        if plan
        else (len(images), *working_size(images.shape[2], images.shape[3], loaded.model.input_size))
    )
    pictures = WORKING_COPIES * images.numel() * 4 * enlarged**2
    activations = loaded.model.activation_bytes(height, width, count) + (plan.kept_bytes if plan else 0)
    loaded.to_device(pictures + activations)
    mm.throw_exception_if_processing_interrupted()
    return to_intermediate(work(images.to(loaded.device), part, report))


def _out_of_memory(error: Exception) -> bool:
    # ComfyUI's own test knows accelerators; on a CPU torch and its oneDNN raise a plain RuntimeError.
    return bool(mm.is_oom(error)) or any(words in str(error) for words in CPU_OUT_OF_MEMORY)


class _Reporter:
    """The callback of one chunk: progress and frames at each step, a preview a few times a second."""

    def __init__(self, progress: Progress, steps: int, part: slice, count: int, film: Film) -> None:
        self.progress = progress
        self.steps = steps
        self.part = part
        self.count = count
        self.film = film
        self.frames: list[Tensor] = []
        self.last_step = -1
        self.next_preview = 0.0

    def __call__(self, step: int, losses: Tensor, picture: Picture) -> None:
        # A step over many views is reported several times.
        if self.film.wants(step) and step > self.last_step:
            # Converted at once, so that a long film is not held in both layouts.
            self.frames.append(images_to_comfy(to_intermediate(picture())))
        self.last_step = step
        done = self.part.start * self.steps + len(losses) * (step + 1)
        started = time.monotonic()
        preview = picture()[:PREVIEW_PICTURES] if started >= self.next_preview else None
        self.progress(done // self.count, self.steps, preview)
        if preview is not None:
            took = time.monotonic() - started
            self.next_preview = started + max(PREVIEW_SECONDS, took / PREVIEW_SHARE)
