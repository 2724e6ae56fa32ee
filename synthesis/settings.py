"""Settings of the operations, composed of parts, and their flat form in presets and in the nodes' inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from typing_extensions import Self

from .ascent import AscentSettings
from .constraints import Constraint
from .preconditioning import Preconditioning

VALUE_TYPES: Mapping[str, tuple[type, ...]] = {
    "steps": (int,),
    "step_size": (int, float),
    "norm": (str,),
    "epsilon": (int, float),
    "final_step": (int, float),
    "jitter": (int,),
    "views": (int,),
    "decorrelation": (int, float),
    "decay_power": (int, float),
    "whitening": (int, float),
    "keep_best": (bool,),
    "objective": (str,),
    "noise": (int, float),
    "detail_steps": (int,),
    "feather": (int,),
    "penalty": (int, float),
    "fill": (str,),
    "consistent": (bool,),
}
"""The flat values that there are: keys of the presets, most of them names of the nodes' inputs too."""
ASCENT_KEYS = ("steps", "step_size", "final_step", "jitter", "views", "keep_best")
PRECONDITIONING_KEYS = ("decorrelation", "decay_power", "whitening")
MASK_KEYS = ("feather", "penalty")
# Workflows saved before version 0.2 name the missing constraint so.
OLD_CONSTRAINTS = {"free": "none"}


@dataclass(frozen=True)
class DetailSettings:
    """Detail finer than the classifier's input size."""

    steps: int = 0
    """Further steps at each finer level; 0: only the first level."""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"Detail steps is {self.steps}; it must be 0 or more.")


@dataclass(frozen=True)
class MaskSettings:
    """How an ascent is held inside a mask."""

    feather: int = 0
    """Pixels of the level over which the change fades in from the edge of the mask, inside of it."""
    penalty: float = 0.0
    """The paper's lambda. Above 0 the pixels outside the mask are optimised too, and their mean squared change costs
    this much; the result shows them unchanged all the same."""

    def __post_init__(self) -> None:
        if self.feather < 0:
            raise ValueError(f"Feather is {self.feather}; it must be 0 or more.")
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"The penalty is {self.penalty}; it must be a number from 0.")


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """What the settings of all operations share; see `values` for their flat form."""

    operation: ClassVar[str]
    """The key of the operation's presets."""
    ascent: AscentSettings

    @classmethod
    def from_values(cls, **values: Any) -> Self:
        """Settings from flat values: see `VALUE_TYPES` for their names.

        Raises:
            ValueError: a value that is missing, unknown, of another type or out of range.
        """
        names = {field.name for field in fields(cls)}
        flat = {key: _checked(key, value) for key, value in values.items()}
        norm = flat.pop("norm", "none")
        parts: dict[str, Any] = {"ascent": {key: flat.pop(key) for key in ASCENT_KEYS if key in flat}}
        parts["ascent"]["constraint"] = Constraint(OLD_CONSTRAINTS.get(norm, norm), flat.pop("epsilon", 0.0))
        preconditioning = {key: flat.pop(key) for key in PRECONDITIONING_KEYS if key in flat}
        parts["ascent"]["preconditioning"] = Preconditioning(**preconditioning)
        if "detail" in names and "detail_steps" in flat:
            parts["detail"] = DetailSettings(flat.pop("detail_steps"))
        if "mask" in names:
            parts["mask"] = MaskSettings(**{key: flat.pop(key) for key in MASK_KEYS if key in flat})
        unknown = set(flat) - names
        if unknown:
            raise ValueError(f"'{cls.operation}' has no setting {' or '.join(sorted(unknown))}.")
        missing = {"steps", "step_size"} - set(parts["ascent"])
        if missing:
            raise ValueError(f"A preset of '{cls.operation}' needs {' and '.join(sorted(missing))}.")
        parts["ascent"] = AscentSettings(**parts["ascent"])
        try:
            return cls(**parts, **flat)
        except TypeError as error:
            raise ValueError(f"A preset of '{cls.operation}' is not complete: {error}.") from error

    def with_values(self, **values: Any) -> Self:
        """These settings with some flat values changed; see `from_values`."""
        return type(self).from_values(**{**self.values(), **values})

    def values(self) -> dict[str, Any]:
        """The flat values, in the units of the parts: lengths for a 224 x 224 image."""
        ascent = self.ascent
        flat: dict[str, Any] = {key: getattr(ascent, key) for key in ASCENT_KEYS}
        flat |= {key: getattr(ascent.preconditioning, key) for key in PRECONDITIONING_KEYS}
        flat |= {"norm": ascent.constraint.name, "epsilon": ascent.constraint.epsilon}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, DetailSettings):
                flat["detail_steps"] = value.steps
            elif isinstance(value, MaskSettings):
                flat |= {key: getattr(value, key) for key in MASK_KEYS}
            elif field.name != "ascent":
                flat[field.name] = value
        return flat


def _checked(key: str, value: Any) -> Any:
    types = VALUE_TYPES.get(key)
    # A bool is an int to Python, and not to a person.
    if types is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
        raise ValueError(f"{key} is {value!r}; it must be a {' or '.join(kind.__name__ for kind in types)}.")
    return value
