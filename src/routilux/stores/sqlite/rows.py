"""Rows of a job, as they are found in the file."""

from __future__ import annotations

import sqlite3

from routilux.stores.chain import Chain
from routilux.stores.rows import FACT, JOB, FactRow, JobRow, Verifier, checked_last, job_row


def find_job(connection: sqlite3.Connection, job_id: str, chain: Chain) -> JobRow | None:
    """The row of a job."""
    row = connection.execute(f"SELECT {JOB} FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else job_row(row, chain)


def request_of(connection: sqlite3.Connection, job: JobRow, chain: Chain) -> bytes:
    """The request of a job, verified."""
    row = connection.execute(f"SELECT {FACT} FROM facts WHERE job = ? AND seq = 0", (job.number,)).fetchone()
    return Verifier(job, chain).request(row)


def last_fact(connection: sqlite3.Connection, job: JobRow) -> FactRow:
    """The last entry of a job, or its request, as it lies there."""
    row: FactRow | None = connection.execute(
        f"SELECT {FACT} FROM facts WHERE job = ? ORDER BY seq DESC LIMIT 1", (job.number,)
    ).fetchone()
    return checked_last(job, row)
