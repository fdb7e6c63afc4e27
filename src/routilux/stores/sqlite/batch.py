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
    count: f"INSERT INTO facts (job, seq, epoch, kind, at, body, chain) VALUES {', '.join([_ROW] * count)}"
    for count in (256, 64, 16, 4, 1)
}
"""By how many rows. At each statement SQLite lets go of the interpreter lock, and where other threads compute, it may
be milliseconds until it has it back; so there are few statements."""
ADD_ALL = {
    count: "INSERT INTO facts (job, seq, epoch, kind, at, body, chain) SELECT new.* FROM "
    f"(VALUES {', '.join([_ROW] * count)}) AS new "
    "WHERE new.column1 IS NOT NULL AND EXISTS (SELECT 1 FROM owner WHERE epoch = ?)"
    for count in (2, 4, 8, 16, 32, 64, 128, 256)
}
"""By how many rows, where nothing else is to be written: a transaction of its own, so one statement in place of four.
What is missing to the next number of rows is filled up with empty ones."""
NO_ROW = (None,) * 7
MOST_ROWS = max(ADD_ALL)


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

    def insert(self, connection: sqlite3.Connection) -> None:
        """Brings the entries that came since the last time into the file."""
        for count, statement in _ADD.items():
            while self.inserted + count <= len(self.facts):
                rows = self.facts[self.inserted : self.inserted + count]
                connection.execute(statement, tuple(chain.from_iterable(rows)))
                self.inserted += count


def left_by(changes: Sequence[Change], opened: Batch) -> Left:
    """What is known of a transaction before it is committed."""
    if not opened.facts:
        return Left(changes, opened.answers, None)
    number, seq, *_, link = opened.facts[-1]
    return Left(changes, opened.answers, (number, seq, link))
