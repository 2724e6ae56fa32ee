"""A plainly trained classifier that judges pictures, and is never climbed.

It has another width and activation than the bundled classifiers and was never attacked, so a picture cannot please
it by being an adversarial example of the network that made it. `python -m robust_synthesis.benchmarks.judge DATA.zip`
trains it (about six minutes on two cores) and writes it beside this file's `build` folder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from robust_synthesis.models import ClassifierCard, RobustClassifier, load_classifier, save_classifier
from robust_synthesis.models.architectures import build_network
from robust_synthesis.training.data import read_split

BUILD = Path(__file__).resolve().parent.parent / "build"
ARCHITECTURE = {
    "name": "narrow_resnet",
    "widths": [24, 48, 96, 192, 256],
    "blocks": [1, 1, 1, 1, 1],
    "stem_stride": 2,
    "activation": "relu",
}
SIZE = 96
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def train_judge(data: Path, epochs: int = 14, batch: int = 64, peak: float = 0.08) -> RobustClassifier:
    """Train on the `train` split with crops and flips; print accuracy on `test` once, at the end."""
    train, labels = read_split(data, "train", SIZE)
    images, classes = train.images, train.classes
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE, len(labels)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), peak, momentum=0.9, weight_decay=5e-4, nesterov=True)
    total = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=total, pct_start=0.15)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    started = time.perf_counter()
    for epoch in range(epochs):
        order = torch.randperm(len(images))
        losses = []
        for chunk in order[: total // epochs * batch].split(batch):
            x = F.pad(images[chunk].float() / 255, (8, 8, 8, 8), mode="reflect")
            top, left = (int(v) for v in torch.randint(17, (2,)))
            x = x[:, :, top : top + images.shape[2], left : left + images.shape[3]]
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(network((x - mean) / std), classes[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(
            f"epoch {epoch + 1}/{epochs} loss {np.mean(losses):.3f} ({time.perf_counter() - started:.0f} s)", flush=True
        )
    card = ClassifierCard(f"Judge of {data.stem}", ARCHITECTURE, labels, images.shape[2], MEAN, STD)
    judge = RobustClassifier(network, card)
    test, _ = read_split(data, "test", SIZE)
    print(f"accuracy on the test pictures: {accuracy(judge, test.images.float() / 255, test.classes):.3f}")
    return judge


@torch.no_grad()
def accuracy(judge: RobustClassifier, images: Tensor, classes: Tensor) -> float:
    """The share of images `[N, 3, H, W]` in [0, 1] that the judge gives the asked class."""
    guesses = torch.cat([judge(chunk).argmax(1) for chunk in images.split(128)])
    return float((guesses == classes).float().mean())


@torch.no_grad()
def frechet_distance(judge: RobustClassifier, images: Tensor, real: Tensor) -> float:
    """Frechet distance of two sets of images in the judge's features (the FID of Heusel et al., 1706.08500)."""
    a, b = (torch.cat([judge.features(c) for c in x.split(128)]).double() for x in (images, real))
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    # tr sqrt(AB) = the sum of the square roots of AB's eigenvalues, which are real and not negative.
    root = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return float(mean + cov_a.trace() + cov_b.trace() - 2 * root)


def load_judge(data: Path) -> RobustClassifier:
    """The judge of a data set, trained now where that has not been done."""
    path = BUILD / f"judge-{data.stem}.safetensors"
    if not path.exists():
        save_classifier(train_judge(data), path)
    return load_classifier(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a zip of {train,test}/<class>/<picture>")
    load_judge(parser.parse_args().data)
