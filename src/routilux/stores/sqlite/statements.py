"""Executes the statements of handlers on the connection that writes, within the transaction of their outcomes.

They may do to other tables what they like, and to the store's own nothing. One that is refused takes back what its
addition wrote, and nothing else.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from routilux.errors import TransactionError
from routilux.facts import Statement
from routilux.statements import shown
from routilux.stores.changes import Addition

OWN = frozenset({"owner", "jobs", "keys", "facts"})
"""The tables and indexes of a store."""

_NEVER = frozenset(
    {
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_PRAGMA,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
    }
)
_OF_A_TABLE = frozenset(
    {
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_TRIGGER,
    }
)
"""Where the name of a table comes second; elsewhere that is the name of a column."""
_OF_THE_STORE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)
"""What is no fault of a statement."""

_ROW_BYTES = 512
"""What a row that a statement changes adds to the log, about."""


class Statements:
    """Those of one store."""

    def __init__(self) -> None:
        self._watched: sqlite3.Connection | None = None
        self._theirs = False
        """Whether what is prepared now is a handler's."""
        self.size = 0
        """About how many bytes the last addition's have added to the log."""

    def execute(self, connection: sqlite3.Connection, addition: Addition) -> TransactionError | None:
        """Executes the statements of an addition; says why they have not been, if one is refused.

        Some conflict clauses take back the whole transaction: then the connection is in none afterwards.
        """
        if self._watched is not connection:
            connection.set_authorizer(self._judge)
            self._watched = connection
        before = connection.total_changes
        connection.execute("SAVEPOINT theirs")
        self._theirs = True
        try:
            refusal = self._first_refused(connection, addition)
        finally:
            self._theirs = False
        if connection.in_transaction:
            if refusal is not None:
                connection.execute("ROLLBACK TO theirs")
            connection.execute("RELEASE theirs")
        written = sum(_bytes_of(statement) for statement in addition.statements)
        self.size = written + _ROW_BYTES * (connection.total_changes - before)
        return refusal

    def _first_refused(self, connection: sqlite3.Connection, addition: Addition) -> TransactionError | None:
        for text, rows in addition.statements:
            try:
                with closing(connection.cursor()) as cursor:
                    if len(rows) == 1:
                        cursor.execute(text, rows[0])
                    else:
                        cursor.executemany(text, rows)
            # Python's own refusals of two statements in one are warnings.
            except (sqlite3.Error, sqlite3.Warning) as error:
                code = getattr(error, "sqlite_errorcode", None)
                if code is not None and code & 0xFF in _OF_THE_STORE:
                    raise
                refusal = TransactionError(f"Job {addition.job_id}: SQLite refuses {shown(text)}: {error}.")
                refusal.__cause__ = error
                return refusal
        return None

    def _judge(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """SQLite asks, before it prepares a statement, for everything that would be done."""
        if not self._theirs:
            return sqlite3.SQLITE_OK
        touched = {(first or "").lower(), (second or "").lower() if action in _OF_A_TABLE else ""}
        return sqlite3.SQLITE_DENY if touched & OWN or action in _NEVER else sqlite3.SQLITE_OK


def _bytes_of(statement: Statement) -> int:
    text, rows = statement
    values = (value for row in rows for value in (row.values() if isinstance(row, dict) else row))
    return len(text) + sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in values)
