"""The only file that knows ComfyUI's runtime: folders, devices, memory, progress, previews, cancel."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from aiohttp import web
from comfy.cli_args import args
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from torch import Tensor

from ..models import RobustClassifier, native_bfloat16, open_classifier, optimize_for_inference, save_classifier
from ..models.catalog import EXTENSION, EXTENSIONS, Choice, HubFile, choices, find
from ..models.class_lists import class_list
from ..models.hub import download
from ..synthesis.ascent import Callback, Picture
from ..synthesis.views import TILES_AT_ONCE, working_size
from ..training import CardInfo, Progress, Recipe, RunExistsError, RunPaths, class_names, read_data, train
from ..training.samples import painted
from .film import Film
from .tensors import images_to_comfy

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

FOLDER = "robust_classifiers"
EXAMPLES = Path(__file__).parent.parent / "workflows" / "assets"
EXAMPLE_PREFIX = "robust_"
TRAINING = "robust_training"
"""The folder in ComfyUI's output folder that trainings keep their pictures and figures in."""
PREVIEW_SECONDS = 0.25
PREVIEW_SHARE = 0.1
"""Of the time, at most, for previews of large pictures."""
WORDS_SECONDS = 1.0
PREVIEW_PICTURES = 16
PREVIEW_SIDE = 512
# Of a picture at full size, while it climbs.
WORKING_COPIES = 12
CPU_OUT_OF_MEMORY = ("DefaultCPUAllocator", "could not create a primitive")


@dataclass(frozen=True)
class LoadedClassifier:
    """What travels on a ROBUST_CLASSIFIER wire: the classifier, and ComfyUI's handle on its memory."""

    model: RobustClassifier
    patcher: ModelPatcher
    source: Path
    """The file it came from, whose weights have the precision they were saved in."""


Work = Callable[[Tensor, slice, Callback], Tensor]
"""From images `[b, 3, H, W]` on the classifier's device, their place in the batch, and a callback, to new images."""


def register_classifier_folder() -> None:
    """Make `ComfyUI/models/robust_classifiers` a model folder of its own, listing only what this pack reads."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].update(EXTENSIONS)


def register_routes() -> None:
    """Tell the front end what to show beside the names of classifiers, and the class names of one."""
    # ComfyUI's nodes can be used without its server.
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    routes: web.RouteTableDef = server.routes

    @routes.get("/robust_synthesis/classifiers")
    async def notes(_request: web.Request) -> web.Response:
        return web.json_response({name: choice.note for name, choice in classifier_choices().items()})

    @routes.get("/robust_synthesis/classes")
    async def classes(request: web.Request) -> web.Response:
        if "folder" in request.query:
            # A folder may be large, or far away.
            names, message = await asyncio.to_thread(_folder_classes, request.query["folder"])
        else:
            names, message = class_list(request.query.get("classifier", ""), _classifier_folders())
        return web.json_response({"classes": names, "message": message})


def provide_example_pictures() -> None:
    """Put the example workflows' pictures into ComfyUI's input folder; those that are there stay as they are."""
    target = Path(folder_paths.get_input_directory())
    try:
        target.mkdir(parents=True, exist_ok=True)
        for picture in EXAMPLES.glob("*.png"):
            place = target / f"{EXAMPLE_PREFIX}{picture.name}"
            if not place.exists():
                shutil.copyfile(picture, place)
        for archive in EXAMPLES.glob("*.zip"):
            place = target / f"{EXAMPLE_PREFIX}{archive.stem}"
            if not place.exists():
                with tempfile.TemporaryDirectory(dir=target, prefix=".unpacking-") as unpacking:
                    shutil.unpack_archive(archive, Path(unpacking) / "whole")
                    (Path(unpacking) / "whole").rename(place)
    except OSError as error:
        # A read-only or full disk must not cost the artist the nodes.
        logging.warning("Robust Synthesis could not put its example pictures into %s: %s", target, error)


def classifier_choices() -> dict[str, Choice]:
    """All classifiers that can be loaded: the bundled ones, the user's files, those on the Hub."""
    return choices(_classifier_folders())


def classifier_choice(name: str) -> Choice:
    """The classifier of a name.

    Raises:
        LookupError: there is none; the message has the nearest names.
    """
    return find(name, _classifier_folders())


def load(choice: Choice) -> LoadedClassifier:
    """Read a classifier, after downloading it if it is not here, and hand its memory to ComfyUI.

    It is made fast, in the precision that suits the device. What was done besides is said on the node.

    Raises:
        DownloadError: it is not here, and could not be downloaded.
        CheckpointError: the file is not a classifier this pack can read.
    """
    path = choice.path
    if path is None:
        assert choice.hub, "a classifier that is not here is on the Hub"
        path = _download(choice.hub)
        show_status(f"{path.name} is here. Reading it ...")
    return _loaded(path, choice.hub.about if choice.hub else None)


def _loaded(path: Path, about: Mapping[str, Any] | None = None) -> LoadedClassifier:
    # Tensors made in inference mode could never take part in a backward pass.
    with torch.inference_mode(False):
        opened = open_classifier(path, about)
        if opened.notes:
            show_status("\n".join(opened.notes))
        robust, device = opened.classifier, mm.get_torch_device()
        optimize_for_inference(robust, _precision(device, sum(parameter.numel() for parameter in robust.parameters())))
        patcher = comfy.model_patcher.CoreModelPatcher(
            robust, load_device=device, offload_device=mm.unet_offload_device()
        )
    return LoadedClassifier(robust, patcher, opened.source)


def _precision(device: torch.device, size: int) -> torch.dtype:
    """What the weights of a network of so many numbers are to be in."""
    if mm.is_device_cpu(device) and native_bfloat16() and not (args.fp32_unet or args.force_fp32):
        return torch.bfloat16
    # float16 is left out even when asked for by a flag: small gradients vanish in it.
    dtype = mm.unet_dtype(device, model_params=size, supported_dtypes=[torch.bfloat16, torch.float32])
    return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32


def save(loaded: LoadedClassifier, name: str) -> Path:
    """Save a classifier, with the class seeds it has now, in the folder that Load Robust Classifier lists.

    An existing file is never replaced: the new one gets a number.

    Args:
        loaded: what to save.
        name: the file's name, without an extension; folders in it are made.

    Returns:
        Where it is.

    Raises:
        ValueError: a name that is empty, or that leads out of the folder.
    """
    place = next(path for path in _numbered(_own_file(name)) if not path.exists())
    # The weights in memory may have been rounded to what suits the device.
    with torch.inference_mode(False):
        original = open_classifier(loaded.source).classifier
        save_classifier(original.with_seeds(loaded.model.seeds) if loaded.model.seeds else original, place)
    return place


def train_classifier(folder: str, recipe: Recipe, epochs: int | None, name: str) -> tuple[LoadedClassifier, Tensor]:
    """Train a classifier on a folder of class folders inside ComfyUI's input folder, or go on with it.

    The same folder, recipe and name go on with what was stopped. Another classifier of that name is never replaced:
    the new one gets a number. Progress, and what the classifier would paint, are shown on the node.

    Args:
        folder: its name; a zip file does as well.
        recipe: how to train.
        epochs: instead of the recipe's.
        name: of the classifier's file, without an extension.

    Returns:
        The classifier, and pictures `[B, 3, S, S]` in [0, 1] of its classes.

    Raises:
        ValueError: a name that leads elsewhere, or pictures that cannot be trained on.
        RunError: it could not be saved.
    """
    source, wanted = input_folder(folder), _own_file(name)
    with torch.inference_mode(False), torch.enable_grad():
        data = read_data(source, recipe.input_size, _reading())
        if data.left_out:
            show_status(data.left_out)
        # They could hold all of a GPU's memory.
        mm.unload_all_models()
        for result in _numbered(wanted):
            kept = result.relative_to(_classifier_folders()[0].resolve()).with_suffix("")
            place = RunPaths(result, Path(folder_paths.get_output_directory()) / TRAINING / kept)
            try:
                about, report = CardInfo(result.stem, f"'{folder}'"), _TrainingReporter(result.stem)
                trained = train(data, recipe, place, about, mm.get_torch_device(), epochs, report)
                break
            except RunExistsError:
                continue
            except mm.InterruptProcessingException:
                show_status(f"Stopped. The best so far is {result.name}; run it again to go on.")
                raise
        figures = trained.card.training
        show_status(
            f"Saved as {result.name}: {figures['clean_accuracy']:.0%} of the pictures kept aside are named rightly, "
            f"{figures['robust_accuracy']:.0%} under attack."
        )
        loaded = _loaded(result)
        mm.load_models_gpu([loaded.patcher])
        assert loaded.model.seeds, "what is trained here has class seeds"
        return loaded, painted(loaded.model, loaded.model.seeds)


def _folder_classes(folder: str) -> tuple[list[list[str]], str]:
    """The names of the classes that a folder has pictures of, or why there are none, as a phrase."""
    try:
        return [[name] for name in class_names(input_folder(folder))], ""
    except (ValueError, OSError) as error:
        return [], str(error)


def _reading() -> Callable[[int, int], None]:
    bar: comfy.utils.ProgressBar | None = None

    def report(done: int, count: int) -> None:
        nonlocal bar
        mm.throw_exception_if_processing_interrupted()
        bar = bar or comfy.utils.ProgressBar(count)
        bar.update_absolute(done, count)

    return report


def _own_file(name: str) -> Path:
    """Where a classifier of a name belongs, in the folder that Load Robust Classifier lists.

    Raises:
        ValueError: a name that is empty, or that leads out of the folder.
    """
    folder = _classifier_folders()[0].resolve()
    place = (folder / f"{name.strip().removesuffix(EXTENSION)}{EXTENSION}").resolve()
    if not place.name.removesuffix(EXTENSION).strip(". ") or not place.is_relative_to(folder):
        raise ValueError(f"'{name}' is no name for a file in models/{FOLDER}: write one like 'my churches'.")
    return place


def _numbered(place: Path) -> Iterator[Path]:
    """A file's own place, and those of its name with a number: 2, 3, and so on."""
    yield place
    stem = place.name.removesuffix(EXTENSION)
    for number in itertools.count(2):
        yield place.with_name(f"{stem}_{number}{EXTENSION}")


def input_folder(name: str) -> Path:
    """A folder inside ComfyUI's input folder.

    Raises:
        ValueError: a name that leads out of it.
    """
    inputs = Path(folder_paths.get_input_directory()).resolve()
    place = (inputs / name.strip()).resolve()
    if not place.is_relative_to(inputs):
        raise ValueError(f"'{name}' is not inside ComfyUI's input folder: put the folder with your pictures there.")
    return place


def show_status(text: str) -> None:
    """Show a message on the node that is running, and in the log."""
    logging.info("Robust Synthesis: %s", text)
    context = get_executing_context()
    if context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


def refuse_beyond_memory(loaded: LoadedClassifier, count: int, height: int, width: int) -> None:
    """Refuse to make pictures that the machine cannot hold.

    Raises:
        ValueError: `count` pictures of this size, and what making one of them takes, need more than there is.
    """
    picture = 3 * 4 * height * width
    device, host = loaded.patcher.load_device, torch.device("cpu")
    demands = {device: WORKING_COPIES * picture}
    # The finished pictures, and the same in ComfyUI's layout.
    demands[host] = demands.get(host, 0) + 2 * count * picture
    for place, demand in demands.items():
        free = mm.get_free_memory(place)
        if demand > free:
            raise ValueError(
                f"{count} x {width} x {height} pixels would take {demand / 2**30:.1f} GiB of memory on {place}, and "
                f"{free / 2**30:.1f} GiB are free. Take a smaller factor, a smaller picture or fewer at once."
            )


def synthesize(
    loaded: LoadedClassifier,
    images: Tensor,
    steps: int,
    work: Work,
    together: bool = True,
    enlarged: int = 1,
    film: Film | None = None,
) -> Tensor:
    """Run work on a batch of images on the classifier's device, with progress, previews and cancel.

    When memory runs out, the batch goes on in halves.

    Args:
        loaded: the classifier that work climbs.
        images: `[B, 3, H, W]`.
        steps: how often work calls its callback for each chunk, at most.
        work: see `Work`.
        together: False for one image at a time, where what one needs must not depend on its neighbours.
        enlarged: how many times as wide and high work's images are.
        film: gets the pictures on the way that it wants.

    Returns:
        Work's images in the order of the batch, on ComfyUI's intermediate device and in its dtype.

    Raises:
        ValueError: the film would not fit into memory.
    """
    count, results, film = len(images), None, film or Film(0)
    if film.every:
        height, width = (side * enlarged for side in images.shape[2:])
        refuse_beyond_memory(loaded, count * (film.count(steps) + 1), height, width)
    chunk = count if together else 1
    bar = comfy.utils.ProgressBar(steps)
    with torch.inference_mode(False), torch.enable_grad():
        # A clone made here is an ordinary tensor, whatever mode its original was made in.
        images = images.clone()
        position = 0
        while position < count:
            part = slice(position, min(position + chunk, count))
            report = _Reporter(bar, steps, part, count, film)
            try:
                made = _run(loaded, images[part], part, work, report, enlarged)
            except Exception as error:
                if not _out_of_memory(error) or chunk == 1:
                    raise
                chunk = (chunk + 1) // 2
            else:
                if results is None:
                    # Of all at once, because a list of parts would have to be held twice to be joined.
                    results = made if len(made) == count else made.new_empty(count, *made.shape[1:])
                results[part] = made
                if film.every:
                    film.add(report.frames, images_to_comfy(made))
                position = part.stop
                continue
            # Out here the exception, and the tensors its traceback holds, are gone.
            mm.soft_empty_cache()
    assert results is not None, "a batch has at least one picture"
    return results


def to_intermediate(image: Tensor) -> Tensor:
    """An IMAGE where, and in the precision in which, ComfyUI keeps what passes between nodes."""
    return image.to(device=mm.intermediate_device(), dtype=mm.intermediate_dtype())


def _classifier_folders() -> list[Path]:
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def _download(file: HubFile) -> Path:
    bar = comfy.utils.ProgressBar(round(file.megabytes * 1e6))
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        mm.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)
        if time.monotonic() - last >= WORDS_SECONDS:
            last = time.monotonic()
            show_status(f"Downloading {file.filename}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return download(file, _classifier_folders()[0], report)


def _run(loaded: LoadedClassifier, images: Tensor, part: slice, work: Work, report: Callback, enlarged: int) -> Tensor:
    size = working_size(images.shape[2], images.shape[3], loaded.model.input_size)
    # The pictures at full size: original, result, and temporaries of the same size.
    pictures = WORKING_COPIES * images.numel() * 4 * enlarged**2
    climbing = max(len(images), TILES_AT_ONCE) * loaded.model.activation_bytes(*size)
    mm.load_models_gpu([loaded.patcher], memory_required=pictures + climbing)
    mm.throw_exception_if_processing_interrupted()
    return to_intermediate(work(images.to(loaded.patcher.load_device), part, report))


def _out_of_memory(error: Exception) -> bool:
    # ComfyUI's own test knows accelerators; on a CPU torch and its oneDNN raise a plain RuntimeError.
    return bool(mm.is_oom(error)) or any(words in str(error) for words in CPU_OUT_OF_MEMORY)


class _Reporter:
    """The callback of one chunk: cancel, progress and film at each step, a preview a few times a second."""

    def __init__(self, bar: comfy.utils.ProgressBar, steps: int, part: slice, count: int, film: Film) -> None:
        self.bar = bar
        self.steps = steps
        self.part = part
        self.count = count
        self.film = film
        self.frames: list[Tensor] = []
        self.next_preview = 0.0

    def __call__(self, step: int, losses: Tensor, picture: Picture) -> None:
        mm.throw_exception_if_processing_interrupted()
        preview, now = None, time.monotonic()
        if self.film.wants(step):
            # In ComfyUI's layout at once, so that a long film is not held in both.
            self.frames.append(images_to_comfy(to_intermediate(picture())))
        if now >= self.next_preview:
            preview = ("JPEG", _contact_sheet(picture()[:PREVIEW_PICTURES]), PREVIEW_SIDE)
            took = time.monotonic() - now
            self.next_preview = now + max(PREVIEW_SECONDS, took / PREVIEW_SHARE)
        done = self.part.start * self.steps + len(losses) * (step + 1)
        self.bar.update_absolute(done // self.count, self.steps, preview)


class _TrainingReporter:
    """The callback of a training: cancel, progress, words now and then, and the pictures on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: comfy.utils.ProgressBar | None = None
        self.next_words = 0.0

    def __call__(self, progress: Progress) -> None:
        mm.throw_exception_if_processing_interrupted()
        self.bar = self.bar or comfy.utils.ProgressBar(progress.steps)
        preview = None
        if progress.samples is not None:
            preview = ("JPEG", _contact_sheet(progress.samples), PREVIEW_SIDE)
        self.bar.update_absolute(progress.step, progress.steps, preview)
        if time.monotonic() >= self.next_words:
            self.next_words = time.monotonic() + WORDS_SECONDS
            show_status(f"{self.name}: {progress}")


def _contact_sheet(images: Tensor) -> Image.Image:
    images = (images.permute(0, 2, 3, 1) * 255).round().byte().cpu()
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height))
    for index, pixels in enumerate(images.numpy()):
        sheet.paste(Image.fromarray(pixels), (index % columns * width, index // columns * height))
    return sheet
