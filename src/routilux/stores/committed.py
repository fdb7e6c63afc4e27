"""A store that is open for writing, put together of its parts: what reads, what writes, and what keeps large values."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from routilux.errors import ForkedError, StoreError
from routilux.facts import Statement
from routilux.ports import Clock
from routilux.stores.changes import Addition, Compaction, Removal, StatusChange, Submission
from routilux.stores.committer import Committer
from routilux.stores.port import Entry, Finished, NewJob, Records, Store, StoredEntry, StoredJob, Then
from routilux.stores.retention import Retention, remove_finished

STORE_GRACE = 30.0
"""Seconds for which a write that fails is tried again."""


class LargeValues(NamedTuple):
    """What is done with large values."""

    save: Callable[[bytes], str]
    load: Callable[[str], bytes]
    sweep: Callable[[], object]
    """Removes those that nothing names."""


class _SameProcess:
    """Refuses what a child of the process that opened a store wants of it.

    The connection of the parent is neither used nor closed in a child: that would harm the parent's store.
    """

    def __init__(self, place: object) -> None:
        self._place = place
        self._pid = os.getpid()

    def __call__(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(
                f"The store {self._place} was opened before this process was forked. Open it where it is used."
            )


class CommittedStore(Store):
    """What every adapter of the port does alike."""

    def __init__(
        self,
        place: object,
        records: Records,
        committer: Committer,
        values: LargeValues,
        clock: Clock,
        closed: Callable[[], None],
        retention: float | None,
    ) -> None:
        """`closed` gives the adapter's own things back, after the committer has ended; it may be called again.

        Jobs that have been over for `retention` seconds are removed while it is open.
        """
        self._records = records
        self._committer = committer
        self._values = values
        self._clock = clock
        self._closed = closed
        self._same_process = _SameProcess(place)
        self._remove = partial(remove_finished, records, committer, values.sweep, clock)
        self._retention: Retention | None = None
        if retention is not None:
            self._retention = Retention(partial(self._remove, retention), clock, place)

    def submit(self, job: NewJob) -> StoredJob:
        self._same_process()
        answer = self._committer.make(Submission(job, self._clock.epoch()), patient=False)
        if not isinstance(answer, StoredJob):
            raise StoreError(f"The store has no answer to the submission of job {job.job_id}.")
        return answer

    def append(self, job_id: str, entries: list[Entry], then: Then, statements: Sequence[Statement] = ()) -> None:
        self._same_process()
        self._committer.accept(Addition(job_id, entries, statements), then)

    def join(self, entries: list[Entry], entry: Entry) -> bool:
        self._same_process()
        return self._committer.join(entries, entry)

    def write(self, job_id: str, entries: Sequence[Entry], statements: Sequence[Statement] = ()) -> None:
        self._same_process()
        self._committer.make(Addition(job_id, entries, statements))

    def compact(self, job_id: str, entry: Entry) -> None:
        self._same_process()
        self._committer.accept(Compaction(job_id, entry))

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

    def job_ids(self, flow_id: str, statuses: Collection[str]) -> list[str]:
        self._same_process()
        return self._records.job_ids(flow_id, statuses)

    def finished(self, before: int) -> Iterator[Finished]:
        self._same_process()
        return self._records.finished(before)

    def entries(self, job_id: str, after: int = 0) -> Iterator[StoredEntry]:
        self._same_process()
        return self._records.entries(job_id, after)

    def save(self, data: bytes) -> str:
        self._same_process()
        return self._values.save(data)

    def load(self, name: str) -> bytes:
        self._same_process()
        return self._values.load(name)

    def purge(self, job_id: str) -> None:
        self._same_process()
        self._committer.make(Removal(job_id))
        self._values.sweep()

    def purge_finished(self, older_than_seconds: float) -> int:
        self._same_process()
        self._committer.flush()
        return self._remove(older_than_seconds, lambda: True)

    def close(self) -> None:
        self._same_process()
        if self._retention is not None:
            self._retention.close()
        self._committer.close()
        self._records.close()
        self._closed()
