"""How long a flow's store keeps jobs that are over."""

import threading
import time
from datetime import timedelta

import pytest

from routilux import Flow, routine
from routilux.errors import SettingError
from routilux.facts import JobStatus
from routilux.stores.opening import open_store
from routilux.testing import ManualClock

DAY = 24 * 3600
INTERRUPTED = -1
"""The order whose job is left as if its process had been ended."""


@routine
def work(order: int, broken: bool) -> int:
    if order == INTERRUPTED:
        raise KeyboardInterrupt
    if broken:
        raise ConnectionError("the service is down")
    return order


def shop(path, clock, **settings):
    flow = Flow("shop", store=path, clock=clock, **settings)
    flow.add_routine(work)
    return flow


def run(flow, order, *, broken=False):
    """A job that is over, in its store as well."""
    job = flow.execute("work", {"order": order, "broken": broken}, key=str(order))
    assert flow.recover([]) == []  # It looks at a store that has been written to the last.
    return job


def kept(path, count):
    """The keys of the jobs in a store, when there are so many, or after long."""
    patience = time.monotonic() + 30
    with open_store(path, read_only=True) as records:
        while len(keys := [job.key for job in records.jobs()]) != count and time.monotonic() < patience:
            threading.Event().wait(0.005)
    return keys


def test_finished_jobs_are_kept_for_a_week(tmp_path):
    path, clock = tmp_path / "jobs.db", ManualClock()
    with shop(path, clock) as flow:
        first = run(flow, 1)
        clock.advance(6 * DAY)
        run(flow, 2, broken=True)
    with shop(path, clock) as flow:
        assert run(flow, 1).job_id == first.job_id
        clock.advance(1.5 * DAY)
        assert kept(path, 1) == ["2"]
        again = run(flow, 1)
        assert (again.result, again.job_id == first.job_id) == (1, False)


def test_failed_jobs_can_be_retried_until_they_go(tmp_path):
    path, clock = tmp_path / "jobs.db", ManualClock()
    with shop(path, clock, retention=timedelta(days=30)) as flow:
        failed = run(flow, 1, broken=True)
        clock.advance(29 * DAY)
    with shop(path, clock, retention=timedelta(days=30)) as flow:
        (job,) = flow.recover([failed.job_id], retry_failed=True)
        job.wait()
        assert job.status is JobStatus.FAILED
        assert flow.recover([]) == []
        clock.advance(29 * DAY)
        assert kept(path, 1) == ["1"]
        clock.advance(2 * DAY)
        assert kept(path, 0) == []


def test_what_is_not_over_is_never_removed(tmp_path):
    path, clock = tmp_path / "jobs.db", ManualClock()
    with shop(path, clock) as flow, pytest.raises(KeyboardInterrupt):
        run(flow, INTERRUPTED)
    clock.advance(1000 * DAY)
    with shop(path, clock) as flow:
        run(flow, 2)
        clock.advance(1000 * DAY)
        assert kept(path, 1) == [str(INTERRUPTED)]


def test_without_a_retention_jobs_stay(tmp_path):
    path, clock = tmp_path / "jobs.db", ManualClock()
    with shop(path, clock, retention=None) as flow:
        run(flow, 1)
        clock.advance(1000 * DAY)
    with shop(path, clock, retention=None) as flow:
        assert run(flow, 1).result == 1
        assert kept(path, 1) == ["1"]


def test_a_retention_is_a_number_of_seconds(tmp_path):
    with pytest.raises(SettingError, match="retention must be"):
        Flow("shop", store=tmp_path / "jobs.db", retention="7d")
