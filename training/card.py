"""The model card of a classifier that was trained here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..models import RobustClassifier


@dataclass(frozen=True)
class CardInfo:
    """What only the one who trains can say of a classifier."""

    title: str
    data: str
    """Where the pictures are from, and on what terms."""
    licence: str = ""


def write_card(classifier: RobustClassifier, path: Path) -> None:
    """Write a Markdown model card beside a classifier that `run.train` has finished."""
    card, training = classifier.card, classifier.card.training
    parameters = sum(parameter.numel() for parameter in classifier.network.parameters())
    norm = {"l2": "L2", "linf": "L-infinity"}[training["norm"]]
    network = ", ".join(f"{key} {value}" for key, value in card.architecture.items() if key != "name")
    robust = "; ".join(f"{share:.1%} at {epsilon}" for epsilon, share in training["robust_accuracies"].items())
    begun = training["began_with"]
    start = f"; its first stages began as those of `{begun}`" if begun else ""
    mixed = f", {training['cut_mix']:.0%} of batches cut together (CutMix)" if training["cut_mix"] else ""
    rows = {
        "Classes": ", ".join(classifier.labels),
        "Architecture": f"`{card.architecture['name']}` ({network}), {parameters / 1e6:.2f} M parameters, "
        f"{card.input_size} x {card.input_size} pixels",
        "Training": f"adversarial, {norm} epsilon {training['epsilon']:g}, {training['pgd_steps']} PGD steps{mixed}; "
        f"{training['epochs']} epochs, {training['minutes']:.0f} minutes on {training['device']}{start}",
        f"Clean accuracy ({training['measured_on']})": f"{training['clean_accuracy']:.1%}",
        f"Robust accuracy ({training['measured_on']}, {training['attack']})": robust,
        "Class seeds": "none"
        if classifier.seeds is None
        else f"Gaussians of rank {classifier.seeds.factors.shape[1]} at grain {classifier.seeds.grain}",
        "Data": f"{training['data']}; {training['pictures']} training pictures",
        "Licence": card.licence or "not stated",
    }
    lines = [f"# {card.title}", "", f"`{path.with_suffix('.safetensors').name}`", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    start_terms = f", and those of `{begun}`" if begun else ""
    lines += [
        "",
        f"The weights carry their pictures' terms{start_terms}. It knows no other classes than these, sees a picture "
        "as one of them whatever it shows, and should decide nothing about anybody.",
        "",
    ]
    path.write_text("\n".join(lines), "utf-8")
