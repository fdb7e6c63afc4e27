"""How long every adapter keeps jobs that are over; a file of tests takes these in, as it does the contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from routilux.errors import UnknownJobError
from routilux.stores.port import FINISHED, Entry, NewJob, Store
from routilux.stores.retention import MOST_ENTRIES, MOST_JOBS
from routilux.testing import ManualClock
from tests.stores.keys import Execute

PATIENCE = 30
HOUR = 3600
DAY = 24 * HOUR
OpenKept = Callable[..., Store]
"""Opens the same store for writing, with these arguments; the test closes it."""


def put(store: Store, job_id: str, status: str, at: int, entries: int = 1, name: str = "") -> None:
    written = [Entry("settled", at, name.encode() or b"%d" % number) for number in range(entries)]
    store.submit(NewJob(job_id, "flow", None, b"{}", written))
    store.set_status(job_id, status)
    store.flush()


def left_after(store: Store, count: int) -> list[str]:
    """The jobs of a store when so many are left, or after long."""
    patience = time.monotonic() + PATIENCE
    while (jobs := sorted(job.job_id for job in store.jobs())) and len(jobs) != count and time.monotonic() < patience:
        threading.Event().wait(0.005)
    return jobs


def test_finished_jobs_go_when_the_store_is_opened_after_their_time(open_again: OpenKept) -> None:
    clock = ManualClock()
    with open_again(clock=clock) as store:
        for status in (*FINISHED, "pending", "running", "paused"):
            put(store, status, status, clock.epoch())
    clock.advance(7 * DAY + 1)
    with open_again(clock=clock, retention=7 * DAY) as store:
        assert left_after(store, 3) == ["paused", "pending", "running"]


def test_they_go_hourly_while_it_is_open(open_again: OpenKept) -> None:
    clock = ManualClock()
    with open_again(clock=clock, retention=DAY) as store:
        put(store, "old", "completed", clock.epoch())
        clock.advance(DAY - HOUR)
        put(store, "young", "failed", clock.epoch())
        clock.advance(2 * HOUR)
        assert left_after(store, 1) == ["young"]
        clock.advance(DAY)
        assert left_after(store, 0) == []


def test_without_a_retention_they_stay(open_again: OpenKept) -> None:
    clock = ManualClock()
    with open_again(clock=clock) as store:
        put(store, "old", "completed", clock.epoch())
        clock.advance(1000 * DAY)
    with open_again(clock=clock) as store:
        assert left_after(store, 1) == ["old"]


def test_many_go_and_what_is_written_meanwhile_stays(open_again: OpenKept) -> None:
    clock = ManualClock()
    with open_again(clock=clock) as store:
        for number in range(3 * MOST_JOBS):
            put(store, f"old {number}", "completed", clock.epoch())
        put(store, "large", "cancelled", clock.epoch(), MOST_ENTRIES + 1)
        put(store, "live", "running", clock.epoch())
    clock.advance(DAY)
    with open_again(clock=clock, retention=HOUR) as store:
        for number in range(300):
            store.write("live", [Entry("settled", clock.epoch(), b"%d" % number)])
        assert left_after(store, 1) == ["live"]
        assert len(list(store.entries("live"))) == 301


def test_a_job_that_is_tried_again_meanwhile_stays(open_again: OpenKept) -> None:
    clock = ManualClock()
    with open_again(clock=clock) as store:
        put(store, "retried", "failed", clock.epoch())
        put(store, "failed again", "failed", clock.epoch())
        clock.advance(DAY)
        old = store.finished(clock.epoch())
        first = next(old)
        assert [first.job_id, *(job.job_id for job in old)] == ["retried", "failed again"]
        before = clock.epoch()
        store.set_status("retried", "pending")
        store.write("failed again", [Entry("settled", before, b"")])
        store.flush()
        assert list(store.finished(before)) == []
        assert store.purge_finished(0) == 0
        assert left_after(store, 2) == ["failed again", "retried"]


def test_what_is_damaged_stays(open_again: OpenKept, execute: Execute) -> None:
    clock = ManualClock()
    with open_again(clock=clock) as store:
        for name in ("a", "b", "c"):
            put(store, name, "completed", clock.epoch())
    execute("UPDATE jobs SET crc = crc + 1 WHERE job_id = ?", ("b",))
    clock.advance(DAY)
    with open_again(clock=clock) as store:
        assert store.purge_finished(HOUR) == 2
        assert store.purge_finished(HOUR) == 0
        assert store.job_ids("flow", FINISHED) == ["b"]


def test_a_job_that_is_removed_while_it_is_read_is_not_called_damaged(open_again: OpenKept) -> None:
    with open_again() as store:
        put(store, "job", "completed", 10, entries=1200)
        reading = store.entries("job")
        next(reading)
        store.purge("job")
        with pytest.raises(UnknownJobError, match="removed from its store while it was read"):
            list(reading)


def test_whoever_lists_jobs_while_they_are_removed_sees_each_whole_or_not_at_all(open_again: OpenKept) -> None:
    with open_again() as store:
        for number in range(300):
            put(store, str(number), "completed", 10)
        removing = threading.Thread(target=store.purge_finished, args=(0,))
        removing.start()
        counts = [len(list(store.jobs()))]
        while removing.is_alive():
            counts.append(len(list(store.jobs())))
        counts.append(len(list(store.jobs())))
        assert counts[-1] == 0
        assert counts == sorted(counts, reverse=True)
