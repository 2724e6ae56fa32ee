"""The preset choice of the climbing nodes, and the settings that its last option, custom, unfolds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from comfy_api.latest import io

from ..synthesis import NORMS, OBJECTIVES, ClimbSettings, DetailedSettings, MaskedSettings
from ..synthesis.objectives import ObjectiveName

CUSTOM = "custom"
Settings = TypeVar("Settings", bound=ClimbSettings)


def preset_input(presets: Mapping[str, Sequence[io.Input]], custom: Sequence[io.Input], tooltip: str) -> io.Input:
    """A choice of presets, each with inputs of its own, and `custom`."""
    options = [io.DynamicCombo.Option(name, list(inputs)) for name, inputs in presets.items()]
    options.append(io.DynamicCombo.Option(CUSTOM, list(custom)))
    return io.DynamicCombo.Input(
        "preset", options=options, tooltip=f"{tooltip} custom: set everything, starting from the paper's numbers."
    )


def read_preset(preset: dict[str, Any] | None, presets: Mapping[str, Settings], custom: Settings) -> Settings:
    """The settings of a choice, with the values of its own inputs.

    Raises:
        ValueError: there is no such preset; ComfyUI drops a choice that does not exist, as a script may send, instead
            of refusing it.
    """
    if preset is None:
        raise ValueError(f"There is no such preset. There are: {', '.join([*presets, CUSTOM])}.")
    values = dict(preset)
    base = {**presets, CUSTOM: custom}[values.pop("preset")]
    return type(base)(**{**vars(base), **values})


def ascent_inputs(paper: ClimbSettings, objective: ObjectiveName | None = None) -> list[io.Input]:
    """Steps, step size, ball, objective where there is a choice, decay and jitter, with the paper's defaults."""
    objectives = [
        io.Combo.Input(
            "objective",
            options=list(OBJECTIVES),
            default=objective,
            tooltip="logit: as much of the class as will go; bold. cross-entropy: until the classifier is sure, as in "
            "the paper. margin: until the class is well ahead of the runner-up. logit + cross-entropy: bold, and sure.",
        )
    ]
    return [
        io.Int.Input("steps", default=paper.steps, min=1, max=2000, tooltip="How many gradient steps."),
        io.Float.Input(
            "step_size",
            default=paper.step_size,
            min=0.001,
            max=100.0,
            step=0.05,
            tooltip="The length of a step. l2 and free: for a picture of 224 x 224, scaled to yours. linf: how far "
            "every pixel value (0 to 1) moves; 0.01 is a good start.",
        ),
        io.Float.Input(
            "epsilon",
            default=paper.epsilon,
            min=0.001,
            max=1000.0,
            step=0.5,
            tooltip="How far the picture may go from its start. l2: the radius for a picture of 224 x 224, scaled to "
            "yours. linf: the most a pixel value (0 to 1) may change; 0.1 is a good start. Not read by free.",
        ),
        io.Combo.Input(
            "norm",
            options=list(NORMS),
            default=paper.norm,
            tooltip="l2: a ball around the start, as in the paper. linf: each pixel value on its own leash. free: no "
            "leash, l2 steps.",
        ),
        *(objectives if objective else []),
        io.Float.Input(
            "final_step",
            default=paper.final_step,
            min=0.0,
            max=1.0,
            step=0.05,
            advanced=True,
            tooltip="The last step's size as a share of the first's; it falls evenly between. 1: all steps the same.",
        ),
        io.Int.Input(
            "jitter",
            default=paper.jitter,
            min=0,
            max=8,
            advanced=True,
            tooltip="Pixels by which the classifier's view is shifted from step to step, against grid patterns.",
        ),
    ]


def masked_inputs(paper: MaskedSettings) -> list[io.Input]:
    """What a climb inside a mask can be told besides."""
    return [
        io.Int.Input(
            "feather",
            default=paper.feather,
            min=0,
            max=16,
            tooltip="Over how many pixels, as the classifier sees them, the change fades in from the rim of the mask. "
            "It fades inside the mask: outside nothing changes. 0: a hard edge.",
        ),
        io.Float.Input(
            "penalty",
            default=paper.penalty,
            min=0.0,
            max=100000.0,
            step=1.0,
            tooltip="The paper's lambda: while it climbs, the surroundings may change as well, at this price, and come "
            "back as they were at the end. 0: they are held still.",
        ),
        detail_input(paper),
    ]


def detail_input(paper: DetailedSettings) -> io.Input:
    return io.Int.Input(
        "detail_steps",
        default=paper.detail_steps,
        min=0,
        max=500,
        tooltip="In a picture larger than the classifier's own size: so many further steps at each finer resolution, "
        "looking at it in tiles. 0: only what the classifier sees at once.",
    )
