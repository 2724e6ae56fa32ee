"""Requests of the Live Canvas, from the JSON of a browser to checked values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ..models.sidecar import DataConfig, data_config
from ..synthesis.live.brush import LONGEST_TEXT, SHAPES, Brush, Point, Shape, checked_points, is_number, parse_colour
from ..synthesis.live.files import LARGEST_SIDE
from .sockets import LARGEST_SEED

SMALLEST_SIDE = 64
MOST_POINTS = 600
"""Of one request; a stroke has at most `MOST_STROKE_POINTS`."""
MOST_STROKE_POINTS = 20_000
LARGEST_BODY = 256 * 1024
LONGEST_INTEGER = 20
"""Digits; more than any value of a request may have."""
SMALLEST_PREVIEW = 16
DEFAULT_COLOUR = "#808080"

Folder: TypeAlias = Literal["input", "output", "temp"]
How: TypeAlias = Literal["replay", "anew"]


class RequestError(ValueError):
    """A request that cannot be understood; the message says what it should be like."""


@dataclass(frozen=True)
class FileBase:
    """A picture in one of ComfyUI's folders; whether it is inside them is not checked yet."""

    filename: str
    subfolder: str
    folder: Folder


@dataclass(frozen=True)
class BlankBase:
    """A picture of one colour."""

    width: int
    height: int
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class SeedBase:
    """The start of a class, as Class-Conditional Seed draws it; of no class where `what` is empty."""

    width: int
    height: int
    what: str
    seed: int


Base: TypeAlias = "FileBase | BlankBase | SeedBase"


@dataclass(frozen=True)
class OpenRequest:
    """Open a painting, or begin one."""

    classifier: str
    config: DataConfig
    painting: str
    fork: bool
    base: Base | None
    session: str
    """The session that the browser has lost, if any."""


@dataclass(frozen=True)
class StrokeRequest:
    brush: Brush
    shape: Shape
    points: tuple[Point, ...]


@dataclass(frozen=True)
class PointsRequest:
    points: tuple[Point, ...]
    end: bool


@dataclass(frozen=True)
class LookRequest:
    """Look at the picture inside a circle around x and y, of the diameter `size`, in pixels."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class BaseRequest:
    how: How
    base: Base


def read_json(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body.

    Raises:
        RequestError: it is none.
    """
    try:
        # NaN and Infinity are no JSON; Python reads them all the same, and integers that are too large for a float.
        values = json.loads(body, parse_constant=_refuse, parse_int=_read_integer)
    except (ValueError, RecursionError):
        raise RequestError("The body is not JSON.") from None
    if not isinstance(values, dict):
        raise RequestError("The body must be an object of JSON.")
    return values


def read_open(values: Mapping[str, Any]) -> OpenRequest:
    """Raises: RequestError."""
    size = _integer(values, "input_size", 0, 4096, 0)
    try:
        config = data_config(size, _text(values, "mean", ""), _text(values, "std", ""))
    except ValueError as error:
        raise RequestError(str(error)) from None
    base = values.get("base")
    request = OpenRequest(
        _text(values, "classifier"),
        config,
        _text(values, "painting", "").strip(),
        _flag(values, "fork"),
        None if base is None else _base(base),
        _text(values, "session", ""),
    )
    if not request.painting and request.base is None:
        raise RequestError("Give the name of a painting in painting, or what to paint on in base.")
    return request


def read_stroke(values: Mapping[str, Any]) -> StrokeRequest:
    """Raises: RequestError."""
    try:
        brush = Brush.from_json(values.get("brush"))
    except ValueError as error:
        raise RequestError(str(error)) from None
    shape = _choice(values, "shape", SHAPES)
    points = _points(values)
    least = 1 if shape == "path" else 3
    if len(points) < least:
        raise RequestError(f"A stroke begins with {least} points or more.")
    return StrokeRequest(brush, shape, points)


def read_points(values: Mapping[str, Any]) -> PointsRequest:
    """Raises: RequestError."""
    return PointsRequest(_points(values), _flag(values, "end"))


def read_look(values: Mapping[str, Any]) -> LookRequest:
    """Raises: RequestError."""
    x, y = (_number(values, name, 0, LARGEST_SIDE) for name in "xy")
    return LookRequest(x, y, _number(values, "size", 1, LARGEST_SIDE))


def read_base(values: Mapping[str, Any]) -> BaseRequest:
    """Raises: RequestError."""
    how: How = _choice(values, "how", get_args(How))
    return BaseRequest(how, _base(values.get("base")))


def read_longest(query: Mapping[str, str]) -> int | None:
    """The longest side that a picture is wanted at; None: its own size.

    Raises:
        RequestError: it is not in range.
    """
    if "longest" not in query:
        return None
    return _query_integer(query, "longest", SMALLEST_PREVIEW, LARGEST_SIDE)


def read_box(query: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of the part of a picture that is wanted; None: all of it.

    Raises:
        RequestError: it is no box.
    """
    if "box" not in query:
        return None
    if not re.fullmatch(r"\d{1,4}(,\d{1,4}){3}", query["box"], re.ASCII):
        raise RequestError("box is left,top,width,height in pixels.")
    left, top, width, height = map(int, query["box"].split(","))
    return left, top, width, height


def read_number(query: Mapping[str, str], count: int) -> int:
    """The number of one of `count` features or classes.

    Raises:
        RequestError: there is none of that number.
    """
    return _query_integer(query, "number", 0, count - 1)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _read_integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(digits)
    return int(digits)


def _base(values: object) -> Base:
    if not isinstance(values, Mapping):
        raise RequestError("base must be an object with a kind.")
    kind = _choice(values, "kind", ("file", "blank", "seed"))
    if kind == "file":
        folder: Folder = _choice(values, "type", get_args(Folder), "input")
        return FileBase(_text(values, "filename"), _text(values, "subfolder", ""), folder)
    width, height = (_integer(values, name, SMALLEST_SIDE, LARGEST_SIDE) for name in ("width", "height"))
    if kind == "seed":
        seed = _integer(values, "seed", 0, LARGEST_SEED, 0)
        return SeedBase(width, height, _text(values, "what", ""), seed)
    try:
        return BlankBase(width, height, parse_colour(values.get("colour", DEFAULT_COLOUR)))
    except ValueError as error:
        raise RequestError(str(error)) from None


def _points(values: Mapping[str, Any]) -> tuple[Point, ...]:
    points = values.get("points")
    if not isinstance(points, list) or len(points) > MOST_POINTS:
        raise RequestError(f"points must be a list of at most {MOST_POINTS}.")
    try:
        return checked_points(points)
    except ValueError as error:
        raise RequestError(str(error)) from None


def _text(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    text = values.get(name, default)
    if not isinstance(text, str) or len(text) > LONGEST_TEXT or "\0" in text:
        raise RequestError(f"{name} must be a text of at most {LONGEST_TEXT} characters.")
    # Half of a surrogate pair is no character: no file and no message can have it.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError(f"{name} is no valid text.")
    return text


def _flag(values: Mapping[str, Any], name: str) -> bool:
    flag = values.get(name, False)
    if not isinstance(flag, bool):
        raise RequestError(f"{name} must be true or false.")
    return flag


def _integer(values: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    number = values.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high}.")
    return number


def _number(values: Mapping[str, Any], name: str, low: float, high: float) -> float:
    number: Any = values.get(name)
    if not is_number(number) or not low <= number <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}.")
    return float(number)


def _choice(values: Mapping[str, Any], name: str, options: Iterable[Any], default: str | None = None) -> Any:
    choice = values.get(name, default)
    # A list or an object is in no set.
    if not isinstance(choice, str) or choice not in options:
        raise RequestError(f"{name} must be one of {', '.join(options)}.")
    return choice


def _query_integer(query: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = query.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high}.")
    return int(text)
