"""The field's own figures, Inception Score and FID, by torch-fidelity, which downloads Inception's weights (91 MB)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch_fidelity  # type: ignore[import-untyped]
from PIL import Image, ImageOps
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import Mix, TranslateSettings, class_seeds, translate

from .measures import BATCH

# Dual Adversarial Training (arXiv 2510.13872), for `resnet50_l2_eps3` with photographs as seeds.
DUAL = TranslateSettings(steps=13, step_size=8.0, norm="free", objective="logit", keep_best=False)
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def inception_figures(
    generated: Path, real: Path, side: int, extractor: str = "inception-v3-compat"
) -> tuple[float, float]:
    """Inception Score and FID of a folder of pictures against one of photographs, all cropped to `side` pixels.

    Args:
        generated: PNG, JPEG or WebP files, also in folders within.
        real: the same.
        side: what torch-fidelity resizes the shorter side to before it crops the centre.
        extractor: a feature extractor that torch-fidelity knows.
    """
    cuda = torch.cuda.is_available()
    figures = torch_fidelity.calculate_metrics(
        input1=str(generated),
        input2=str(real),
        isc=True,
        fid=True,
        feature_extractor=extractor,
        samples_find_deep=True,
        samples_find_ext=",".join(ending[1:] for ending in ENDINGS),
        samples_resize_and_crop=side,
        cuda=cuda,
        # Its loading processes only help where the network is faster than the disk.
        save_cpu_ram=not cuda,
        cache=False,
        verbose=False,
    )
    return figures["inception_score_mean"], figures["frechet_inception_distance"]


def generate_into(
    folder: Path, classifier: RobustClassifier, settings: TranslateSettings, count: int, photos: Path | None
) -> None:
    """Write so many pictures, of each class in turn; those that are there already stay.

    Args:
        folder: where to.
        classifier: what to climb.
        settings: how.
        count: how many.
        photos: a folder of photographs to start from; None for the classifier's class seeds.

    Raises:
        SystemExit: there is nothing to start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    files = sorted(file for file in photos.rglob("*") if file.suffix.lower() in ENDINGS) if photos else []
    if not files and classifier.seeds is None:
        raise SystemExit("The classifier has no class seeds: name a folder of photographs with --photos.")
    classes, classifier = len(classifier.labels), classifier.to(device)
    for c in range(classes):
        missing = [n for n in range(c, count, classes) if not (folder / f"{n:06}.png").exists()]
        for start in range(0, len(missing), BATCH):
            numbers, mix = missing[start : start + BATCH], Mix(((c, 1.0),))
            seeds = _starts(classifier, files, mix, numbers).to(device)
            images = translate(classifier, seeds, mix, settings, numbers).cpu()
            for number, image in zip(numbers, images, strict=True):
                Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(folder / f"{number:06}.png")


def _starts(classifier: RobustClassifier, files: Sequence[Path], mix: Mix, numbers: Sequence[int]) -> Tensor:
    side = classifier.input_size
    if not files:
        assert classifier.seeds is not None
        return class_seeds(classifier.seeds, mix, side, side, numbers)
    draws = [int(torch.randint(len(files), (), generator=torch.Generator().manual_seed(n))) for n in numbers]
    photos = [np.asarray(ImageOps.fit(Image.open(files[draw]).convert("RGB"), (side, side))) for draw in draws]
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous().float() / 255
