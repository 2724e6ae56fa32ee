"""How well maps of a class find the thing, on test pictures of `canvas` whose masks were drawn by hand.

The masks are GrabCut's (Rother et al., 2004), from rectangles and strokes that a person set, each looked at. They chose
Class Mask's method and settings too, so its figures are those of a fit, not of a test.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import class_loss
from robust_synthesis.synthesis.tasks.class_mask import FINENESS, SCALES, activation_map, gradient_map, on_edges
from robust_synthesis.synthesis.views import resized

from ..command_line import new_parser, read
from ..data import data_set
from ..table import Table

MASKS = Path(__file__).with_name("object_masks.png")
"""White where the thing is; the pictures of `PICTURES` in rows of eight."""
SIDE, COLUMNS = 128, 8
PICTURES = {
    "horse": (4, 5, 8, 9, 13, 17, 18, 21, 22, 26, 29, 30),
    "zebra": (12, 14, 18),
    "lion": (3, 16, 30),
    "samoyed": (7, 12, 13, 24),
    "parachute": (16, 30),
    "sunflower": (15, 17),
    "church": (6, 28, 29),
}
THRESHOLDS = [step / 20 for step in range(1, 20)]

Method = Callable[[Tensor], Tensor]
"""From what the classifier sees, `[N, 3, S, S]`, to maps `[N, 1, h, w]`."""


def average_precision(values: Tensor, mask: Tensor) -> float:
    """Of a map as a ranking of the pixels of a bool mask of its shape."""
    hits = mask.flatten()[values.flatten().argsort(descending=True)].float()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


def overlaps(maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """Intersection over union `[N]` of maps above a threshold with masks."""
    found = maps > threshold
    return (found & masks).sum((1, 2, 3)) / (found | masks).sum((1, 2, 3))


def layer_cam(classifier: RobustClassifier, seen: Tensor, weights: Tensor) -> Tensor:
    """LayerCAM (Jiang et al., 2021) of every block but the last, each stretched to [0, 1], added up."""
    kept: list[Tensor] = []
    network = classifier.network
    blocks = [block for name, block in network.named_modules() if name.startswith("layer") and name.count(".") == 1]
    handles = [block.register_forward_hook(lambda _m, _i, output: kept.append(output)) for block in blocks[:-1]]
    leaf = seen.clone().requires_grad_()
    losses = class_loss(classifier, weights, "margin")(leaf)
    for handle in handles:
        handle.remove()
    total = torch.zeros_like(seen[:, :1])
    for maps, gradient in zip(kept, torch.autograd.grad(losses.sum(), kept), strict=True):
        own = ((-gradient).clamp(min=0) * maps.detach()).sum(1, keepdim=True).clamp(min=0)
        own = F.interpolate(own, seen.shape[2:], mode="bilinear", align_corners=False)
        total += own / own.amax((2, 3), keepdim=True)
    return total / len(kept)


def methods(classifier: RobustClassifier, weights: Tensor) -> dict[str, Method]:
    """All methods by name; the last is Class Mask's."""

    def gradient(seen: Tensor) -> Tensor:
        return gradient_map(classifier, seen, weights, None)

    def activation(seen: Tensor) -> Tensor:
        return torch.stack([activation_map(classifier, seen, weights, scale, None) for scale in SCALES]).prod(0)

    return {
        "smoothed gradient": gradient,
        "LayerCAM, all blocks": lambda seen: layer_cam(classifier, seen, weights),
        "activation maps, enlarged and shifted": activation,
        "activation maps x root of the gradient": lambda seen: activation(seen) * gradient(seen).sqrt(),
    }


def main() -> None:
    """Print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("data", type=Path, help="the folder that holds canvas-128.zip")
    data = data_set(read(parser, {}).data, "canvas-128")
    classifier = load_classifier(bundled_classifiers()["canvas"])
    names = [(label, number) for label, numbers in PICTURES.items() for number in numbers]
    with ZipFile(data) as archive:
        files = [archive.read(f"test/{label}/{number:04}.webp") for label, number in names]
    arrays = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    images = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
    sheet = torch.from_numpy(np.asarray(Image.open(MASKS)).copy())
    masks = sheet.unflatten(1, (COLUMNS, SIDE)).unflatten(0, (-1, SIDE)).transpose(1, 2).flatten(0, 1)
    masks = masks[: len(names), None]
    classes = torch.tensor([classifier.labels.index(label) for label, _ in names])
    weights = F.one_hot(classes, len(classifier.labels)).float()
    seen = resized(images, (classifier.input_size, classifier.input_size))
    table = Table(f"Where the thing is, {len(names)} pictures", {"AP": ".3f", "IoU": ".3f", "threshold": ".2f"})
    for name, method in methods(classifier, weights).items():
        evidence = method(seen)
        plain = F.interpolate(evidence, images.shape[2:], mode="bilinear", align_corners=False)
        for title, maps in (
            (name, plain / plain.amax((2, 3), keepdim=True)),
            ("... and colours and edges", on_edges(images, evidence, FINENESS * classifier.input_size)),
        ):
            precision = sum(average_precision(*pair) for pair in zip(maps, masks, strict=True)) / len(maps)
            means = {threshold: float(overlaps(maps, masks, threshold).mean()) for threshold in THRESHOLDS}
            best = max(means, key=means.__getitem__)
            table.row(title, precision, means[best], best)


if __name__ == "__main__":
    main()
