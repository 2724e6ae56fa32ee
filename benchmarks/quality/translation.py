"""Translation between two classes: how often a picture arrives, and how much of it is kept, for balls of many sizes."""

from __future__ import annotations

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import TranslateSettings, preset
from robust_synthesis.training.data import Pictures

from ..data import as_float
from ..table import Table
from .batches import translated
from .judge import Judge
from .metrics import ssim

EPSILONS = (5.0, 10.0, 20.0, 40.0, 80.0)


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
