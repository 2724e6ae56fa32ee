"""The Markdown table of all benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Table:
    """A Markdown table that prints each row as soon as it is known."""

    def __init__(self, title: str, columns: Mapping[str, str]) -> None:
        """Start a table.

        Args:
            title: printed above the table, in bold.
            columns: the name of each column after the first, and the format of its values.
        """
        self.title, self.columns = title, columns
        self.started = False

    def row(self, name: str, *values: float | None) -> None:
        """Print a row, with a dash for each None."""
        if not self.started:
            self.started = True
            print(f"\n**{self.title}**\n")
            self._line("", list(self.columns))
            print("|---" * (len(self.columns) + 1) + "|")
        formats = zip(values, self.columns.values(), strict=True)
        self._line(name, ["-" if value is None else format(value, spec) for value, spec in formats])

    def _line(self, name: str, cells: Sequence[str]) -> None:
        padded = [f"{cell:>{max(len(column), 6)}}" for cell, column in zip(cells, self.columns, strict=True)]
        print(f"| {name:<40} | {' | '.join(padded)} |", flush=True)
