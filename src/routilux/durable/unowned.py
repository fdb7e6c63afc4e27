"""Steers stored jobs that no process runs: what is written here is what the next one finds.

Whoever has the store open for writing is the only one that could run them, so nobody else does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from routilux.durable.snapshot_records import SNAPSHOT
from routilux.durable.unopened import unopened_records
from routilux.errors import JobOverError, StoredJobError, UnknownJobError
from routilux.facts import Cancelled, JobStatus, Opened, Paused
from routilux.stores.port import FINISHED, Entry, Records, Store, StoredJob


def cancel(store: Store, job_id: str, reason: str, now: int) -> None:
    """Has a job end where it stands, for good; `now` is in nanoseconds since the epoch.

    Raises `JobOverError` if it is over, but for having been cancelled.
    """
    stored = job_in(store, job_id)
    if stored.status == JobStatus.CANCELLED:
        return
    at, moment = _moment(store, stored, now)
    kind, body = unopened_records().write(Cancelled(moment, reason))
    store.write(job_id, [Entry(kind, at, body)])
    store.set_status(job_id, JobStatus.CANCELLED.value)
    store.flush()


def pause(store: Store, job_id: str, now: int) -> None:
    """Has a job start nothing when it is recovered, until it is resumed."""
    at, moment = _moment(store, job_in(store, job_id), now)
    kind, body = unopened_records().write(Paused(moment))
    store.write(job_id, [Entry(kind, at, body)])


def is_paused(records: Records, stored: StoredJob) -> bool:
    """Whether a job was paused and not resumed."""
    paused = False
    for _, _, (kind, _, body) in records.entries(stored.job_id):
        if kind in ("paused", "resumed"):
            paused = kind == "paused"
        elif kind == SNAPSHOT:
            paused = unopened_records().snapshots.read(body).machine.paused
    return paused


def job_in(records: Records, job_id: str) -> StoredJob:
    """The job of an id; raises `UnknownJobError`."""
    stored = records.job(job_id)
    if stored is None:
        raise UnknownJobError(f"The store has no job {job_id!r}.")
    return stored


def parsed(body: bytes) -> Any:
    """A record as JSON; raises `StoredJobError` for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise StoredJobError(f"A record is no JSON: {error}.") from error


def _moment(records: Records, stored: StoredJob, now: int) -> tuple[int, int]:
    """Now, not before its last entry, and the same by the clock of the process that had it last."""
    if stored.status in FINISHED:
        raise JobOverError(f"Job {stored.job_id} is {stored.status} already. It stays as it is.")
    offset = None
    for _, _, (kind, _, body) in records.entries(stored.job_id):
        if kind == "opened":
            fact = unopened_records().read(kind, body).fact
            assert isinstance(fact, Opened)
            offset = fact.epoch_offset_ns
        elif kind == SNAPSHOT:
            offset = unopened_records().snapshots.read(body).epoch_offset_ns
    if offset is None:
        raise StoredJobError(f"Job {stored.job_id} does not say how it was submitted.")
    at = max(now, stored.changed_at)
    return at, at - offset
