"""A report: sentences and tables, to be printed as plain text or drawn by whoever can do better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BAR = 24
"""How many letters a full bar has."""

NUMERIC = frozenset("0123456789.,%+-µmsx ")
"""What a column consists of that is set to the right."""


class Table(NamedTuple):
    """Rows of cells under heads, all of them text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column: whether it is set to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.heads)
        return tuple(all(set(cell) <= NUMERIC for cell in column) for column in columns)

    def __str__(self) -> str:
        lines = [self.heads, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heads))]
        shaped = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, self.numeric, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *(f"  {line}" for line in shaped)])


class Report(NamedTuple):
    """Paragraphs and tables, top to bottom; the first says what matters most."""

    parts: tuple[str | Table, ...]

    def __str__(self) -> str:
        return "\n\n".join(str(part) for part in self.parts)


def report(*parts: str | Table | None) -> Report:
    """A report of what there is: empty tables and texts are left out."""
    return Report(tuple(part for part in parts if part and (isinstance(part, str) or part.rows)))


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of such rows."""
    return Table(title, tuple(heads), tuple(tuple(row) for row in rows))


def seconds(value: float) -> str:
    """A duration as a person reads it."""
    if value >= 1 or value <= 0:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.1f} µs"


def bar(share: float) -> str:
    """A share as a bar."""
    return "#" * max(0, min(BAR, round(share * BAR)))
