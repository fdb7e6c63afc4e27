"""Which statements a handler may have executed with its outcome, and what their parameters may be.

A statement is one that writes, in the dialect of whichever database it is: no control of transactions, no setting, no
other file. What it may write to is for the store to say, where it is executed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from routilux.errors import PayloadError, PayloadTooLargeError, TransactionError
from routilux.facts import Statement

MOST_PARAMETERS = 1_000_000
"""Parameters of one statement, over all the times that it is executed."""

PARAMETER_BYTES = 8
"""What a parameter counts that is no text and no bytes."""

_SHOWN = 200

_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/ | (\$\w*\$).*?\1""",
    re.VERBOSE | re.DOTALL,
)
_WRITES = re.compile(
    r"\s*(INSERT|REPLACE|UPDATE|DELETE|MERGE|WITH|(CREATE|ALTER|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW))\b",
    re.IGNORECASE,
)


def checked(where: str, text: Any, rows: Iterable[Any], room: int) -> tuple[Statement, int]:
    """A statement with its parameters, and what it leaves of `room` bytes; raises what is wrong with it."""
    if not isinstance(text, str):
        raise TransactionError(f"{where}: a statement is a text, not {type(text).__name__}.")
    bare = _QUOTED.sub(" ", text).rstrip().rstrip(";")
    if ";" in bare:
        raise TransactionError(f"{where}: one statement at a time, not {shown(text)}.")
    if _WRITES.match(bare) is None:
        raise TransactionError(
            f"{where}: {shown(text)} cannot be executed with an outcome. That is for INSERT, REPLACE, UPDATE, DELETE, "
            "MERGE, WITH, and CREATE, ALTER and DROP of tables, indexes and views."
        )
    given: list[tuple[Any, ...] | dict[str, Any]] = []
    count = 0
    size = _size_of(text, f"{where}, the statement {shown(text)}")
    for number, row in enumerate(rows):
        place = f"{where}, {shown(text)}" + (f", row {number}" if number else "")
        values = _row(row, place)
        size += sum(_size_of(value, f"{place}, parameter {name!r}") for name, value in values)
        count += len(values)
        given.append(dict(row) if isinstance(row, Mapping) else tuple(value for _, value in values))
        if size > room or count > MOST_PARAMETERS:
            raise PayloadTooLargeError(
                f"{where}: what it writes in ctx.transaction() has more than {MOST_PARAMETERS} parameters or more "
                "bytes than max_payload. Write less at once, or raise max_payload."
            )
    return (text, given), room - size


def shown(text: str) -> str:
    """A statement as messages show it."""
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")


def _row(row: Any, place: str) -> list[tuple[int | str, Any]]:
    if isinstance(row, Mapping):
        named = [(name, value) for name, value in row.items() if type(name) is str]
        if len(named) == len(row):
            return list(named)
        raise PayloadError(f"{place}: parameters are named by texts.")
    if isinstance(row, Sequence) and not isinstance(row, (str, bytes, bytearray)):
        return list(enumerate(row))
    raise PayloadError(f"{place}: parameters are a tuple, a list or a mapping, not {type(row).__name__}.")


def _size_of(value: Any, place: str) -> int:
    """How many bytes a value counts; raises `PayloadError` for what no database takes as it is."""
    kind = type(value)
    if kind is str:
        try:
            return len(value.encode())
        except UnicodeEncodeError as error:
            raise PayloadError(f"{place}: it is no text of Unicode, for it has a lone surrogate.") from error
    if kind is bytes:
        return len(value)
    if kind is int and not -(2**63) <= value < 2**63:
        raise PayloadError(f"{place}: a whole number of more than 64 bits cannot be written. Give it as a text.")
    if kind is float and math.isnan(value):
        raise PayloadError(f"{place}: nan is no value of SQL. Give None.")
    if value is None or kind in (bool, int, float):
        return PARAMETER_BYTES
    raise PayloadError(
        f"{place}: a {kind.__module__}.{kind.__qualname__} cannot be written. Give None, a bool, an int, a float, a "
        "str or bytes."
    )
