"""Inception Score and FID by torch-fidelity, which downloads Inception's weights (91 MB).

Generates the pictures that are missing in --generated, of all classes in turn, and compares them with the photographs
in --real. FID falls as the number of pictures grows: name that number with the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch_fidelity  # type: ignore[import-untyped]
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from robust_synthesis.models import RobustClassifier, bundled_classifiers, load_classifier
from robust_synthesis.synthesis import (
    AscentSettings,
    Mix,
    TranslateSettings,
    class_seeds,
    detailed_class_seeds,
    preset,
    translate,
)

from ..command_line import new_parser, read
from ..table import Table
from .batches import BATCH_SIZE, Draw

# Dual Adversarial Training (arXiv 2510.13872), for `resnet50_l2_eps3` with photographs as seeds.
DUAL = TranslateSettings(ascent=AscentSettings(steps=13, step_size=8.0, keep_best=False), objective="logit")
SETTINGS = {
    "generate": preset(TranslateSettings, "generate").settings,
    "dual": DUAL,
    "paper": preset(TranslateSettings, "paper generate").settings,
}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def inception_metrics(
    generated: Path, real: Path, side: int, extractor: str = "inception-v3-compat"
) -> tuple[float, float]:
    """Inception Score and FID of a folder of pictures against one of photographs.

    Args:
        generated: PNG, JPEG or WebP files, also in folders within.
        real: the same.
        side: torch-fidelity resizes the shorter side to so many pixels and crops the centre.
        extractor: a feature extractor that torch-fidelity knows.
    """
    cuda = torch.cuda.is_available()
    metrics = torch_fidelity.calculate_metrics(
        input1=str(generated),
        input2=str(real),
        isc=True,
        fid=True,
        feature_extractor=extractor,
        samples_find_deep=True,
        samples_find_ext=",".join(suffix[1:] for suffix in SUFFIXES),
        samples_resize_and_crop=side,
        cuda=cuda,
        # Its loading processes only help where the network is faster than the disk.
        save_cpu_ram=not cuda,
        cache=False,
        verbose=False,
    )
    return metrics["inception_score_mean"], metrics["frechet_inception_distance"]


def generate_into(
    folder: Path,
    classifier: RobustClassifier,
    settings: TranslateSettings,
    count: int,
    photos: Path | None,
    draw: Draw = detailed_class_seeds,
) -> None:
    """Write `count` pictures, of each class in turn; those that exist stay.

    Args:
        folder: where to.
        classifier: makes them, on a GPU if there is one.
        settings: of the ascent.
        count: how many.
        photos: a folder of photographs to start from; None for the classifier's class seeds.
        draw: draws class seeds.

    Raises:
        SystemExit: there is nothing to start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in photos.rglob("*") if file.suffix.lower() in SUFFIXES) if photos else []
    if not files and classifier.seeds is None:
        raise SystemExit("The classifier has no class seeds: name a folder of photographs with --photos.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classes, classifier = len(classifier.labels), classifier.to(device)
    for c in range(classes):
        missing = [n for n in range(c, count, classes) if not (folder / f"{n:06}.png").exists()]
        for start in range(0, len(missing), BATCH_SIZE):
            numbers, mix = missing[start : start + BATCH_SIZE], Mix.single(c)
            seeds = _starts(classifier, files, mix, numbers, draw).to(device)
            for number, image in zip(numbers, translate(classifier, seeds, mix, settings, numbers).cpu(), strict=True):
                to_pil_image((image * 255).round().byte()).save(folder / f"{number:06}.png")


def _starts(
    classifier: RobustClassifier, files: Sequence[Path], mix: Mix, numbers: Sequence[int], draw: Draw
) -> Tensor:
    side = classifier.input_size
    if not files:
        assert classifier.seeds is not None
        return draw(classifier.seeds, mix, side, side, numbers)
    draws = [int(torch.randint(len(files), (), generator=torch.Generator().manual_seed(n))) for n in numbers]
    photos = [np.asarray(ImageOps.fit(Image.open(files[draw]).convert("RGB"), (side, side))) for draw in draws]
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous().float() / 255


def main() -> None:
    """Generate what is missing, and print the metrics."""
    parser = new_parser(__doc__)
    parser.add_argument("--generated", type=Path, required=True, metavar="DIR", help="of the generated pictures")
    parser.add_argument("--real", type=Path, required=True, metavar="DIR", help="of the photographs to compare with")
    parser.add_argument("--classifier", default="canvas", metavar="NAME", help="a bundled one, or a file")
    parser.add_argument("--settings", choices=SETTINGS, default="generate")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="start from these instead of class seeds")
    parser.add_argument("--count", type=int, default=50_000, metavar="N", help="how many pictures")
    arguments = read(parser, {"count": 39}, "cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(bundled_classifiers().get(arguments.classifier, Path(arguments.classifier)))
    settings = SETTINGS[arguments.settings]
    draw = class_seeds if arguments.settings == "paper" else detailed_class_seeds
    generate_into(arguments.generated, classifier, settings, arguments.count, arguments.photos, draw)
    table = Table(classifier.card.title, {"pictures": "d", "steps": "d", "IS": ".2f", "FID": ".2f"})
    metrics = inception_metrics(arguments.generated, arguments.real, classifier.input_size)
    table.row(f"`{arguments.settings}`", arguments.count, settings.ascent.steps, *metrics)


if __name__ == "__main__":
    main()
