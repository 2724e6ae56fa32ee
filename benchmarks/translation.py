"""Translation: how surely a picture arrives, and how much of it is kept, for balls of many sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from robust_synthesis.models import RobustClassifier
from robust_synthesis.synthesis import TRANSLATE_PAPER, TRANSLATE_PRESETS, TranslateSettings

from .generation import climb
from .judge import accuracy
from .measures import Pictures, Table, climbed, ssim

EPSILONS = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
COLUMNS = {"steps": "d", "epsilon": "g", "judge": ".1%", "SSIM": ".3f", "s a picture": ".3f"}


def translation(judge: RobustClassifier, classifier: RobustClassifier, test: Pictures, plot: Path) -> None:
    """Print and plot both directions between the two classes of a classifier."""
    title = f"Translation, {len(test)} test pictures; epsilon at 224 px; judge: the share it gives the other class"
    table, names = Table(title, COLUMNS), classifier.labels
    settings: list[tuple[str, TranslateSettings]] = [
        ("", replace(TRANSLATE_PRESETS["translate"], epsilon=epsilon)) for epsilon in EPSILONS
    ]
    settings.append((", the paper's settings", TRANSLATE_PAPER["translate"]))
    for source in range(2):
        photos, target = test[(test.classes == source).nonzero().flatten()], 1 - source
        way, asked = f"{names[source]} to {names[target]}", photos.classes * 0 + target
        table.row(f"{way}, the photographs", 0, 0, accuracy(judge, photos.images, asked), 1.0, None)
        for name, choice in settings:
            images, seconds = climbed(partial(climb, classifier, photos.images, choice), asked)
            right, kept = accuracy(judge, images, asked), ssim(images, photos.images)
            table.row(way + name, choice.steps, choice.epsilon, right, kept, seconds)
    draw(table, plot)
    print(f"\nPlotted to {plot}.")


def draw(table: Table, path: Path) -> None:
    """Plot the table's sweeps, one colour for each direction."""
    mpl.rcParams["font.size"] = 11
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    ways = list(dict.fromkeys(name for name, _ in table.rows if "," not in name))
    for way, colour in zip(ways, ("#1f77b4", "#d95f02"), strict=True):
        sweep = [values for name, values in table.rows if name == way]
        for column, style, label in ((2, "o-", "judge agrees"), (3, "s--", "SSIM to the source")):
            line = ([row[1] or 0 for row in sweep], [row[column] or 0 for row in sweep])
            axes.plot(*line, style, color=colour, label=f"{way}: {label}")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="epsilon (L2, at 224 px)", ylabel="share of pictures, SSIM")
    axes.set_xticks(EPSILONS, [f"{epsilon:g}" for epsilon in EPSILONS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    figure.savefig(path, dpi=110)
