"""Translation of photographs: how often one arrives, and how much of it is kept, for balls of many sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import Mix, TranslateSettings, class_map, cut_mask, preset
from robust_synthesis.synthesis.views import resized
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import translated
from .judge import Judge
from .masks import object_masks
from .metrics import ssim

EPSILONS = (5.0, 10.0, 20.0, 30.0, 40.0, 80.0)
REPAINT = preset(TranslateSettings, "repaint").settings
_TRANSLATE = preset(TranslateSettings, "translate").settings
_STYLE = preset(TranslateSettings, "style").settings
STYLES = {
    "style": (_STYLE, 1),
    "style, photographs of twice the size": (_STYLE, 2),
    "translate": (_TRANSLATE, 1),
    "translate, epsilon 20": (_TRANSLATE.with_values(epsilon=20.0), 1),
}
"""What photographs are translated to a style with, and their side, in input sizes of the classifier."""


def translation(judge: Judge, classifier: RobustClassifier, test: Pictures) -> None:
    """Translate the test pictures of each of two classes to the other one."""
    table = Table(
        f"Translation, {len(test)} test pictures; epsilon at 224 px; judge: how often it sees the other class",
        {"steps": "d", "epsilon": "g", "judge": ".1%", "SSIM": ".3f"},
    )
    usual = preset(TranslateSettings, "translate").settings
    settings = {f", epsilon {e:g}": usual.with_values(epsilon=e) for e in EPSILONS}
    settings[", the paper's settings"] = preset(TranslateSettings, "paper translate").settings
    for source in range(2):
        part = test[(test.classes == source).nonzero().flatten()]
        photos, classes = as_float(part), 1 - part.classes
        way = f"{classifier.labels[source]} to {classifier.labels[1 - source]}"
        table.row(f"{way}, the photographs", 0, None, judge.agreement(judge.features(photos), classes), 1.0)
        for name, choice in settings.items():
            images = translated(classifier, photos, classes, choice)
            kept = ssim(images, photos)
            table.row(
                way + name,
                choice.ascent.steps,
                choice.ascent.constraint.epsilon,
                judge.agreement(judge.features(images), classes),
                kept,
            )


def horse_to_zebra(judge: Judge, classifier: RobustClassifier, test: Pictures, epsilons: Sequence[float]) -> None:
    """Translate the test pictures of horses to zebras: the paper's most famous translation.

    The last column is measured where the two methods of `masks` agree on where the horse is.
    """
    horse, zebra = classifier.labels.index("horse"), classifier.labels.index("zebra")
    photos = as_float(test[(test.classes == horse).nonzero().flatten()])
    masks, sure = object_masks(judge, photos, horse)
    table = Table(
        f"Horse to zebra, {len(photos)} test pictures; change off the horse: in {int(sure.sum())} of them",
        {"steps": "d", "epsilon": "g", "judge": ".1%", "SSIM": ".3f", "off the horse": ".1%"},
    )

    def row(name: str, images: Tensor, steps: int, epsilon: float | None) -> None:
        features = judge.features(images)
        change = (images - photos).abs()[sure]
        off = float((change * ~masks[sure]).sum() / change.sum()) if steps else None
        agreed = judge.agreement(features, torch.tensor(zebra))
        table.row(name, steps, epsilon, agreed, ssim(images, photos), off)

    row("the photographs", photos, 0, None)
    usual, classes = preset(TranslateSettings, "translate").settings, torch.full((len(photos),), zebra)
    found = cut_mask(class_map(classifier, photos, Mix.single(horse)))
    for name, mask in {"the whole picture": None, "where Class Mask finds the horse": found}.items():
        for epsilon in epsilons:
            settings = usual.with_values(epsilon=epsilon)
            images = translated(classifier, photos, classes, settings, mask)
            row(name, images, settings.ascent.steps, epsilon)
    images = translated(classifier, photos, classes, REPAINT, found)
    row("where Class Mask finds the horse, the preset `repaint`", images, REPAINT.ascent.steps, None)


def photo_to_styles(
    judge: Judge, classifier: RobustClassifier, test: Mapping[int, Pictures], names: Iterable[str]
) -> None:
    """Translate test photographs to each style with some of `STYLES`; real paintings are the bound.

    Larger results are reduced to the size that the probe of the judge is fitted for.

    Args:
        judge: of the classes of the classifier.
        classifier: knows the class `photo`.
        test: the pictures, by their side in input sizes of the classifier; 1 is one of them.
        names: of `STYLES`.
    """
    photo = classifier.labels.index("photo")
    photos = {scale: as_float(some[(some.classes == photo).nonzero().flatten()]) for scale, some in test.items()}
    real, count = test[1], len(photos[1])
    styles = [index for index in range(len(classifier.labels)) if index != photo]
    table = Table(
        f"{count} test photographs to each style; judge: how often it sees the style",
        {"judge": ".1%", "SSIM": ".3f"} | {classifier.labels[index]: ".0%" for index in styles},
    )
    seen = [judge.agreement(judge.features(as_float(real[real.classes == s])), torch.tensor(s)) for s in styles]
    table.row("real test paintings", sum(seen) / len(seen), None, *seen)
    for name in names:
        settings, scale = STYLES[name]
        painted = [translated(classifier, photos[scale], torch.full((count,), s), settings) for s in styles]
        made = [resized(x, (classifier.input_size, classifier.input_size)) for x in painted]
        seen = [judge.agreement(judge.features(x), torch.tensor(s)) for x, s in zip(made, styles, strict=True)]
        kept = sum(ssim(x, photos[1]) for x in made) / len(made)
        table.row(name, sum(seen) / len(seen), kept, *seen)
