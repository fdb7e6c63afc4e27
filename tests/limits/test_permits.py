"""Limits and rates by themselves: what jobs may take, and what they must give back."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.errors import SettingError
from routilux.limits import Limits
from routilux.rates import Rate, rate_of

SECOND = 10**9
MILLISECOND = 10**6
COUNTS = {"a": 1, "b": 2, "c": 3}


def test_all_is_taken_or_nothing():
    limits = Limits({"a": 1, "b": 1})
    one, other = limits.of_job("one"), limits.of_job("other")
    assert one.take(("b",), 1, 0) is None
    assert other.take(("a", "b"), 1, 0) == 0
    assert limits.holders("a") == []
    one.give_back(("b",), 1)
    assert other.take(("a", "b"), 1, 0) is None
    assert limits.holders("a") == limits.holders("b") == ["activation 1 of job other"]


def test_a_rate_is_not_used_up_by_what_could_not_have_the_rest():
    limits = Limits({"a": 1, "api": "1/s"})
    job = limits.of_job("job")
    assert job.take(("a",), 1, 0) is None
    assert job.take(("a", "api"), 2, 0) == 0
    job.give_back(("a",), 1)
    assert job.take(("a", "api"), 2, 0) is None
    assert job.take(("api",), 3, 0) == SECOND


def test_nothing_is_held_by_who_waits_for_a_rate():
    limits = Limits({"a": 1, "api": "1/s"})
    job = limits.of_job("job")
    assert job.take(("api",), 1, 0) is None
    assert job.take(("a", "api"), 2, 0) == SECOND
    assert limits.holders("a") == []


def test_who_waits_is_told_once_and_only_of_what_it_waits_for():
    limits = Limits({"a": 1, "b": 1})
    one, other, told = limits.of_job("one"), limits.of_job("other"), []
    other.when_freed(lambda: told.append("other"))
    for need in ("a", "b"):
        assert one.take((need,), 1, 0) is None
    assert other.take(("a",), 1, 0) == 0
    one.give_back(("b",), 1)
    assert told == []
    one.give_back(("a",), 1)
    assert told == ["other"]
    assert one.take(("a",), 2, 0) is None
    one.give_back(("a",), 2)
    assert told == ["other"]


def test_a_job_that_is_over_gives_all_back_and_is_told_nothing_more():
    limits = Limits({"a": 1, "b": 2})
    one, other, told = limits.of_job("one"), limits.of_job("other"), []
    one.when_freed(lambda: told.append("one"))
    other.when_freed(lambda: told.append("other"))
    assert other.take(("a",), 1, 0) is None
    assert one.take(("a",), 1, 0) == 0
    assert one.take(("b",), 2, 0) is None
    one.give_all_back()
    assert limits.holders("b") == []
    other.give_back(("a",), 1)
    assert told == []


def waiting_for(limits, need, count, told):
    """So many jobs that promise to answer and wait for a limit."""
    jobs = [limits.of_job(str(number)) for number in range(count)]
    for number, job in enumerate(jobs):
        job.when_freed(lambda number=number: told.append(number))
        job.promise()
        assert job.take((need,), 1, 0) == 0
    return jobs


def test_of_those_that_answer_only_as_many_are_told_as_there_are_places():
    limits, told = Limits({"a": 2}), []
    holder = limits.of_job("holder")
    assert holder.take(("a",), 1, 0) is holder.take(("a",), 2, 0) is None
    jobs = waiting_for(limits, "a", 5, told)
    holder.give_back(("a",), 1)
    assert told == [0]
    jobs[0].decline()
    assert told == [0, 1]
    assert jobs[1].take(("a",), 1, 0) is None
    assert told == [0, 1]
    holder.give_back(("a",), 2)
    assert told == [0, 1, 2]
    jobs[2].give_all_back()
    assert told == [0, 1, 2, 3]


def test_who_was_told_and_comes_too_late_is_the_next_to_be_told():
    limits, told = Limits({"a": 1, "b": 1}), []
    holder, faster = limits.of_job("holder"), limits.of_job("faster")
    assert holder.take(("a", "b"), 1, 0) is None
    jobs = waiting_for(limits, "a", 3, told)
    holder.give_back(("a",), 1)
    assert faster.take(("a",), 1, 0) is None
    assert jobs[0].take(("a",), 1, 0) == 0
    faster.give_back(("a",), 1)
    assert told == [0, 0]
    assert jobs[0].take(("a", "b"), 1, 0) == 0
    assert told == [0, 0, 1]


def test_to_give_back_what_one_does_not_hold_changes_nothing():
    limits = Limits({"a": 1})
    one, other = limits.of_job("one"), limits.of_job("other")
    assert one.take(("a",), 1, 0) is None
    other.give_back(("a",), 1)
    one.give_back(("a",), 2)
    assert limits.holders("a") == ["activation 1 of job one"]
    one.give_back(("a",), 1)
    one.give_back(("a",), 1)
    assert limits.holders("a") == []
    assert other.take(("a",), 1, 0) is None
    assert one.take(("a",), 3, 0) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.sets(st.sampled_from("abc"), min_size=1))))
def test_holders_never_exceed_a_limit_and_all_is_given_back_at_the_end(steps):
    limits = Limits(COUNTS)
    jobs = [limits.of_job(str(number)) for number in range(3)]
    held: dict[tuple[int, int], tuple[str, ...]] = {}
    for job, number, names in steps:
        if (job, number) in held:
            jobs[job].give_back(held.pop((job, number)), number)
            continue
        needs = tuple(sorted(names))
        free = all(len(limits.holders(need)) < COUNTS[need] for need in needs)
        assert (jobs[job].take(needs, number, 0) is None) == free
        if free:
            held[job, number] = needs
        for name, limit in COUNTS.items():
            assert len(limits.holders(name)) == sum(name in needs for needs in held.values()) <= limit
    for job in jobs:
        job.give_all_back()
    assert all(limits.holders(name) == [] for name in COUNTS)


# --- rates


@given(st.integers(1, 7), st.integers(1, 50), st.lists(st.integers(0, 30), max_size=60))
def test_a_rate_lets_no_more_than_its_count_begin_in_any_period_and_no_fewer_than_it_could(count, period, pauses):
    job, moment, begun = Limits({"api": f"{count}/{period}ms"}).of_job("job"), 0, deque[int]()
    for number, pause in enumerate(pauses):
        moment += pause * MILLISECOND
        due = job.take(("api",), number, moment)
        full = len(begun) >= count and moment < begun[-count] + period * MILLISECOND
        assert due == (begun[-count] + period * MILLISECOND if full else None)
        if due is not None:
            moment = due
            assert job.take(("api",), number, moment) is None
        begun.append(moment)
    for first in begun:
        assert sum(first <= moment < first + period * MILLISECOND for moment in begun) <= count


def test_moments_a_little_out_of_order_let_no_more_begin():
    job = Limits({"api": "2/s"}).of_job("job")
    assert job.take(("api",), 1, 100) is None
    assert job.take(("api",), 2, 90) is None
    assert job.take(("api",), 3, 100) == SECOND + 100
    assert job.take(("api",), 3, SECOND + 100) is None
    assert job.take(("api",), 4, SECOND + 100) is None


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("10/s", Rate(10, SECOND)),
        (" 10 / s ", Rate(10, SECOND)),
        ("100/min", Rate(100, 60 * SECOND)),
        ("100/minutes", Rate(100, 60 * SECOND)),
        ("3/m", Rate(3, 60 * SECOND)),
        ("5000/h", Rate(5000, 3600 * SECOND)),
        ("1/day", Rate(1, 86400 * SECOND)),
        ("10/5s", Rate(10, 5 * SECOND)),
        ("7/100ms", Rate(7, SECOND // 10)),
    ],
)
def test_a_rate_is_read_as_it_is_written(written, rate):
    assert rate_of("rate_limit", written) == rate


@pytest.mark.parametrize(
    "written", ["10", "fast", "/s", "10/", "0/s", "10/0s", "-1/s", "1.5/s", "10/year", "٣/s", 10, None]
)
def test_what_is_no_rate_is_refused_by_name(written):
    with pytest.raises(SettingError, match='rate_limit must be written like "10/s", "100/min" or "5000/h", not '):
        rate_of("rate_limit", written)
