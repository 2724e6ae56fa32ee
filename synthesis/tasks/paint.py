"""Paint features into pictures."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...models import RobustClassifier
from ..ascent import Callback
from ..objectives import feature_loss
from ..views import around
from .masked import MaskedSettings, climb_inside

# arXiv 1906.09453, section 4.2 and appendix A, at 224 px.
PAINT_PAPER = MaskedSettings(steps=140, step_size=1.0, norm="l2", epsilon=70.0, penalty=90.0)
FEATURE_WEIGHT = 0.1
"""What the paper multiplies a feature with; it counts against the penalty alone."""

PAINT_PRESET = MaskedSettings(
    steps=16, step_size=6.0, norm="free", final_step=0.2, jitter=2, feather=3, detail_steps=8, keep_best=False
)


def paint(
    classifier: RobustClassifier,
    images: Tensor,
    mask: Tensor,
    features: Tensor,
    strength: float,
    settings: MaskedSettings,
    callback: Callback | None = None,
) -> Tensor:
    """Climb towards features inside a mask (arXiv 1906.09453, section 4.2).

    Args:
        classifier: what to climb, on the device of `images`.
        images: `[B, 3, H, W]` in [0, 1], float32, any H and W.
        mask: `[B, 1, H, W]` in [0, 1]: where to paint. Where it is 0 the pictures stay bit for bit.
        features: the weight of each feature, `[F]`, or `[B, F]` for a mix of its own for each picture.
        strength: multiplies step size and epsilon.
        settings: see `MaskedSettings`, `PAINT_PRESET` and `PAINT_PAPER`.
        callback: see `ascent.Callback`.

    Returns:
        `[B, 3, H, W]` in [0, 1].

    Raises:
        ValueError: the strength is not a number above 0.
    """
    if not 0 < strength < float("inf"):
        raise ValueError(f"The strength is {strength}; it must be a number above 0.")
    view = around(mask, classifier.input_size)
    changed = climb_inside(
        images,
        view.look(images),
        mask,
        view,
        # A feature that a picture does not show is switched off: its gradient passes the last activation all the same.
        partial(classifier.features, fake_relu=True),
        lambda see: feature_loss(see, FEATURE_WEIGHT * features),
        settings,
        classifier.input_size,
        callback,
        strength,
    )
    # The climb has blended by the mask already.
    return torch.where(mask == 0, images, changed)
