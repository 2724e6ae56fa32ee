"""Live Canvas."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from ..synthesis.live import Painting, digest, read_revision
from ..synthesis.live.files import FAST, LARGEST_SIDE
from .comfy.classifiers import LoadedClassifier
from .comfy.execution import to_intermediate
from .comfy.folders import painting_file, stamp, temporary_picture
from .comfy.live_bases import blank, check_sides, eight_bits
from .comfy.live_sessions import sessions
from .comfy.status import show_status
from .live_requests import SMALLEST_SIDE
from .sockets import CATEGORY, classifier_input
from .tensors import images_from_comfy, images_to_comfy

DEFAULT_SIDE = 768


class RobustCanvas(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RobustCanvas",
            display_name="Live Canvas",
            category=CATEGORY,
            description="Paint with the classes and features of the classifier, and watch them grow under the brush. "
            "Open shows the canvas; the queue takes what is painted there.",
            search_aliases=["live canvas", "robust canvas", "painter", "brush", "draw", "interactive", "real time"],
            inputs=[
                classifier_input(),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture to paint on, of 64 to 4096 pixels a side. Transparency is flattened onto white. "
                    "Without one: an empty canvas, or what you choose in it.",
                ),
                _side_input("width", "Width of an empty canvas, in pixels, where no image is wired in."),
                _side_input("height", "Height of an empty canvas, in pixels, where no image is wired in."),
                io.String.Input(
                    "painting",
                    default="",
                    optional=True,
                    tooltip="The file of your painting in ComfyUI's input folder; the canvas writes it here. Empty it "
                    "to begin anew: the file stays.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The painting, exactly as the canvas shows it."),
                io.Mask.Output("mask", tooltip="What was painted: 1 where the brush went, soft where it was soft."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, painting: str | None = "", **_others: Any) -> object:
        # What another node will give is None.
        try:
            return painting and _file_stamp(painting)
        except (ValueError, OSError):
            # The node itself says why. NaN is never equal.
            return float("nan")

    @classmethod
    def execute(
        cls,
        classifier: LoadedClassifier,  # noqa: ARG003 (the canvas asks for it, on the graph)
        image: Tensor | None = None,
        width: int = DEFAULT_SIDE,
        height: int = DEFAULT_SIDE,
        painting: str = "",
    ) -> io.NodeOutput:
        base = blank(width, height) if image is None else _base(image)
        painted = _read(painting) if painting.strip() else Painting(base)
        if not painting.strip():
            show_status("Nothing is painted yet: press Open.")
        changed = image is not None and digest(base) != digest(painted.base)
        if changed:
            show_status(
                "The image has changed since it was painted on. The painting is kept as it is; open the canvas to "
                "paint your strokes on the new image, or to begin anew."
            )
        told: dict[str, Any] = {"robust_canvas_changed": [changed]}
        if image is not None:
            told["robust_canvas_base"] = [_written(base)]
        picture, mask = (pixels.float()[None] / 255 for pixels in (painted.picture, painted.painted))
        return io.NodeOutput(to_intermediate(images_to_comfy(picture)), to_intermediate(mask[0]), ui=told)


def _base(image: Tensor) -> Tensor:
    """The picture `uint8 [3, H, W]` of an IMAGE of one.

    Raises:
        ValueError: there are several, or it is too small or too large to paint on.
    """
    if len(image) > 1:
        raise ValueError(
            f"The Live Canvas paints on one picture, and here are {len(image)}: put Image From Batch between."
        )
    images = images_from_comfy(image)
    check_sides(images.shape[3], images.shape[2])
    return eight_bits(images)


def _read(painting: str) -> Painting:
    """A painting, with all that is painted by now.

    Raises:
        ValueError: it is not there, or cannot be read.
    """
    path = painting_file(painting)
    sessions.settle(painting)
    if not path.with_suffix(".json").is_file():
        raise ValueError(
            f"The painting '{painting}' is not in ComfyUI's input folder. Copy its folder there, or empty the field "
            "painting to begin a new one."
        )
    return read_revision(path)


def _file_stamp(painting: str) -> object:
    path = painting_file(painting)
    sessions.settle(painting)
    return [stamp(file) for file in (path, path.with_suffix(".json"))]


def _written(base: Tensor) -> dict[str, str]:
    """Where the canvas finds the picture to paint on: a file in ComfyUI's temp folder."""
    path, place = temporary_picture(f"robust_canvas_{digest(base)}.png")
    if not path.is_file():
        to_pil_image(base).save(path, compress_level=FAST)
    return place


def _side_input(name: str, tooltip: str) -> io.Input:
    return io.Int.Input(name, default=DEFAULT_SIDE, min=SMALLEST_SIDE, max=LARGEST_SIDE, optional=True, tooltip=tooltip)
