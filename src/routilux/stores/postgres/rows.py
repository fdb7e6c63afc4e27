"""A job as one row: its own columns, its request and its last entry, from one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from routilux.stores.chain import Chain
from routilux.stores.port import StoredJob
from routilux.stores.postgres.session import Session
from routilux.stores.rows import FACT, JOB, FactRow, JobRow, Verifier, checked_last, job_row

_JOB_NAMES, _FACT_NAMES = JOB.split(", "), FACT.split(", ")
_REQUEST = slice(len(_JOB_NAMES), len(_JOB_NAMES) + len(_FACT_NAMES))
_LAST = slice(_REQUEST.stop, None)

WHOLE_JOB = f"""
SELECT {", ".join(f"jobs.{name}" for name in _JOB_NAMES)},
{", ".join(f"request.{name}" for name in _FACT_NAMES)}, {", ".join(f"last.{name}" for name in _FACT_NAMES)}
FROM jobs LEFT JOIN facts AS request ON request.job = number AND request.seq = 0
LEFT JOIN LATERAL (SELECT * FROM facts WHERE job = number ORDER BY seq DESC LIMIT 1) AS last ON true
"""


class WholeJob(NamedTuple):
    """A job that has been verified, but for what lies between its request and its last entry."""

    job: JobRow
    request: bytes
    last: FactRow

    @property
    def stored(self) -> StoredJob:
        """As the port gives it."""
        job = self.job
        return StoredJob(
            job.job_id, job.flow_id, job.key, self.request, job.status, job.created_at, self.last[3], self.last[0]
        )


def whole_job(row: tuple[Any, ...], chain: Chain) -> WholeJob:
    """Of a row of `WHOLE_JOB`; raises `StoreDamagedError`."""
    job = job_row(row[: len(_JOB_NAMES)], chain)
    return WholeJob(job, Verifier(job, chain).request(_fact(row[_REQUEST])), checked_last(job, _fact(row[_LAST])))


def find_jobs(session: Session, condition: str, values: Mapping[str, Any], chain: Chain) -> list[WholeJob]:
    """The jobs for which a condition holds."""
    return [whole_job(row, chain) for row in session.execute(f"{WHOLE_JOB} WHERE {condition}", values, prepare=True)]


def _fact(row: tuple[Any, ...]) -> FactRow | None:
    return None if row[0] is None else row
