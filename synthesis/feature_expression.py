"""Features as an artist writes them: `768`, `768:1, 675:0.5`, `-12`."""

from __future__ import annotations

from ..models.names import plain_text
from .mix import ExpressionError, Mix, mixed, read_weight


def parse_feature_expression(text: str, count: int) -> Mix:
    """Read a feature expression.

    Terms are separated by commas or line breaks. A term is the number of a feature, with an optional weight after a
    colon and an optional minus before it. Commas, colons and dashes may be those of any script.

    Args:
        text: the expression.
        count: how many features there are.

    Raises:
        ExpressionError: an empty text, a number out of range, a weight that is no number or out of range.
    """
    terms = [_term(term.strip(), count) for term in plain_text(text.replace("\n", ",")).split(",") if term.strip()]
    if not terms:
        raise ExpressionError(f"Write a feature, a number from 0 to {count - 1}, or a mix like '5:1, 12:0.5'.")
    return mixed(terms, {index: str(index) for index, _ in terms})


def _term(term: str, count: int) -> tuple[int, float]:
    name, colon, number = term.partition(":")
    weight = read_weight(number, term, "12") if colon else 1.0
    name = name.strip()
    if name.startswith("-"):
        name, weight = name[1:].strip(), -weight
    # Python refuses to read numbers of thousands of digits.
    if not (name.isascii() and name.isdigit() and len(name) < 10):
        raise ExpressionError(f"'{name}' is not a feature: write its number, from 0 to {count - 1}.")
    if int(name) >= count:
        raise ExpressionError(f"There is no feature {name}: this classifier's features are 0 to {count - 1}.")
    return int(name), weight
