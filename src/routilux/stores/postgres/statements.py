"""Executes the statements of handlers in the session that writes, within the transaction of their outcomes.

Names without a schema are looked up where any other client of the database looks, and not in the schema of the store,
whose tables are nobody else's. One that is refused takes back what its addition wrote, and nothing else.
"""

from __future__ import annotations

import re
from contextlib import closing

import psycopg
from psycopg.pq import TransactionStatus

from routilux.errors import TransactionError
from routilux.statements import shown
from routilux.stores.changes import Addition
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.session import Session

_OF_THE_STORE = ("25006", "53", "57P", "58", "XX001", "XX002")
"""How the codes of errors begin that are no fault of a statement: read only, no room, shut down, disk, damage."""

_PATH = """
SELECT coalesce(string_agg(quote_ident(name), ','), '') FROM unnest(current_schemas(false)) AS name WHERE name <> %s
"""


class Statements:
    """Those of one store."""

    def __init__(self, address: Address) -> None:
        self._address = address
        tables = "owner|jobs|facts|large_values"
        self._own = re.compile(rf'\b{address.namespace}\b"?\s*\.\s*"?({tables})\b', re.IGNORECASE)
        self._path: str | None = None

    def execute(self, session: Session, addition: Addition) -> TransactionError | None:
        """Executes the statements of an addition; says why they have not been, if one is refused."""
        session.execute("SAVEPOINT theirs; SET LOCAL search_path TO DEFAULT")
        if self._path is None:
            ((self._path,),) = session.execute(_PATH, (self._address.namespace,)).fetchall()
        session.execute("SELECT set_config('search_path', %s, true)", (self._path,))
        refusal = self._first_refused(session, addition)
        if refusal is None:
            # The path for what follows in this transaction; an abort of the savepoint has it back by itself.
            session.execute(f"SET LOCAL search_path = {self._address.namespace}; RELEASE SAVEPOINT theirs")
        else:
            session.execute("ROLLBACK TO SAVEPOINT theirs; RELEASE SAVEPOINT theirs")
        return refusal

    def _first_refused(self, session: Session, addition: Addition) -> TransactionError | None:
        text = ""
        try:
            for text, rows in addition.statements:
                if self._own.search(text):
                    return TransactionError(f"Job {addition.job_id}: {shown(text)} names a table of the store.")
                with closing(session.cursor(binary=True)) as cursor:  # so that a text is one statement
                    if len(rows) == 1:
                        cursor.execute(text, rows[0] or None)
                    else:
                        cursor.executemany(text, rows)
            # What is checked at the end of a transaction is checked at the end of these statements.
            session.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        except psycopg.Error as error:
            alive = {TransactionStatus.INTRANS, TransactionStatus.INERROR}
            if session.info.transaction_status not in alive or (error.sqlstate or "").startswith(_OF_THE_STORE):
                raise
            refusal = TransactionError(
                f"Job {addition.job_id}: the server refuses {shown(text)}: {self._address.masked(error)}."
            )
            refusal.__cause__ = error
            return refusal
        return None
