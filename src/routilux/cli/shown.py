"""Shows a report: drawn where a terminal is, as plain text elsewhere, or as JSON."""

from __future__ import annotations

import json
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.table import Table as Drawn

from routilux.advice.report import Report, Table
from routilux.escaping import escaped, escaped_lines


class Shown(Protocol):
    """What can be shown; every `Answer` can."""

    def report(self) -> Report:
        """For people."""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""


def show(answer: Shown, *, as_json: bool, console: Console | None = None) -> None:
    """Prints an answer. What comes from outside is only ever shown: a terminal does nothing because of it."""
    if as_json:
        print(json.dumps(answer.to_dict(), indent=2, default=str))
        return
    console = Console(markup=False, highlight=False, emoji=False) if console is None else console
    if not console.is_terminal:
        print(_harmless(answer.report()))
        return
    for place, part in enumerate(_harmless(answer.report()).parts):
        if isinstance(part, Table):
            console.print(_drawn(part))
        else:
            console.print(part, style=None if place else "bold")
            console.print()


def _harmless(report: Report) -> Report:
    return Report(
        tuple(
            part._replace(rows=tuple(tuple(map(escaped, row)) for row in part.rows))
            if isinstance(part, Table)
            else escaped_lines(part)
            for part in report.parts
        )
    )


def _drawn(table: Table) -> Drawn:
    drawn = Drawn(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for head, numeric in zip(table.heads, table.numeric, strict=True):
        drawn.add_column(head, justify="right" if numeric else "left", overflow="fold", style=None if head else "cyan")
    for row in table.rows:
        drawn.add_row(*(cell if head else cell.replace("#", "█") for head, cell in zip(table.heads, row, strict=True)))
    return drawn
