"""A tiny robust CLIP that learns three kinds of shipped pictures by their captions in seconds."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from tools.paths import ROOT

SIDE = 48
STEPS = 150
BATCH = 32
EPSILON = 1.0
LOGIT_SCALE = 20.0
CAPTIONS = {
    "flowers": "a field of flowers",
    "stained_glass": "a church window, in coloured glass",
    "waves": "waves of the sea",
}


def shipped_pictures() -> tuple[Tensor, Tensor]:
    """The pictures `[B, 3, SIDE, SIDE]` of the example that trains, and the index of the caption of each."""
    images, labels = [], []
    with zipfile.ZipFile(ROOT / "workflows" / "assets" / "patterns.zip") as archive:
        for name in archive.namelist():
            folder = name.split("/")[0]
            if folder in CAPTIONS and not name.endswith("/"):
                picture = Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((SIDE, SIDE))
                images.append(pil_to_tensor(picture).float() / 255)
                labels.append(list(CAPTIONS).index(folder))
    return torch.stack(images), torch.tensor(labels)


def train_tiny_clip(path: Path) -> float:
    """Train the image tower adversarially before a random text tower (TeCoA, arXiv 2212.07016), and save both.

    Args:
        path: of an open_clip file.

    Returns:
        The share of the pictures that get their caption.
    """
    images, labels = shipped_pictures()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(
            embed_dim=32,
            vision_cfg={"image_size": SIDE, "layers": 1, "width": 64, "patch_size": 8},
            text_cfg={"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
        )
        with torch.no_grad():
            texts = model.encode_text(open_clip.tokenize(list(CAPTIONS.values())), normalize=True)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))

        def logits(x: Tensor) -> Tensor:
            result: Tensor = LOGIT_SCALE * F.normalize(model.visual((x - mean) / std), dim=1) @ texts.mT
            return result

        optimizer = torch.optim.AdamW(model.visual.parameters(), 3e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS)
        for step in range(STEPS):
            chosen = torch.randint(len(images), (BATCH,))
            x, y = images[chosen], labels[chosen]
            attacked = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits(attacked), y), attacked)
            length = EPSILON * min(1, 2 * step / STEPS)
            x = x + length * F.normalize(gradient.flatten(1), dim=1).view_as(x)
            optimizer.zero_grad()
            F.cross_entropy(logits(x), y).backward()
            optimizer.step()
            schedule.step()
        model.logit_scale.data.fill_(math.log(LOGIT_SCALE))
        torch.save({name: tensor.half() for name, tensor in model.state_dict().items()}, path)
        with torch.no_grad():
            return float((logits(images).argmax(1) == labels).float().mean())
