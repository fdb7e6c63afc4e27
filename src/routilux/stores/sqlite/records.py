"""Reading a store of SQLite, while it is written to or not; each call has a connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from routilux.errors import StoreDamagedError, StoreError
from routilux.stores.blobs import Blobs, names_in
from routilux.stores.chain import Chain
from routilux.stores.port import FINISHED, Finished, Records, StoredEntry, StoredJob
from routilux.stores.rows import FACT, JOB, FactRow, JobRow, entries_of, job_row, removed_meanwhile
from routilux.stores.sqlite.file import beside, mark_of, open_for_reading, store_error
from routilux.stores.sqlite.rows import find_job, last_fact, request_of

_PAGE = 500
_ENTRIES = f"SELECT {FACT} FROM facts WHERE job = ? AND seq {{}} ? ORDER BY seq LIMIT {_PAGE}"


class SQLiteRecords(Records):
    """What is in a file, verified as it is read."""

    def __init__(self, path: Path, chain: Chain) -> None:
        """Raises `StoreError` if there is no store of this version, or one with another key."""
        self._path = path
        self._chain = chain
        self._blobs = Blobs(beside(path, ".blobs"))
        with self.reading() as connection:
            chain.check(mark_of(connection), path)

    def job(self, job_id: str) -> StoredJob | None:
        with self.reading() as connection, as_of_now(connection):
            row = find_job(connection, job_id, self._chain)
            return None if row is None else stored(connection, row, self._chain)

    def jobs(self, flow_id: str | None = None, statuses: Collection[str] = ()) -> Iterator[StoredJob]:
        marks = ", ".join("?" * len(statuses))
        wanted = ("AND flow_id = ? " if flow_id is not None else "") + (f"AND status IN ({marks}) " if statuses else "")
        values = ([] if flow_id is None else [flow_id]) + list(statuses)
        query = f"SELECT {JOB} FROM jobs WHERE number < ? {wanted}ORDER BY number DESC LIMIT {_PAGE}"
        before = 2**63 - 1
        with self.reading() as connection:
            while True:
                with as_of_now(connection):
                    rows = connection.execute(query, [before, *values]).fetchall()
                    found, broken = _whole(connection, rows, self._chain)
                yield from found
                if broken is not None:
                    raise broken
                if len(rows) < _PAGE:
                    return
                before = rows[-1][0]

    def job_ids(self, flow_id: str, statuses: Collection[str]) -> list[str]:
        marks = ", ".join("?" * len(statuses))
        query = f"SELECT job_id FROM jobs WHERE flow_id = ? AND status IN ({marks}) ORDER BY number"
        with self.reading() as connection:
            return [job_id for (job_id,) in connection.execute(query, (flow_id, *statuses))]

    def finished(self, before: int) -> Iterator[Finished]:
        marks = ", ".join("?" * len(FINISHED))
        query = (
            f"SELECT {JOB} FROM jobs WHERE number > ? AND status IN ({marks}) AND "
            "(SELECT at FROM facts WHERE job = number ORDER BY seq DESC LIMIT 1) < ? "
            f"ORDER BY number LIMIT {_PAGE}"
        )
        after, found = 0, list[Finished]()
        while True:
            with self.reading() as connection:
                rows = connection.execute(query, (after, *FINISHED, before)).fetchall()
                for row in rows:
                    with suppress(StoreDamagedError), as_of_now(connection):
                        job = job_row(row, self._chain)
                        last_fact(connection, job)
                        found.append(Finished(job.job_id, job.entries))
            yield from found
            if len(rows) < _PAGE:
                return
            after, found = rows[-1][0], []

    def entries(self, job_id: str, after: int = 0) -> Iterator[StoredEntry]:
        try:
            yield from self._entries(job_id, after)
        except StoreDamagedError as error:
            with self.reading() as connection:
                gone = find_job(connection, job_id, self._chain) is None
            if gone:
                raise removed_meanwhile(job_id) from error
            raise

    def _entries(self, job_id: str, after: int) -> Iterator[StoredEntry]:
        with self.reading() as connection:
            with as_of_now(connection):
                job = find_job(connection, job_id, self._chain)
                if job is None:
                    return
                number = job.number

                def read(comparison: str, seq: int) -> list[FactRow]:
                    return connection.execute(_ENTRIES.format(comparison), (number, seq)).fetchall()

                yield from entries_of(job, self._chain, after, _PAGE, read)
            if find_job(connection, job_id, self._chain) is None:
                raise removed_meanwhile(job_id)

    def load(self, name: str) -> bytes:
        return self._blobs.load(name)

    def close(self) -> None:
        return

    def blobs_named(self) -> set[str]:
        """The names of large values in all entries and requests."""
        with self.reading() as connection:
            bodies = connection.execute("SELECT body FROM facts WHERE instr(body, CAST('sha256-' AS BLOB))")
            return {name for (body,) in bodies for name in names_in(body)}

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write."""
        with closing(open_for_reading(self._path)) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise store_error(error, self._path) from error


@contextmanager
def as_of_now(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read within is of one moment, whatever is written or removed meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _whole(
    connection: sqlite3.Connection, rows: list[tuple[Any, ...]], chain: Chain
) -> tuple[list[StoredJob], StoreError | None]:
    """The jobs of some rows up to the first that is damaged, and what is said of that."""
    found: list[StoredJob] = []
    try:
        found.extend(stored(connection, job_row(row, chain), chain) for row in rows)
    except StoreDamagedError as error:
        return found, error
    return found, None


def stored(connection: sqlite3.Connection, job: JobRow, chain: Chain) -> StoredJob:
    """A job as its row and its first and last entries have it."""
    request = request_of(connection, job, chain)
    seq, _, _, at, *_ = last_fact(connection, job)
    return StoredJob(job.job_id, job.flow_id, job.key, request, job.status, job.created_at, at, seq)
