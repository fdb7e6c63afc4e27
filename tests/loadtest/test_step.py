"""One step: what became of what was offered, and whether that can go on."""

from __future__ import annotations

import pytest

from routilux.loadtest.objective import objectives_named
from routilux.loadtest.search import Phase
from routilux.loadtest.step import Shortfall, step_of
from tests.loadtest.paper import NEVER, Pool, served, usage


def step(rate, pool=None, seconds=10.0, late=0.0):
    """A step at a constant rate."""
    pool = pool or Pool(late=late)
    due = [number / rate for number in range(round(rate * seconds))]
    return step_of(Phase.CLIMB, rate, pool.offer(due, seconds), pool.service)


def test_a_rate_below_the_capacity_is_sustained():
    found = step(300)
    assert found.shortfalls() == ()
    assert (found.offered, found.completed, found.throughput) == (3000, 3000, 300)
    assert found.latency.p99 == pytest.approx(0.01)
    assert found.backlog == pytest.approx([3.0] * 10, rel=0.01)
    assert (found.workers, found.waiting) == (pytest.approx(3, rel=0.01), pytest.approx(0, abs=1e-9))


def test_a_rate_above_the_capacity_is_not():
    found = step(500)
    assert found.shortfalls() == (Shortfall.COMPLETED, Shortfall.BACKLOG)
    assert found.throughput == pytest.approx(400, rel=0.01)
    assert found.workers == pytest.approx(4, rel=0.01)
    assert found.waiting > 0.9
    assert not found.nearly


def test_jobs_that_began_just_before_the_end_are_given_the_time_that_a_job_takes():
    found = step_of(Phase.CLIMB, 1, served([0, 1, 2, 3, 3.9], [1, 2, 3, 4, 4.9], 4), 1.0)
    assert (found.completed, found.shortfalls()) == (5, ())


def test_a_job_that_never_ends_is_not_completed_and_has_no_latency():
    found = step_of(Phase.CLIMB, 1, served([0, 1], [0.5, NEVER], 4), 1.0)
    assert (found.completed, found.latency.count) == (1, 1)
    assert found.backlog[-1] == pytest.approx(1)


def test_one_failure_in_a_thousand_is_borne_and_two_are_not():
    due = [number / 100 for number in range(1000)]
    for failed, lacks in ((1, ()), (2, (Shortfall.FAILURES,))):
        found = step_of(Phase.CLIMB, 100, served(due, due, 10, failed=failed), 0.0)
        assert found.shortfalls() == lacks


def test_objectives_without_a_rate_are_part_of_being_sustained():
    found = step(300)
    assert found.shortfalls(objectives_named("p99=9ms")) == (Shortfall.OBJECTIVE,)
    assert found.shortfalls(objectives_named("p99=11ms,p99=1ms@5/s,p99.9=1ms")) == ()


def test_latency_counts_from_when_a_job_was_meant_to_start():
    found = step_of(Phase.CLIMB, 1, served([0, 1], [0.5, 1.5], 4, late=0.25), 1.0)
    assert found.latency.p50 == 0.5
    assert found.lateness == 0.25


@pytest.mark.parametrize(
    ("latency", "lateness", "late"),
    [(0.01, 0.9e-3, False), (0.01, 1.1e-3, True), (0.03, 2.9e-3, False), (0.03, 3.1e-3, True), (1, 6e-3, True)],
)
def test_late_is_more_than_a_tenth_of_a_typical_job_or_five_milliseconds(latency, lateness, late):
    found = step_of(Phase.CLIMB, 1, served([0, 1], [latency, 1 + latency], 4, late=lateness), 1.0)
    assert found.late is late


def test_users_who_wait_are_never_late():
    assert not step_of(Phase.USERS, None, served([0], [1], 4, late=1.0), 1.0, users=1).late


@pytest.mark.parametrize(("foreign", "disturbed"), [(0.2, False), (0.3, True), (None, False)])
def test_more_than_a_quarter_of_a_processor_disturbs(foreign, disturbed):
    found = step_of(Phase.CLIMB, 1, served([0], [1], 4, used=usage(4, foreign=foreign)), 1.0)
    assert found.disturbed is disturbed


def test_a_step_without_a_job_is_sustained():
    found = step_of(Phase.CLIMB, 0.1, served([], [], 4), 1.0)
    assert (found.shortfalls(), found.rate, found.lateness) == ((), 0, 0)
