"""Train the judge of a data set: a classifier that no picture is optimised for.

It has another width and activation than the bundled classifiers and is trained without attacks, so an adversarial
example of the classifier that made a picture does not deceive it. It is trained once and kept in `build/`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from robust_synthesis.models import (
    ClassifierCard,
    RobustClassifier,
    load_classifier,
    native_bfloat16,
    save_classifier,
)
from robust_synthesis.models.architectures import build_network
from robust_synthesis.training.data import read_split

from ..data import BUILD, as_float
from .metrics import agreement

ARCHITECTURE = {
    "name": "narrow_resnet",
    "widths": [24, 48, 96, 192, 256],
    "blocks": [1, 1, 1, 1, 1],
    "stem_stride": 2,
    "activation": "relu",
}
SIZE, PADDING = 96, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPOCHS, BATCH_SIZE, LEARNING_RATE = 14, 64, 0.08


def train_judge(data: Path, epochs: int = EPOCHS) -> RobustClassifier:
    """Train on the `train` split with random crops and flips; print the accuracy on `test` at the end."""
    train, labels = read_split(data, "train", SIZE)
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE, len(labels)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = len(train) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * steps, pct_start=0.15)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    started = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(train))[: steps * BATCH_SIZE].split(BATCH_SIZE):
            x = F.pad(as_float(train[rows]), (PADDING,) * 4, mode="reflect")
            top, left = (int(v) for v in torch.randint(2 * PADDING + 1, (2,)))
            x = x[:, :, top : top + SIZE, left : left + SIZE]
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
            with torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
                loss = F.cross_entropy(network((x - mean) / std), train.classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}/{epochs} loss {total / steps:.3f} ({seconds:.0f} s)", flush=True)
    judge = RobustClassifier(network, ClassifierCard(f"Judge of {data.stem}", ARCHITECTURE, labels, SIZE, MEAN, STD))
    test, _ = read_split(data, "test", SIZE)
    print(f"accuracy on the test pictures: {agreement(judge, as_float(test), test.classes):.3f}")
    return judge


def load_judge(data: Path) -> RobustClassifier:
    """The judge of a data set; it is trained first where that has not been done."""
    path = BUILD / f"judge-{data.stem}.safetensors"
    if not path.exists():
        save_classifier(train_judge(data), path)
    return load_classifier(path)


def main() -> None:
    """Train a judge, in place of the one that is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a zip or folder of {train,test}/<class>/<picture>")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N")
    arguments = parser.parse_args()
    judge = train_judge(arguments.data, arguments.epochs)
    save_classifier(judge, BUILD / f"judge-{arguments.data.stem}.safetensors")


if __name__ == "__main__":
    main()
