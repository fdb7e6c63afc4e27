"""Every instant is accounted for, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.accounting import NOBODY, accounts_of
from routilux.insight.timeline import Use
from routilux.insight.trace import Attempt, Host, Observed, Trace
from tests.insight.tales import MS, Tale


def job(*rows, end, workers=1, **fields):
    """A job told in milliseconds: number, routine, causes, fired, begun, ended, and CPU time where it is not all."""
    attempts = []
    for number, routine_id, causes, fired, begun, ended, *rest in rows:
        status = ActivationStatus(rest[1]) if len(rest) > 1 else ActivationStatus.COMPLETED
        cpu = rest[0] if rest else ended - begun
        moments = (round(moment * MS) for moment in (fired, begun, ended))
        count = sum(one.activation_id == number and one.status is not ActivationStatus.YIELDED for one in attempts)
        attempts.append(Attempt(number, routine_id, count + 1, status, causes, *moments, 0, round(cpu * MS)))
    return Trace(
        flow_id="flow",
        mode=ExecutionMode.CONCURRENT,
        workers=workers,
        start=0,
        end=round(end * MS),
        host=Host(2),
        attempts=tuple(sorted(attempts, key=lambda one: one.begun)),
        **fields,
    )


def in_ms(seconds):
    return {key: pytest.approx(value * 1e3, abs=1e-6) for key, value in seconds.items()}


def test_in_sequence_all_is_handlers_and_the_engine_between_them():
    accounts = accounts_of(job((1, "a", (), 0, 1, 5), (2, "b", (1,), 5, 6, 10, 1), end=12))
    expected = {("a", Use.PYTHON): 4, ("b", Use.PYTHON): 1, ("b", Use.WAIT): 3, (NOBODY, Use.ENGINE): 4}
    assert in_ms(accounts.workers.seconds) == expected
    assert in_ms(accounts.job.by_use) == {Use.PYTHON: 5, Use.WAIT: 3, Use.ENGINE: 4}
    assert accounts.job.complete
    assert accounts.workers.complete
    assert accounts.engine_overhead == pytest.approx(0.004)


def test_workers_without_work_have_nothing_to_do():
    accounts = accounts_of(job((1, "a", (), 0, 0, 10), end=10, workers=3))
    assert in_ms(accounts.workers.seconds) == {("a", Use.PYTHON): 10, (NOBODY, Use.NOTHING): 20}


def test_an_activation_that_waits_while_all_workers_run_waits_for_one():
    accounts = accounts_of(job((1, "a", (), 0, 0, 10), (2, "b", (), 0, 10, 14), end=14))
    assert in_ms(accounts.waits) == {("b", Use.NO_WORKER): 10}
    assert in_ms(accounts.job.by_use) == {Use.NO_WORKER: 10, Use.PYTHON: 4}


def test_a_limit_that_is_reached_is_why_its_routine_waits_and_a_worker_is_free():
    routines, limits = {"a": Observed(limits=("db",))}, {"db": 1}
    rows = (1, "a", (), 0, 0, 10), (2, "a", (), 0, 10, 20)
    accounts = accounts_of(job(*rows, end=20, workers=2, routines=routines, limits=limits))
    assert in_ms(accounts.waits) == {("a", Use.LIMIT): 10}
    assert in_ms(accounts.workers.by_use) == {Use.PYTHON: 20, Use.LIMIT: 10, Use.NOTHING: 10}
    assert in_ms(accounts.job.by_use) == {Use.LIMIT: 10, Use.PYTHON: 10}


def test_the_delay_of_a_retry_is_accounted_for():
    accounts = accounts_of(job((1, "a", (), 0, 0, 2, 2, "retried"), (1, "a", (), 8, 8, 10), end=10))
    assert in_ms(accounts.workers.seconds) == {("a", Use.PYTHON): 4, (NOBODY, Use.RETRY): 6}
    assert in_ms(accounts.job.seconds) == {("a", Use.PYTHON): 4, ("a", Use.RETRY): 6}
    assert in_ms(accounts.waits) == {("a", Use.RETRY): 6}


def test_a_message_in_a_join_waits_for_its_partner():
    rows = (1, "a", (), 0, 0, 2), (2, "b", (), 0, 0, 10), (3, "join", (1, 2), 10, 10, 11)
    accounts = accounts_of(job(*rows, end=11, workers=2))
    assert in_ms(accounts.waits) == {("join", Use.JOIN): 8}
    assert in_ms(accounts.workers.by_use) == {Use.PYTHON: 13, Use.JOIN: 8, Use.NOTHING: 1}
    assert in_ms(accounts.job.seconds) == {("b", Use.PYTHON): 10, ("join", Use.PYTHON): 1}


def test_a_pause_is_why_nothing_starts():
    rows = (1, "a", (), 0, 0, 2), (2, "b", (1,), 2, 9, 10)
    accounts = accounts_of(job(*rows, end=10, pauses=((1 * MS, 8 * MS),)))
    expected = {Use.PYTHON: 3, Use.PAUSE: 6, Use.ENGINE: 1}
    assert in_ms(accounts.workers.by_use) == in_ms(accounts.job.by_use) == expected


def test_a_generator_that_nobody_reads_is_held_back():
    rows = (1, "a", (), 0, 0, 2, 2, "yielded"), (1, "a", (), 2, 9, 10)
    assert in_ms(accounts_of(job(*rows, end=10, streamed=True)).workers.by_use) == {
        Use.PYTHON: 3,
        Use.BACK_PRESSURE: 7,
    }
    assert in_ms(accounts_of(job(*rows, end=10)).workers.by_use) == {Use.PYTHON: 3, Use.ENGINE: 7}


def test_a_generator_is_held_back_while_its_worker_is_busy_with_what_it_gave():
    rows = (1, "a", (), 0, 0, 2, 2, "yielded"), (2, "b", (1,), 2, 2, 9), (1, "a", (), 2, 9, 10)
    accounts = accounts_of(job(*rows, end=10))
    assert in_ms(accounts.waits) == {("a", Use.BACK_PRESSURE): 7}
    assert in_ms(accounts.workers.by_use) == {Use.PYTHON: 10}


def test_what_threads_wait_for_each_other_is_contention():
    rows = [(number, "a", (), 0, 0, 10, 5) for number in (1, 2)]
    accounts = accounts_of(job(*rows, end=10, workers=2, routines={"a": Observed(states={"gil": 30, "python": 30})}))
    assert in_ms(accounts.workers.by_use) == {Use.PYTHON: 10, Use.CONTENTION: 10}


def test_more_handlers_than_workers_are_shown_as_unexplained():
    account = accounts_of(job((1, "a", (), 0, 0, 10), (2, "a", (), 0, 0, 10), end=10)).workers
    assert account.unexplained == pytest.approx(-0.01)
    assert not account.complete


def test_a_job_without_attempts_is_all_engine():
    accounts = accounts_of(job(end=5))
    assert in_ms(accounts.job.by_use) == in_ms(accounts.workers.by_use) == {Use.ENGINE: 5}


@st.composite
def schedules(draw):
    """Jobs as some engine may have run them: each worker does one thing after another, with gaps."""
    workers = draw(st.integers(1, 3))
    free_at, rows, ended = [0] * workers, [], {}
    for number in range(1, draw(st.integers(0, 10)) + 1):
        causes = tuple(draw(st.lists(st.sampled_from(sorted(ended)), max_size=2, unique=True))) if ended else ()
        fired = max((ended[cause] for cause in causes), default=0)
        fired += draw(st.sampled_from([0, 0, 0, 3]))
        worker = min(range(workers), key=lambda one: free_at[one])
        begun = max(fired, free_at[worker]) + draw(st.integers(0, 2))
        free_at[worker] = ended[number] = begun + draw(st.integers(0, 9))
        cpu = draw(st.integers(0, ended[number] - begun))
        status = draw(st.sampled_from(["completed", "failed", "yielded"]))
        rows.append((number, draw(st.sampled_from("abc")), causes, fired, begun, ended[number], cpu, status))
    end = max(free_at) + draw(st.integers(0, 3))
    pauses = tuple((one * MS, (one + 2) * MS) for one in draw(st.lists(st.integers(0, 30), max_size=2)))
    return job(
        *rows,
        end=end,
        workers=workers,
        pauses=pauses,
        streamed=draw(st.booleans()),
        routines={"a": Observed(limits=("db",))},
        limits={"db": draw(st.integers(1, 2))},
    )


@given(schedules())
def test_every_instant_has_one_reason(trace):
    accounts = accounts_of(trace)
    for account in (accounts.job, accounts.workers):
        assert account.unexplained == pytest.approx(0, abs=1e-9)
        assert all(seconds > 0 for seconds in account.seconds.values())
    waited = sum((one.begun - one.fired) / 1e9 for one in trace.attempts)
    fired = sum(accounts.waits.values())
    assert fired >= waited - 1e-9


def test_a_tale_told_in_sequence_has_no_engine_in_it():
    trace = Tale().tell(1, "a", cpu=1).tell(2, "b", [1], cpu=1, wait=1).trace()
    assert set(accounts_of(trace).job.by_use) == {Use.PYTHON, Use.WAIT}


MIXED = {
    "workers": 5,
    "workers_by_mode": {ExecutionMode.CONCURRENT: 4, ExecutionMode.MULTIPROCESSING: 1},
    "routines": {"far": Observed(ExecutionMode.MULTIPROCESSING), "near": Observed(ExecutionMode.CONCURRENT)},
}


def test_what_waits_for_the_first_worker_of_its_mode_waits_until_that_has_come_up():
    accounts = accounts_of(job((1, "near", (), 0, 0, 2), (2, "far", (1,), 2, 9, 10), end=10, **MIXED))
    assert in_ms(accounts.waits) == {("far", Use.COMING_UP): 7}
    assert in_ms(accounts.workers.by_use) == {Use.NOTHING: 4 * 10 - 2 + 2, Use.COMING_UP: 7, Use.PYTHON: 3}
    assert accounts.workers.complete


def test_workers_of_another_mode_that_are_free_are_no_help():
    accounts = accounts_of(job((1, "far", (), 0, 0, 5), (2, "far", (), 0, 5, 8), end=8, **MIXED))
    assert in_ms(accounts.waits) == {("far", Use.NO_WORKER): 5}
    assert in_ms(accounts.workers.by_use) == {Use.NOTHING: 4 * 8, Use.PYTHON: 8}


def test_a_source_is_held_back_by_what_is_ready_although_its_own_workers_are_free():
    rows = [(1, "near", (), 0, 0, 1, 1, "yielded"), *((n, "far", (1,), 1, 1 + n, 2 + n) for n in range(2, 13))]
    trace = job(*rows, (1, "near", (), 1, 4, 5), end=15, **MIXED)
    accounts = accounts_of(trace)
    assert in_ms(accounts.waits)["near", Use.BACK_PRESSURE] == 3
    assert accounts.workers.complete
