"""What many changes come to in the file, while they are written and until it is known that they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from routilux.stores.changes import Answer, Change
from routilux.stores.rows import JobRow

_ROW = "(?, ?, ?, ?, ?, ?, ?)"
_ADD = {
    count: "INSERT INTO facts (job, seq, epoch, kind, at, body, chain) SELECT new.* FROM "
    f"(VALUES {', '.join([_ROW] * count)}) AS new WHERE new.column3 = (SELECT epoch FROM owner)"
    for count in (1, 2, 4, 8, 16, 32, 64, 128, 256)
}
"""By how many rows. At each statement SQLite lets go of the interpreter lock, and where other threads compute, it may
be milliseconds until it has it back; so there are few. What is missing to the next number of rows is filled up with
empty ones, which are of no epoch."""
_NO_ROW = (None,) * 7
MOST_ROWS = max(_ADD)
"""So many entries are one statement, which may be a transaction of its own."""


class Head:
    """The last entry of a job that is written to."""

    __slots__ = ("chain", "job", "seq")

    def __init__(self, job: JobRow, seq: int, chain: bytes) -> None:
        self.job = job
        self.seq = seq
        self.chain = chain


class Left(NamedTuple):
    """A transaction that has begun and, if it was left, may have been committed."""

    changes: Sequence[Change]
    answers: list[Answer]
    last: tuple[int, int, bytes] | None
    """Number of the job, seq and chain of an entry that is in the file if it was."""


NOTHING = Left((), [], None)


class Batch:
    """What many changes come to."""

    __slots__ = ("answers", "facts", "inserted", "removed", "touched")

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.facts: list[tuple[Any, ...]] = []
        self.inserted = 0
        self.touched: set[str] = set()
        self.removed = 0

    def insert(self, connection: sqlite3.Connection) -> bool:
        """Brings the entries that came since the last time into the file, if its epoch is still theirs."""
        while self.inserted < len(self.facts):
            rows = self.facts[self.inserted : self.inserted + MOST_ROWS]
            count = next(count for count in _ADD if count >= len(rows))
            filled = chain.from_iterable([*rows, *[_NO_ROW] * (count - len(rows))])
            if connection.execute(_ADD[count], tuple(filled)).rowcount != len(rows):
                return False
            self.inserted += len(rows)
        return True


def left_by(changes: Sequence[Change], opened: Batch) -> Left:
    """What is known of a transaction before it is committed."""
    if not opened.facts:
        return Left(changes, opened.answers, None)
    number, seq, *_, link = opened.facts[-1]
    return Left(changes, opened.answers, (number, seq, link))
