"""How long finished jobs are kept: while a store is open, those that have been over for too long are removed.

They go in small batches, between which everybody else has a turn; a job goes whole. What is not over stays, however
old it is, and so does what is damaged, for `check` to tell of.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

from routilux.errors import StoreError
from routilux.ports import Clock
from routilux.stores.changes import Answer, Removal
from routilux.stores.committer import Committer
from routilux.stores.port import Finished, Records

EVERY_SECONDS = 3600
MOST_JOBS = 32
MOST_ENTRIES = 2000
"""In one batch, unless one job has more."""

Wanted: TypeAlias = Callable[[], bool]

logger = logging.getLogger("routilux")


def remove_finished(
    records: Records,
    committer: Committer,
    sweep: Callable[[], object],
    clock: Clock,
    older_than_seconds: float,
    wanted: Wanted,
) -> int:
    """Removes jobs that have been over for so long, while that is wanted, and sweeps; returns how many."""
    gone, before = 0, clock.epoch() - int(older_than_seconds * 1e9)
    for batch in _batches(records.finished(before)):
        if not wanted():
            return gone
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        for job in batch:
            committer.accept(Removal(job.job_id, before), answers.put)
        gone += [answers.get() for _ in batch].count(None)
    if wanted():
        sweep()
    return gone


class Retention:
    """Has it done in a thread of its own: when a store is opened, and hourly until it is closed."""

    def __init__(self, remove: Callable[[Wanted], object], clock: Clock, place: object) -> None:
        self._remove = remove
        self._clock = clock
        self._place = place
        self._closing: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="routilux-retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when nothing more is removed."""
        self._closed = True
        self._closing.put(True)
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            due = self._clock.now() + EVERY_SECONDS * 10**9
            try:
                self._remove(lambda: not self._closed)
            except StoreError as error:
                logger.warning("Store %s: old jobs are not removed. %s", self._place, error)
            self._clock.wait(self._closing, due, idle=False)


def _batches(jobs: Iterator[Finished]) -> Iterator[list[Finished]]:
    batch: list[Finished] = []
    entries = 0
    for job in jobs:
        if batch and (len(batch) == MOST_JOBS or entries + job.entries > MOST_ENTRIES):
            yield batch
            batch, entries = [], 0
        batch.append(job)
        entries += job.entries
    if batch:
        yield batch
