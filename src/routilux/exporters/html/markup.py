"""HTML out of values: whatever comes from outside becomes text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from routilux.insight.timeline import Use

CLASSES = {use: use.name.lower().replace("_", "-") for use in Use}
"""By use: the class by which the style sheet colours it."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


class Column(NamedTuple):
    """A column of a table."""

    title: str
    number: bool = False
    """Whether it has numbers, which stand to the right."""


def text(value: object) -> Markup:
    """A value as it is shown."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def element(name: str, *content: object, **attributes: object) -> Markup:
    """One element; an attribute whose name is a Python word ends in `_`, and hyphens are underscores."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Parts, one after another."""
    return Markup("".join(map(text, parts)))


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Markup:
    """A table whose first column names its rows; nothing where there is no row."""
    head = [element("th", column.title, scope="col", class_="number" if column.number else "") for column in columns]
    body = [_row(columns, row) for row in rows]
    if not body:
        return Markup("")
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body)
    )
    return element("div", whole, class_="scroll")


def _row(columns: Sequence[Column], cells: Sequence[object]) -> Markup:
    first = element("th", cells[0], scope="row")
    rest = (
        element("td", cell, class_="number" if column.number else "")
        for column, cell in zip(columns[1:], cells[1:], strict=True)
    )
    return element("tr", first, *rest)


def stacked(seconds: Mapping[Use, float], total: float) -> Markup:
    """A bar of what an amount of time went into; its text says the same."""
    parts = {use: took / total for use, took in seconds.items() if took > 0} if total > 0 else {}
    words = ", ".join(f"{use.value} {share:.0%}" for use, share in parts.items())
    pieces = [
        element("span", class_=f"use-{CLASSES[use]}", style=f"width:{min(1.0, share):.4%}")
        for use, share in parts.items()
    ]
    return element("span", *pieces, class_="stack", role="img", aria_label=words, title=words)


def bar(share: float) -> Markup:
    """A plain bar beside its figure."""
    return element(
        "span", element("span", style=f"width:{min(1.0, max(0.0, share)):.4%}"), class_="bar", aria_hidden="true"
    )


def percent(share: float) -> str:
    """A share."""
    return f"{share:.1%}"


def duration(seconds: float) -> str:
    """A duration in three figures and the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}" if abs(seconds) / size < 1000 else f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"
