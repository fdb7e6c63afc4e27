"""The store of SQLite, put together of its parts, and the one way to open it."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

from routilux.clock import SystemClock
from routilux.errors import ForkedError, StoreError, StoreUnavailableError
from routilux.ports import Clock
from routilux.stores.blobs import Blobs
from routilux.stores.changes import Addition, Removal, StatusChange, Submission
from routilux.stores.committer import Committer
from routilux.stores.port import (
    FINISHED,
    Durability,
    Entry,
    NewJob,
    Records,
    Store,
    StoredEntry,
    StoredJob,
    Then,
)
from routilux.stores.sqlite.file import beside
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.owner import OwnerLock
from routilux.stores.sqlite.records import SQLiteRecords

STORE_GRACE = 30.0
"""Seconds for which a write that fails is tried again."""


@overload
def open_store(
    path: str | os.PathLike[str],
    durability: Durability = ...,
    *,
    read_only: Literal[False] = ...,
    store_grace: float = ...,
    clock: Clock | None = ...,
) -> Store: ...


@overload
def open_store(path: str | os.PathLike[str], *, read_only: Literal[True]) -> Records: ...


def open_store(
    path: str | os.PathLike[str],
    durability: Durability = Durability.POWER,
    *,
    read_only: bool = False,
    store_grace: float = STORE_GRACE,
    clock: Clock | None = None,
) -> Records:
    """Opens the store in a file, which is made if need be; for reading only, it never writes and may always be opened.

    Raises `StoreInUseError` if somebody writes to it, `StoreDamagedError` if it is not what was written, and
    `StoreVersionError` if it is no store of this version.
    """
    whole = Path(path).expanduser().absolute()
    if read_only:
        return SQLiteRecords(whole)
    return SQLiteStore(whole, Durability(durability), clock or SystemClock(), store_grace)


class SQLiteStore(Store):
    """A file of SQLite with its log, a note of its end, a lock and a folder for large values beside it."""

    def __init__(self, path: Path, durability: Durability, clock: Clock, store_grace: float) -> None:
        self._path = path
        self._clock = clock
        self._pid = os.getpid()
        self._blobs = Blobs(beside(path, ".blobs"))
        try:
            self._blobs.make()
        except OSError as error:
            raise StoreUnavailableError(f"The store {path} cannot be opened: {error}.") from error
        self._lock = OwnerLock(path, self._blobs.folder)
        try:
            self._ledger = Ledger(path, durability, platform.node(), self._pid, clock.epoch())
            self._records = SQLiteRecords(path)
        except (StoreError, OSError):
            self._lock.release()
            raise
        self._committer = Committer(self._ledger.commit, self._ledger.tend, clock, store_grace)

    def submit(self, job: NewJob) -> StoredJob:
        self._same_process()
        answer = self._committer.make(Submission(job, self._clock.epoch()), patient=False)
        if not isinstance(answer, StoredJob):
            raise StoreError(f"The store has no answer to the submission of job {job.job_id}.")
        return answer

    def append(self, job_id: str, entries: Sequence[Entry], then: Then) -> None:
        self._same_process()
        self._committer.accept(Addition(job_id, entries), then)

    def write(self, job_id: str, entries: Sequence[Entry]) -> None:
        self._same_process()
        self._committer.make(Addition(job_id, entries))

    def set_status(self, job_id: str, status: str) -> None:
        self._same_process()
        self._committer.accept(StatusChange(job_id, status))

    def flush(self) -> None:
        self._same_process()
        self._committer.flush()

    def job(self, job_id: str) -> StoredJob | None:
        self._same_process()
        return self._records.job(job_id)

    def jobs(self, flow_id: str | None = None, statuses: Collection[str] = ()) -> Iterator[StoredJob]:
        self._same_process()
        return self._records.jobs(flow_id, statuses)

    def entries(self, job_id: str, after: int = 0) -> Iterator[StoredEntry]:
        self._same_process()
        return self._records.entries(job_id, after)

    def save(self, data: bytes) -> str:
        self._same_process()
        return self._blobs.save(data)

    def load(self, name: str) -> bytes:
        self._same_process()
        return self._blobs.load(name)

    def purge(self, job_id: str) -> None:
        self._same_process()
        self._committer.make(Removal(job_id))
        self._sweep()

    def purge_finished(self, older_than_seconds: float) -> int:
        self._same_process()
        oldest = self._clock.epoch() - int(older_than_seconds * 1e9)
        gone = [job.job_id for job in self._records.jobs(statuses=FINISHED) if job.changed_at < oldest]
        for job_id in gone:
            self._committer.make(Removal(job_id))
        self._sweep()
        return len(gone)

    def close(self) -> None:
        self._same_process()
        self._committer.close()
        self._ledger.close()
        self._lock.release()

    def _same_process(self) -> None:
        # The connection of the parent is neither used nor closed in a child: that would harm the parent's file.
        if os.getpid() != self._pid:
            raise ForkedError(
                f"The store {self._path} was opened before this process was forked. Open it where it is used."
            )

    def _sweep(self) -> None:
        if next(self._blobs.names(), None) is not None:
            self._blobs.sweep(self._records.blobs_named())
