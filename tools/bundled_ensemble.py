"""Writes the file of `canvas-ensemble`: `python -m tools.bundled_ensemble`. Run it when one of its members changes."""

from __future__ import annotations

from dataclasses import replace

from robust_synthesis.models import bundled_classifiers, combine, load_classifier
from robust_synthesis.models.format import save_combination

NAME, TITLE = "canvas-ensemble", "Canvas ensemble"
MEMBERS = ("canvas", "canvas-bold")
FIGURES = {
    "norm": "l2",
    "epsilon": 1.5,
    "clean_accuracy": 0.713,
    "robust_accuracy": 0.528,
    "robust_accuracies": {"0.75": 0.656, "1.5": 0.528, "3": 0.338},
}
"""What `benchmarks.training.robustness` prints of it."""


def main() -> None:
    """Write the file."""
    first, second = (bundled_classifiers()[name] for name in MEMBERS)
    card = combine(load_classifier(first), load_classifier(second)).card
    save_combination(replace(card, title=TITLE, training=FIGURES), (first, second), first.with_stem(NAME))


if __name__ == "__main__":
    main()
