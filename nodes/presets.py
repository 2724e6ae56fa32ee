"""The preset choice of a node, and the settings that its last option, custom, unfolds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from comfy_api.latest import io

from ..synthesis.constraints import CONSTRAINTS
from ..synthesis.objectives import OBJECTIVES
from ..synthesis.presets import CUSTOM, Preset, presets, read_presets
from ..synthesis.settings import OLD_CONSTRAINTS, OperationSettings
from ..synthesis.tasks.inpaint import FILLS
from .comfy.folders import presets_folder

S = TypeVar("S", bound=OperationSettings)
Chosen = Mapping[str, Any] | str | None
"""What ComfyUI makes of a preset input: the name under `preset` and the values of its inputs, or None for those that
were left out; the name alone if another node gives it or if it is not in the list; None if it was left out itself."""


class PresetNode(io.ComfyNode):
    """A node with a preset choice."""

    CUSTOM_START: ClassVar[OperationSettings]
    """The settings that custom starts from."""

    @classmethod
    def fingerprint_inputs(cls, preset: Chosen = None, **others: Any) -> str:
        # The user may have changed the file of a preset since the last run.
        return repr(read_preset(preset, cls.CUSTOM_START, others))


def preset_input(custom_start: OperationSettings) -> io.Input:
    """The choice between the presets of an operation, the user's own, and `custom`."""
    listed = _listed(type(custom_start))
    options = [
        io.DynamicCombo.Option(
            preset.name, [SETTING_INPUTS[key](preset.settings.values()[key]) for key in preset.inputs]
        )
        for preset in listed.values()
    ]
    values = custom_start.values()
    custom = [make(values[key]) for key, make in SETTING_INPUTS.items() if key in values]
    summaries = [f"{preset.name}: {preset.summary.rstrip('.')}. " for preset in listed.values() if preset.summary]
    return io.DynamicCombo.Input(
        "preset",
        options=[*options, io.DynamicCombo.Option(CUSTOM, custom)],
        optional=True,
        tooltip=f"{''.join(summaries)}{CUSTOM}: set everything, starting from the paper's numbers.",
    )


def read_preset(chosen: Chosen, custom_start: S, others: Mapping[str, Any]) -> Preset[S]:
    """The chosen preset, the first one if none was chosen, with the values of its own inputs.

    Args:
        chosen: see `Chosen`.
        custom_start: the settings for the values of `custom` that are not given.
        others: the node's inputs that are not in its schema. If ComfyUI could not tell the preset, the values of its
            inputs are here, as `preset.steps`.

    Raises:
        ValueError: there is no such preset, or a value is out of range.
    """
    known = {**_listed(type(custom_start)), CUSTOM: Preset(CUSTOM, custom_start)}
    if not isinstance(chosen, Mapping):
        chosen = {"preset": next(iter(known)) if chosen is None else chosen}
        chosen |= {key.removeprefix("preset."): value for key, value in others.items() if key.startswith("preset.")}
    name = chosen["preset"]
    if name not in known:
        raise ValueError(f"There is no such preset: '{name}'. There are: {', '.join(known)}.")
    preset = known[name]
    inputs = custom_start.values() if name == CUSTOM else preset.inputs
    own = {key: chosen[key] for key in inputs if chosen.get(key) is not None}
    return replace(preset, settings=preset.settings.with_values(**own))


def _listed(settings: type[S]) -> dict[str, Preset[S]]:
    """The presets that a node offers, by name: the pack's, then the user's."""
    every = {**presets(settings), **_of_the_user(settings)}
    return {name: preset for name, preset in every.items() if not preset.hidden}


_read: dict[str, tuple[object, dict[str, Preset[Any]]]] = {}
"""For each operation the state of the user's files when they were read, and their presets."""


def _of_the_user(settings: type[S]) -> dict[str, Preset[S]]:
    folder = presets_folder()
    state = folder, [(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.json")) if path.is_file()]
    # ComfyUI asks for the inputs many times: files are read, and complained of, once for each change.
    if settings.operation not in _read or _read[settings.operation][0] != state:
        _read[settings.operation] = state, read_presets(folder, settings, SETTING_INPUTS)
    return _read[settings.operation][1]


class _Constraints(list[str]):
    """The options of norm, among which the server finds the names of old workflows as well."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(OLD_CONSTRAINTS.get(str(name), name))


def _steps(default: int) -> io.Input:
    return io.Int.Input(
        "steps",
        default=default,
        min=1,
        max=2000,
        optional=True,
        tooltip="How many steps the picture is changed in.",
    )


def _step_size(default: float) -> io.Input:
    return io.Float.Input(
        "step_size",
        default=default,
        min=0.001,
        max=100.0,
        step=0.05,
        optional=True,
        tooltip="The length of a step. l2 and none: for a picture of 224 x 224, scaled to yours. linf: how far every "
        "pixel value (0 to 1) moves; 0.01 is a good start.",
    )


def _epsilon(default: float) -> io.Input:
    return io.Float.Input(
        "epsilon",
        default=default,
        min=0.001,
        max=1000.0,
        step=0.5,
        optional=True,
        tooltip="How far the picture may go from its start. l2: the distance for a picture of 224 x 224, scaled to "
        "yours. linf: the most a pixel value (0 to 1) may change; 0.1 is a good start. Not used by none.",
    )


def _norm(default: str) -> io.Input:
    return io.Combo.Input(
        "norm",
        options=_Constraints(CONSTRAINTS),
        default=default,
        optional=True,
        tooltip="What epsilon limits. l2: how far the picture as a whole goes from its start, as in the paper. linf: "
        "how far each pixel value goes. none: there is no limit, and steps are as for l2.",
    )


def _objective(default: str) -> io.Input:
    return io.Combo.Input(
        "objective",
        options=list(OBJECTIVES),
        default=default,
        optional=True,
        tooltip="logit: as much of the class as will go; bold. cross-entropy: until the classifier is sure, as in "
        "the paper. margin: until the class is well ahead of the runner-up. logit + cross-entropy: bold, and sure.",
    )


def _final_step(default: float) -> io.Input:
    return io.Float.Input(
        "final_step",
        default=default,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip="The last step's size as a share of the first's; it falls evenly between. 1: all steps the same.",
    )


def _jitter(default: int) -> io.Input:
    return io.Int.Input(
        "jitter",
        default=default,
        min=0,
        max=8,
        optional=True,
        advanced=True,
        tooltip="Pixels by which the classifier's view is shifted from step to step, against grid patterns.",
    )


def _noise(default: float) -> io.Input:
    return io.Float.Input(
        "noise",
        default=default,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip="How much photo-like noise is blended into the start, so that seeds give different pictures.",
    )


def _fill(default: str) -> io.Input:
    return io.Combo.Input(
        "fill",
        options=list(FILLS),
        default=default,
        optional=True,
        tooltip="What the hole shows at the start. surround: the colours around it, blurred into it, with "
        "noise like the detail there; beyond the edge of a padded picture, its mirror image. mean colour: of "
        "what is visible, as in the paper. noise: photo-like noise; seeds give different pictures. class seed: grainy "
        "blobs in the class's usual colours and layout; seeds give different pictures.",
    )


def _feather(default: int) -> io.Input:
    return io.Int.Input(
        "feather",
        default=default,
        min=0,
        max=16,
        optional=True,
        tooltip="Over how many pixels, as the classifier sees them, the change fades in from the rim of the mask. "
        "It fades inside the mask: outside nothing changes. 0: a hard edge.",
    )


def _penalty(default: float) -> io.Input:
    return io.Float.Input(
        "penalty",
        default=default,
        min=0.0,
        max=100000.0,
        step=1.0,
        optional=True,
        tooltip="The paper's lambda: on the way the surroundings may change as well, at this price, and come back as "
        "they were at the end. 0: they are held still.",
    )


def _consistent(default: bool) -> io.Input:
    return io.Boolean.Input(
        "consistent",
        default=default,
        optional=True,
        tooltip="Hold the result to the picture it came from: every block of pixels keeps its mean. Off: as in the "
        "paper, only epsilon limits the change.",
    )


def _detail_steps(default: int) -> io.Input:
    return io.Int.Input(
        "detail_steps",
        default=default,
        min=0,
        max=500,
        optional=True,
        tooltip="In a picture larger than the classifier's own size: so many further steps at each finer resolution, "
        "looking at it in tiles. 0: only what the classifier sees at once.",
    )


SETTING_INPUTS: Mapping[str, Callable[[Any], io.Input]] = {
    "steps": _steps,
    "step_size": _step_size,
    "epsilon": _epsilon,
    "norm": _norm,
    "objective": _objective,
    "final_step": _final_step,
    "jitter": _jitter,
    "noise": _noise,
    "fill": _fill,
    "feather": _feather,
    "penalty": _penalty,
    "consistent": _consistent,
    "detail_steps": _detail_steps,
}
"""From a setting's key to its input with a default. The order is that of saved workflows: it must not change."""
