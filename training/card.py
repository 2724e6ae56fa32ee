"""The model card of a classifier that was trained here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..models import RobustClassifier
from .record import TrainingRecord


@dataclass(frozen=True)
class CardInfo:
    """What the card says beside the figures."""

    title: str
    data: str
    """Where the pictures are from, and on what terms."""
    licence: str = ""
    """Of the weights."""
    command: str = ""
    """That trains it again; empty: it was not trained from the command line."""


def write_card(classifier: RobustClassifier, path: Path) -> None:
    """Write a Markdown model card for a classifier whose run has finished.

    Raises:
        ValueError: its run has not finished, or it was trained elsewhere.
        OSError: it cannot be written.
    """
    card, record = classifier.card, TrainingRecord.from_dict(classifier.card.training)
    if record.evaluation is None:
        raise ValueError(f"The run of '{card.title}' has not finished: there are no figures for its card.")
    evaluation, seeds = record.evaluation, classifier.seeds
    parameters = sum(parameter.numel() for parameter in classifier.network.parameters())
    norm = {"l2": "L2", "linf": "L-infinity"}[record.norm]
    network = ", ".join(f"{key} {value}" for key, value in card.architecture.items() if key != "name")
    robust = "; ".join(f"{accuracy:.1%} at {epsilon}" for epsilon, accuracy in evaluation.robust_accuracies.items())
    start = f"; first stages initialised from `{record.pretrained}`" if record.pretrained else ""
    if record.fine_tuned:
        start = f"; fine-tuned from `{record.fine_tuned}`"
    cutmix = f", CutMix in {record.cutmix_prob:.0%} of batches" if record.cutmix_prob else ""
    epochs = f"{record.epochs} epochs" if record.epochs else "no epochs in this run"
    stage_two = ""
    if record.contrastive_step:
        stage_two = (
            f"; then dual adversarial training (arXiv 2510.13872), the classifier after {record.contrastive_step} of "
            f"{record.contrastive_steps} steps"
        )
    elif record.contrastive_steps:
        stage_two = "; dual adversarial training (arXiv 2510.13872) was tried, and the classifier before it was kept"
    rows = {
        "Classes": ", ".join(classifier.labels),
        "Architecture": f"`{card.architecture['name']}` ({network}), {parameters / 1e6:.2f} M parameters, "
        f"{card.input_size} x {card.input_size} pixels",
        "Training": f"adversarial, {norm} epsilon {record.epsilon:g}, {record.pgd_steps} PGD steps{cutmix}; "
        f"{epochs}{stage_two}; {record.minutes:.0f} minutes on {record.device}{start}",
        f"Clean accuracy ({evaluation.measured_on})": f"{evaluation.clean_accuracy:.1%}",
        f"Robust accuracy ({evaluation.measured_on}, {evaluation.attack})": robust,
        "Class seeds": f"Gaussians of rank {seeds.factors.shape[1]} at grain {seeds.grain}" if seeds else "none",
        "Data": f"{record.data}; {record.pictures} training pictures",
        "Licence": card.licence or "not stated",
    }
    if record.command:
        rows["Command"] = f"`{record.command}`"
    if record.left_out:
        # A line break or a bar ends a cell.
        rows["Pictures not used"] = record.left_out.replace("\n", " ").replace("|", "\\|")
    lines = [f"# {card.title}", "", f"`{path.with_suffix('.safetensors').name}`", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    before = record.fine_tuned or record.pretrained
    start_terms = f", and those of `{before}`" if before else ""
    lines += [
        "",
        f"The weights carry the terms of their pictures{start_terms}. The classifier knows only these classes and "
        "assigns one of them to any picture: base no decision about people on it.",
        "",
    ]
    path.write_text("\n".join(lines), "utf-8")
