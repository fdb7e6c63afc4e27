"""The table of figures, in plain text where rich is not installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from benchmarks.measure import Better, Figure

try:
    from rich.console import Console
    from rich.table import Table
except ModuleNotFoundError:
    RICH = False
else:
    RICH = True

COLUMNS = ("measure", "target", "best", "median", "verdict", "note")


def show(figures: Sequence[Figure]) -> None:
    """Prints them."""
    title = f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs"
    rows = [_cells(figure) for figure in figures]
    if not RICH:
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        print(title)
        for row in (COLUMNS, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(title=title, title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in {"target", "best", "median"} else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=180).print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = ">=" if figure.better is Better.LARGER else "<="
    target = "" if figure.target is None else f"{sign} {figure.target:g} {figure.unit}"
    numbers = (f"{one:.2f} {figure.unit}" if figure.unit else "" for one in (figure.best, figure.median))
    return figure.measure, target, *numbers, figure.verdict, figure.note
