"""Classes as an artist writes them: `church`, `12`, `sea:0.7, mountain:0.3`, `-street`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from .mix import ExpressionError, Mix, mixed, read_weight


def parse_class_expression(text: str, labels: Sequence[str]) -> Mix:
    """Read a class expression.

    Terms are separated by commas. A term is a class name or number, with an optional weight after a colon and an
    optional minus before it. Names match without case, spaces, underscores or hyphens.

    Raises:
        ExpressionError: an empty text, an unknown class, a weight that is no number or out of range.
    """
    terms = [_term(term.strip(), labels) for term in text.split(",") if term.strip()]
    if not terms:
        raise ExpressionError(f"Write a class, for instance '{labels[0]}'. {_known(labels)}")
    return mixed(terms, dict(enumerate(labels)))


def _term(term: str, labels: Sequence[str]) -> tuple[int, float]:
    exact = _find(term, labels)
    if exact is not None:
        return exact, 1.0
    name, colon, number = term.rpartition(":")
    weight = 1.0
    if colon:
        weight = read_weight(number, term, labels[0])
        term = name.strip()
    if term.startswith("-"):
        term, weight = term[1:].strip(), -weight
    index = _find(term, labels)
    if index is None:
        raise ExpressionError(_unknown(term, labels))
    return index, weight


def _find(name: str, labels: Sequence[str]) -> int | None:
    wanted = _plain(name)
    for index, label in enumerate(labels):
        # A leading minus is part of the expression, never of a name.
        if _plain(label) == wanted and not name.startswith("-"):
            return index
    # Python refuses to read numbers of thousands of digits.
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) < len(labels):
        return int(name)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


def _unknown(name: str, labels: Sequence[str]) -> str:
    if name.isdigit():
        return f"There is no class number {name}: this classifier's classes are 0 to {len(labels) - 1}."
    plain = {_plain(label): label for label in labels}
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    near += [key for key in plain if len(_plain(name)) >= 3 and _plain(name) in key and key not in near]
    if near:
        return f"There is no class '{name}'. Did you mean {' or '.join(plain[key] for key in near[:4])}?"
    return f"There is no class '{name}'. {_known(labels)}"


def _known(labels: Sequence[str], most: int = 24) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return f"This classifier knows: {', '.join(labels[:most])}{more}."
