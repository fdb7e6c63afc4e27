"""Reading a store of PostgreSQL, while it is written to or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial

from routilux.errors import StoreDamagedError, StoreError
from routilux.stores.chain import Chain
from routilux.stores.port import FINISHED, Finished, Records, StoredEntry, StoredJob
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.rows import WHOLE_JOB, find_jobs, whole_job
from routilux.stores.postgres.session import Sessions, session_for_reading
from routilux.stores.postgres.tables import check_version
from routilux.stores.postgres.values import loaded
from routilux.stores.rows import FACT, FactRow, entries_of, removed_meanwhile

_PAGE = 500
_OVER = f"""
jobs.number > %(after)s AND jobs.status = ANY(%(statuses)s::text[]) AND last.at < %(before)s
ORDER BY jobs.number LIMIT {_PAGE}
"""
_AT_ONE_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ENTRIES = f"SELECT {FACT} FROM facts WHERE job = %s AND seq {{}} %s ORDER BY seq LIMIT {_PAGE}"


class PostgresRecords(Records):
    """What is in a schema, verified as it is read."""

    def __init__(self, address: Address, chain: Chain) -> None:
        """Raises `StoreError` if there is no store of this version, or one with another key."""
        self._chain = chain
        self._sessions = Sessions(address, partial(session_for_reading, address))
        try:
            with self._sessions.one() as session:
                check_version(session, address, chain)
        except StoreError:
            self._sessions.close()
            raise

    def job(self, job_id: str) -> StoredJob | None:
        with self._sessions.one() as session:
            found = find_jobs(session, "jobs.job_id = %(id)s", {"id": job_id}, self._chain)
        return found[0].stored if found else None

    def jobs(self, flow_id: str | None = None, statuses: Collection[str] = ()) -> Iterator[StoredJob]:
        wanted = "jobs.number < %(before)s"
        if flow_id is not None:
            wanted += " AND jobs.flow_id = %(flow)s"
        if statuses:
            wanted += " AND jobs.status = ANY(%(statuses)s::text[])"
        values = {"before": 2**63 - 1, "flow": flow_id, "statuses": list(statuses)}
        with self._sessions.one() as session:
            while found := find_jobs(session, f"{wanted} ORDER BY jobs.number DESC LIMIT {_PAGE}", values, self._chain):
                for one in found:
                    yield one.stored
                values["before"] = found[-1].job.number

    def job_ids(self, flow_id: str, statuses: Collection[str]) -> list[str]:
        query = "SELECT job_id FROM jobs WHERE flow_id = %s AND status = ANY(%s::text[]) ORDER BY number"
        with self._sessions.one() as session:
            return [job_id for (job_id,) in session.execute(query, (flow_id, list(statuses)))]

    def finished(self, before: int) -> Iterator[Finished]:
        values = {"after": 0, "statuses": list(FINISHED), "before": before}
        found: list[Finished] = []
        while True:
            with self._sessions.one() as session:
                rows = session.execute(f"{WHOLE_JOB} WHERE {_OVER}", values, prepare=True).fetchall()
            for row in rows:
                with suppress(StoreDamagedError):
                    job = whole_job(row, self._chain).job
                    found.append(Finished(job.job_id, job.entries))
            yield from found
            if len(rows) < _PAGE:
                return
            values["after"], found = rows[-1][0], []

    def entries(self, job_id: str, after: int = 0) -> Iterator[StoredEntry]:
        try:
            yield from self._entries(job_id, after)
        except StoreDamagedError as error:
            with self._sessions.one() as session:
                gone = not find_jobs(session, "jobs.job_id = %(id)s", {"id": job_id}, self._chain)
            if gone:
                raise removed_meanwhile(job_id) from error
            raise

    def _entries(self, job_id: str, after: int) -> Iterator[StoredEntry]:
        with self._sessions.one() as session:
            session.execute(_AT_ONE_MOMENT)
            try:
                found = find_jobs(session, "jobs.job_id = %(id)s", {"id": job_id}, self._chain)
                if not found:
                    return
                job = found[0].job

                def read(comparison: str, seq: int) -> list[FactRow]:
                    query = _ENTRIES.format(comparison)
                    return session.execute(query, (job.number, seq), binary=comparison == ">").fetchall()

                yield from entries_of(job, self._chain, after, _PAGE, read)
            finally:
                if not session.closed:
                    session.execute("ROLLBACK")
            if not find_jobs(session, "jobs.job_id = %(id)s", {"id": job_id}, self._chain):
                raise removed_meanwhile(job_id)

    def load(self, name: str) -> bytes:
        return loaded(self._sessions, name)

    def close(self) -> None:
        self._sessions.close()
