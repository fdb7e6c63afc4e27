"""Whether a store holds what was written to it, and a copy of what still does.

Both read only, also what SQLite itself reads no more in one piece: jobs are found one by one from either end of the
tables, and a job is read to its first entry that is not what was written.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routilux.errors import StoreDamagedError, StoreError
from routilux.stores.blobs import Blobs, flush_folder, names_in
from routilux.stores.chain import Chain
from routilux.stores.findings import Damage, Findings
from routilux.stores.port import Durability
from routilux.stores.rows import FACT, JOB, FactRow, JobRow, Verifier, job_row
from routilux.stores.sqlite.file import beside, mark_of, open_for_reading, open_for_writing, store_error
from routilux.stores.sqlite.records import SQLiteRecords
from routilux.stores.sqlite.tail import Tail

_PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Repair:
    """What was copied, and what could not be."""

    jobs: int
    entries: int
    affected: tuple[Damage, ...]


def check(path: str | os.PathLike[str], *, journal_key: bytes | None = None) -> Findings:
    """Reads all of a store; raises `StoreError` if it is none of this version, or cannot be read at all."""
    whole, chain = Path(path).absolute(), Chain(journal_key)
    with closing(open_for_reading(whole)) as connection:
        _check_key(connection, chain, whole)
        damages = list(_damages_of_structure(connection, whole))
        jobs, entries, named = 0, 0, set[str]()
        with suppress(sqlite3.Error):
            # What is removed meanwhile is still there for this connection.
            connection.execute("BEGIN")
        for number in _numbers(connection):
            try:
                job = job_row(_row(connection, number), chain)
                jobs += 1
                for row in _facts(connection, job, chain):
                    entries += row[0] > 0
                    named |= names_in(row[4])
            except (StoreDamagedError, sqlite3.Error) as error:
                damages.append(_damage(error, whole))
    blobs = Blobs(beside(whole, ".blobs"))
    missing = {name for name in named if not _is_whole(blobs, name)}
    if missing:
        # They may have been removed meanwhile, with what named them.
        with suppress(StoreError):
            missing &= SQLiteRecords(whole, chain).blobs_named()
    return Findings(jobs, entries, tuple(damages), tuple(sorted(missing)), tuple(sorted(set(blobs.names()) - named)))


def repair(path: str | os.PathLike[str], into: str | os.PathLike[str], *, journal_key: bytes | None = None) -> Repair:
    """Copies of each job what stands before its first damage into a new store; leaves the old one as it is.

    A job of which not even the request is left is lost, and listed. One whose row is damaged is "pending" again: its
    entries say how far it came.
    """
    source, target, chain = Path(path).absolute(), Path(into).absolute(), Chain(journal_key)
    if target.exists():
        raise StoreError(f"{target} exists already. Give the path of a file that does not.")
    with closing(open_for_reading(source)) as old:
        _check_key(old, chain, source)
        return _repaired(old, source, target, chain)


def _repaired(old: sqlite3.Connection, source: Path, target: Path, chain: Chain) -> Repair:
    with closing(open_for_writing(target, Durability.POWER, chain.mark)) as new:
        affected = list(_damages_of_structure(old, source))
        jobs, entries, newest, named = 0, 0, 0, set[str]()
        new.execute("BEGIN IMMEDIATE")
        for number in _numbers(old):
            job, facts = _salvaged(old, number, source, chain, affected)
            if job is not None and facts:
                _copy(new, job, facts, chain)
                jobs, entries, newest = jobs + 1, entries + len(facts) - 1, max(newest, *(fact[1] for fact in facts))
                named |= {name for fact in facts for name in names_in(fact[4])}
        new.execute("UPDATE owner SET epoch = ?", (newest,))
        new.execute("COMMIT")
    _copy_blobs(Blobs(beside(source, ".blobs")), Blobs(beside(target, ".blobs")), named)
    flush_folder(target.parent)
    return Repair(jobs, entries, tuple(affected))


def _check_key(connection: sqlite3.Connection, chain: Chain, path: Path) -> None:
    """Raises `JournalKeyError`; where the mark itself cannot be read, what is read shows whether the key fits."""
    with suppress(sqlite3.Error):
        chain.check(mark_of(connection), path)


def _damages_of_structure(connection: sqlite3.Connection, path: Path) -> Iterator[Damage]:
    for pragma in ("quick_check(20)", "integrity_check(jobs)"):
        try:
            rows = connection.execute(f"PRAGMA {pragma}").fetchall()
            yield from (Damage(" ".join(text.split())) for (text,) in rows if text != "ok")
        except sqlite3.Error as error:
            yield _damage(error, path)
    try:
        Tail(path).verify(connection, path)
        lost = connection.execute(
            "SELECT DISTINCT job FROM facts WHERE job NOT IN (SELECT number FROM jobs)"
        ).fetchall()
        yield from (Damage(f"The row of job number {number} is lost, but not its entries.") for (number,) in lost)
    except (StoreDamagedError, sqlite3.Error) as error:
        yield _damage(error, path)


def _numbers(connection: sqlite3.Connection) -> list[int]:
    """The numbers of all jobs that can be found."""
    found = set[int]()
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error):
            found.update(number for (number,) in connection.execute(f"SELECT number FROM jobs ORDER BY number {order}"))
    return sorted(found)


def _row(connection: sqlite3.Connection, number: int) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(f"SELECT {JOB} FROM jobs WHERE number = ?", (number,)).fetchone()
    if row is None or not isinstance(row[1], str) or not isinstance(row[2], str):
        raise StoreDamagedError(f"The row of job number {number} is lost.")
    return row


def _facts(connection: sqlite3.Connection, job: JobRow, chain: Chain) -> Iterator[FactRow]:
    """The request and the entries of a job, up to the first that is not what was written."""
    verifier = Verifier(job, chain)
    rows = connection.execute(f"SELECT {FACT} FROM facts WHERE job = ? ORDER BY seq", (job.number,))
    request = rows.fetchone()
    verifier.request(request)
    yield request
    for row in rows:
        verifier.entry(row)
        yield row
    verifier.end()


def _salvaged(
    connection: sqlite3.Connection, number: int, path: Path, chain: Chain, affected: list[Damage]
) -> tuple[JobRow | None, list[FactRow]]:
    job: JobRow | None = None
    facts: list[FactRow] = []
    try:
        row = _row(connection, number)
        try:
            job = job_row(row, chain)
        except StoreDamagedError as error:
            affected.append(_damage(error, path))
            job = JobRow(*row[:-1])._replace(status=_PENDING, entries=0, chain=b"")
        facts.extend(_facts(connection, job, chain))
    except (StoreDamagedError, sqlite3.Error) as error:
        affected.append(_damage(error, path, job))
    return job, facts


def _copy(connection: sqlite3.Connection, job: JobRow, facts: list[FactRow], chain: Chain) -> None:
    job = job._replace(entries=facts[-1][0], chain=facts[-1][5])
    connection.execute(f"INSERT INTO jobs ({JOB}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*job, chain.seal(job)))
    rows = [(job.number, *fact) for fact in facts]
    connection.executemany(f"INSERT INTO facts (job, {FACT}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _copy_blobs(source: Blobs, target: Blobs, named: set[str]) -> None:
    target.make()
    for name in named:
        if _is_whole(source, name):
            target.save(source.load(name))


def _is_whole(blobs: Blobs, name: str) -> bool:
    with suppress(StoreDamagedError):
        blobs.load(name)
        return True
    return False


def _damage(error: StoreDamagedError | sqlite3.Error, path: Path, job: JobRow | None = None) -> Damage:
    known = store_error(error, path) if isinstance(error, sqlite3.Error) else error
    job_id, seq = (known.job_id, known.seq) if isinstance(known, StoreDamagedError) else (None, None)
    return Damage(str(known), job_id or (None if job is None else job.job_id), seq)
