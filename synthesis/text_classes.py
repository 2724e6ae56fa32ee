"""Classes written as texts, a line each: what CLIP reads of a line, and the class's name in expressions."""

from __future__ import annotations

from dataclasses import dataclass

from ..models.names import comparable, label_names, plain_text
from .mix import ExpressionError

PLACE = "{}"
ANYTHING_ELSE = "anything else"
"""The name of the empty text, which is the rival of a class that is alone: cross-entropy needs one."""


@dataclass(frozen=True)
class TextClasses:
    """Classes from texts."""

    texts: tuple[str, ...]
    """What CLIP reads for each class."""
    labels: tuple[str, ...]
    """The name of each class."""


def read_text_classes(lines: str, template: str = PLACE) -> TextClasses:
    """Read classes from lines of text.

    A line is a class. Its name is the line without its commas, because a comma separates classes in an expression;
    `parse_class_expression` finds it with its commas as well. A line alone gets `ANYTHING_ELSE` beside it.

    Args:
        lines: of text; empty ones are left out.
        template: what CLIP reads, with `{}` where the line is put.

    Raises:
        ExpressionError: there is no line, a line begins with a minus or has no letter, two lines have the same name,
            or the template has no `{}`.
    """
    if PLACE not in template:
        raise ExpressionError(f"The template '{template}' has no {PLACE}, where the text is put: 'a photo of {PLACE}'.")
    written = {number: " ".join(line.split()) for number, line in enumerate(lines.splitlines(), 1) if line.strip()}
    if not written:
        raise ExpressionError("Write a class in each line of texts, for instance 'a lighthouse at night'.")
    labels: dict[int, str] = {}
    names: dict[str, int] = {}
    for number, line in written.items():
        if plain_text(line).startswith("-"):
            raise ExpressionError(
                f"Line {number} of texts begins with a minus: '{line}'. Write the class without it here, and with it "
                "in target_class, to stay away from it."
            )
        label = " ".join(part for part in label_names(line) if part)
        name = comparable(label)
        if not name:
            raise ExpressionError(f"Line {number} of texts is no text: '{line}'.")
        if name in names:
            raise ExpressionError(f"Line {number} of texts is the same as line {names[name]}: '{line}'.")
        labels[number], names[name] = label, number
    texts = [template.replace(PLACE, line) for line in written.values()]
    if len(texts) == 1:
        return TextClasses((*texts, ""), (*labels.values(), ANYTHING_ELSE))
    return TextClasses(tuple(texts), tuple(labels.values()))
