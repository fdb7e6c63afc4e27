"""What the log `routilux` is told of jobs, each record with the ids as fields, so that it can be searched for.

A job's start and each attempt that failed are at level debug, its end at info whatever it was, because whoever
executes a job is given its failure anyway; messages left waiting are a warning. Attempts are looked at in batches, and
only where the level is enabled when the job starts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from routilux.course import Course, Reader
from routilux.facts import Origin, Record
from routilux.machine.stranded import stranded

logger = logging.getLogger("routilux")


class Entry(NamedTuple):
    """The fields of one log record; those that do not apply are `None`, and left out."""

    flow_id: str
    job_id: str
    routine_id: str | None = None
    activation_id: int | None = None
    attempt: int | None = None
    status: str | None = None
    duration: float | None = None
    """Seconds."""
    error: str | None = None
    """The type and text of what was raised, on one line."""

    def write(self, level: int, message: str, *arguments: object) -> None:
        """Logs a message that says of a job what `message` says, with these fields."""
        extra = {name: value for name, value in self._asdict().items() if value is not None}
        logger.log(level, "Flow %r, job %s: " + message, self.flow_id, self.job_id, *arguments, extra=extra)


def follow(course: Course) -> None:
    """Logs what becomes of a job, from now on, when it begins."""
    origin = course.origin
    if logger.isEnabledFor(logging.DEBUG):
        Entry(flow_id=origin.flow_id, job_id=origin.job_id, status="running").write(logging.DEBUG, "started.")
        course.readers.append(_failures(origin))
    course.when_finished.append(_ended)


def _ended(course: Course) -> None:
    """A job is over: how, and what it left waiting."""
    origin, machine = course.origin, course.machine
    if course.ended_at is None:
        entry = Entry(flow_id=origin.flow_id, job_id=origin.job_id, error=repr(course.let_go_by))
        entry.write(logging.WARNING, "let go, and kept in its store to be recovered: %s.", entry.error)
        return
    if logger.isEnabledFor(logging.INFO):
        errors = machine.ledger.errors
        entry = Entry(
            flow_id=origin.flow_id,
            job_id=origin.job_id,
            status=machine.status.value,
            duration=(course.ended_at - course.started_at) / 1e9,
            error=errors[-1].message if errors else None,
        )
        entry.write(
            logging.INFO, "%s after %.6f s, %d errors.", entry.status, entry.duration, machine.ledger.error_count
        )
    if machine.end is None:
        for (routine_id, _), text in stranded(machine.plan, machine.delivery).items():
            entry = Entry(flow_id=origin.flow_id, job_id=origin.job_id, routine_id=routine_id)
            entry.write(logging.WARNING, "%s.", text)


def _failures(origin: Origin) -> Reader:
    """What logs the attempts of a job that fail."""

    def read(_records: Sequence[Record], unusual: Sequence[Record]) -> None:
        for _, number, routine_id, attempt, status, _, _, begun, ended, _, failure in unusual:
            if failure is not None:
                entry = Entry(
                    flow_id=origin.flow_id,
                    job_id=origin.job_id,
                    routine_id=routine_id,
                    activation_id=number,
                    attempt=attempt,
                    status=status,
                    duration=(ended - begun) / 1e9,
                    error=failure.message,
                )
                entry.write(logging.DEBUG, "attempt %d of %r %s: %s", attempt, routine_id, status, failure.message)

    return read
