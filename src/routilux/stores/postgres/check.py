"""Whether a store on a server holds what was written to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg

from routilux.errors import StoreDamagedError
from routilux.stores.blobs import names_in
from routilux.stores.chain import Chain
from routilux.stores.findings import Damage, Findings
from routilux.stores.postgres.address import address_of
from routilux.stores.postgres.session import Session, session_for_reading, store_error
from routilux.stores.postgres.tables import check_version
from routilux.stores.postgres.values import every_name, is_value
from routilux.stores.rows import FACT, JOB, FactRow, JobRow, Verifier, job_row

_PAGE = 500


def check(dsn: str, *, journal_key: bytes | None = None) -> Findings:
    """Reads all of a store as it is at one moment; raises `StoreError` if there is none of this version."""
    address, chain = address_of(dsn), Chain(journal_key)
    with closing(session_for_reading(address)) as session:
        try:
            check_version(session, address, chain)
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            return _findings(session, chain)
        except psycopg.Error as error:
            raise store_error(error, address) from error


def _findings(session: Session, chain: Chain) -> Findings:
    lost = session.execute("SELECT DISTINCT job FROM facts WHERE job NOT IN (SELECT number FROM jobs)")
    damages = [Damage(f"The row of job number {number} is lost, but not its entries.") for (number,) in lost]
    jobs, entries, named = 0, 0, set[str]()
    for (number,) in session.execute("SELECT number FROM jobs ORDER BY number").fetchall():
        try:
            row = session.execute(f"SELECT {JOB} FROM jobs WHERE number = %s", (number,)).fetchone()
            job = job_row(row or (), chain)
            jobs += 1
            for fact in _facts(session, job, chain):
                entries += fact[0] > 0
                named |= names_in(fact[4])
        except StoreDamagedError as error:
            damages.append(Damage(str(error), error.job_id, error.seq))
    kept = set(every_name(session))
    missing = sorted(name for name in named if name not in kept or not _is_whole(session, name))
    return Findings(jobs, entries, tuple(damages), tuple(missing), tuple(sorted(kept - named)))


def _facts(session: Session, job: JobRow, chain: Chain) -> Iterator[FactRow]:
    """The request and the entries of a job, up to the first that is not what was written."""
    verifier, after = Verifier(job, chain), -1
    query = f"SELECT {FACT} FROM facts WHERE job = %s AND seq > %s ORDER BY seq LIMIT {_PAGE}"
    while rows := session.execute(query, (job.number, after), binary=True).fetchall():
        row: FactRow
        for row in rows:
            if after < 0:
                verifier.request(row)
            else:
                verifier.entry(row)
            after = row[0]
            yield row
    if after < 0:
        verifier.request(None)
    verifier.end()


def _is_whole(session: Session, name: str) -> bool:
    row = session.execute("SELECT data FROM large_values WHERE name = %s", (name,), binary=True).fetchone()
    return row is not None and is_value(name, row[0])
