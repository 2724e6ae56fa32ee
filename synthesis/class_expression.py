"""Classes as an artist writes them: `church`, `12`, `sea:0.7, mountain:0.3`, `-street`."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence, Set

from ..models.names import comparable, label_names, plain_text
from .mix import ExpressionError, Mix, mixed, read_weight

Classes = Sequence[Sequence[str]]
"""For each class its name, then further names."""


def parse_class_expression(text: str, labels: Sequence[str]) -> Mix:
    """Read a class expression.

    Terms are separated by commas. A term is a class name or number, with an optional weight after a colon and an
    optional minus before it. Names match without case, spaces, underscores, hyphens or quotes, in any Unicode form;
    commas, colons and dashes may be those of any script.

    Args:
        text: the expression.
        labels: for each class its name, and further names for it after commas (`tench, Tinca tinca`).

    Raises:
        ExpressionError: an empty text, an unknown class, a name that several classes share and none has first, a
            weight that is no number or out of range.
    """
    named = [label_names(label) for label in labels]
    # All names of a class, as its label lists them, are one term.
    lists = {comparable(" ".join(names)) for names in named if len(names) > 1}
    classes = [[*names, " ".join(names)] if len(names) > 1 else names for names in named]
    written = [term for term in map(_unquoted, plain_text(text).split(",")) if term]
    written = _joined(written, lists, len(classes))
    try:
        terms = [_term(term, classes) for term in written]
    except ExpressionError:
        # The text of a class may have commas, which its name has not.
        terms = [_term(term, classes) for term in _joined(written, _names(classes), len(classes))]
    if not terms:
        raise ExpressionError(f"Write a class, for instance '{classes[0][0]}'. {_known(classes)}")
    return mixed(terms, {index: names[0] for index, names in enumerate(classes)})


def single_class(text: str, labels: Sequence[str]) -> int | None:
    """The number of the class that an expression means; None where it is a mix, or no expression."""
    try:
        weights = parse_class_expression(text, labels).weights
    except ExpressionError:
        return None
    return weights[0][0] if [weight for _, weight in weights] == [1.0] else None


def _joined(terms: Sequence[str], names: Set[str], count: int) -> list[str]:
    """Terms that together are one of the names, as one term, the longest first; of `count` classes."""
    found: list[str] = []
    start = 0
    while start < len(terms):
        stops = range(len(terms), start + 1, -1)
        stop = next((stop for stop in stops if _is_named(" ".join(terms[start:stop]), names, count)), start + 1)
        found.append(" ".join(terms[start:stop]))
        start = stop
    return found


def _names(classes: Classes) -> set[str]:
    """All names that mean one class, as names are compared."""
    further = Counter(name for names in classes for name in set(map(comparable, names[1:])))
    return {comparable(names[0]) for names in classes} | {name for name, count in further.items() if count == 1}


def _is_named(term: str, names: Set[str], count: int) -> bool:
    """Whether a term is one of the names or a number of `count` classes, with or without a weight and a minus."""
    name, _, weight = term.rpartition(":")
    # Joined terms have a space between them, and a weight is one of them.
    written = [term] if " " in weight.strip() else [term, name]
    plain = [_unquoted(_unquoted(text).removeprefix("-")) for text in written]
    named = (text for text in plain if text and not text.startswith("-"))
    return any(comparable(text) in names or _number(text, count) is not None for text in named)


def _unquoted(text: str) -> str:
    return text.strip().strip("'\"").strip()


def _term(term: str, classes: Classes) -> tuple[int, float]:
    exact = _find(term, classes)
    if exact is not None:
        return exact, 1.0
    name, colon, number = term.rpartition(":")
    weight = 1.0
    # A name may have a colon.
    if colon and _find(_unquoted(term.removeprefix("-")), classes) is None:
        weight = read_weight(number, term, classes[0][0])
        term = _unquoted(name)
    if term.startswith("-"):
        term, weight = _unquoted(term[1:]), -weight
    index = _find(term, classes)
    if index is None:
        raise ExpressionError(_unknown(term, classes))
    return index, weight


def _find(name: str, classes: Classes) -> int | None:
    # A leading minus is part of the expression, never of a name.
    if not name.startswith("-"):
        wanted = comparable(name)
        named = [index for index, names in enumerate(classes) if wanted == comparable(names[0])]
        also_named = [index for index, names in enumerate(classes) if wanted in map(comparable, names[1:])]
        if named:
            return named[0]
        if len(also_named) > 1:
            several = " or ".join(f"'{classes[index][0]}'" for index in also_named)
            raise ExpressionError(f"'{name}' may be {several}: write which.")
        if also_named:
            return also_named[0]
    return _number(name, len(classes))


def _number(name: str, count: int) -> int | None:
    # Python refuses to read numbers of thousands of digits.
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) < count:
        return int(name)
    return None


def _unknown(name: str, classes: Classes) -> str:
    if name.isdigit():
        return f"There is no class number {name}: this classifier's classes are 0 to {len(classes) - 1}."
    first = {comparable(other): names[0] for names in reversed(classes) for other in reversed(names)}
    near = difflib.get_close_matches(comparable(name), first, n=3, cutoff=0.5)
    near += [key for key in first if len(comparable(name)) >= 3 and comparable(name) in key and key not in near]
    if near:
        names = dict.fromkeys(first[key] for key in near)
        return f"There is no class '{name}'. Did you mean {' or '.join(list(names)[:4])}?"
    return f"There is no class '{name}'. {_known(classes)}"


def _known(classes: Classes, most: int = 24) -> str:
    more = f" and {len(classes) - most} more" if len(classes) > most else ""
    return f"This classifier knows: {', '.join(names[0] for names in classes[:most])}{more}."
