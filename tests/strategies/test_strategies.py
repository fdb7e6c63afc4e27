"""Each cell of the table in docs/failures.md, in both modes; and what Retry can be told."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from routilux import Context, Continue, Flow, Retry, Skip, Stop, collect, routine
from routilux.decision import TryAgain, Verdict
from routilux.errors import HandlerTimeoutError, JobTimeoutError, UnreachableRoutineWarning
from routilux.testing import ManualClock
from tests.leftovers import wait_for_ours

BOTH = pytest.mark.parametrize("mode", ["sequential", "concurrent"])
ALWAYS, ONCE, NEVER = 99, 1, 0
"""How many attempts at the item 3 fail."""


def run(strategy, failures, mode, *, on_routine):
    """One job over the items 0 to 4, and what came of it."""
    attempts, lock = [], threading.Lock()

    @routine
    def items():
        yield from range(5)

    def work(x):
        with lock:
            attempts.append(x)
            tries = attempts.count(x)
        if x == 3 and tries <= failures:
            raise ValueError("three")
        return x

    @routine(fires=collect())
    def arrived(xs):
        return sorted(xs)

    @routine(fires=collect())
    def complaints(failures):
        return [(failure.message, failure.arguments, failure.attempt) for failure in failures]

    flow = Flow("table", execution_mode=mode, **({} if on_routine else {"error_strategy": strategy}))
    flow.add_routine(items)
    flow.add_routine(work, **({"error_strategy": strategy} if on_routine else {}))
    flow.chain("items", "work", arrived)
    flow.connect("work", "error", complaints, "failures")
    return flow.execute("items"), attempts.count(3)


ALL, WITHOUT = [0, 1, 2, 3, 4], [0, 1, 2, 4]
COMPLAINT = ("ValueError: three", {"x": 3})

TABLE = [
    # strategy, failing attempts: job, statuses of item 3, what arrives, complaints, errors
    (Stop(), NEVER, "completed", ["completed"], ALL, [], 0),
    (Continue(), NEVER, "completed", ["completed"], ALL, [], 0),
    (Skip(), NEVER, "completed", ["completed"], ALL, [], 0),
    (Retry(2), NEVER, "completed", ["completed"], ALL, [], 0),
    (Stop(), ALWAYS, "failed", ["failed"], None, None, 1),
    (Continue(), ALWAYS, "completed", ["failed"], WITHOUT, [(*COMPLAINT, 1)], 1),
    (Skip(), ALWAYS, "completed", ["skipped"], WITHOUT, [], 1),
    (Retry(2), ONCE, "completed", ["retried", "completed"], ALL, [], 0),
    (Retry(2), ALWAYS, "failed", ["retried", "retried", "failed"], None, None, 1),
    (Retry(2, then=Stop()), ALWAYS, "failed", ["retried", "retried", "failed"], None, None, 1),
    (Retry(2, then=Continue()), ALWAYS, "completed", ["retried", "retried", "failed"], WITHOUT, [(*COMPLAINT, 3)], 1),
    (Retry(2, then=Skip()), ALWAYS, "completed", ["retried", "retried", "skipped"], WITHOUT, [], 1),
    (Retry(0, then=Skip()), ALWAYS, "completed", ["skipped"], WITHOUT, [], 1),
    (Retry(2, on=KeyError, then=Skip()), ALWAYS, "completed", ["skipped"], WITHOUT, [], 1),
    (Retry(2, then=Continue()), ONCE, "completed", ["retried", "completed"], ALL, [], 0),
]


@BOTH
@pytest.mark.parametrize("on_routine", [True, False], ids=["on the routine", "on the flow"])
@pytest.mark.parametrize(("strategy", "failures", "status", "statuses", "arrives", "complaints", "errors"), TABLE)
def test_each_cell_of_the_table(mode, on_routine, strategy, failures, status, statuses, arrives, complaints, errors):
    job, tries = run(strategy, failures, mode, on_routine=on_routine)
    mine = {one["activation_id"]: [] for one in job.history if one["routine_id"] == "work"}
    for one in job.history:
        if one["routine_id"] == "work":
            mine[one["activation_id"]].append(str(one["status"]))
    assert job.status == status
    assert statuses in mine.values()
    assert tries == len(statuses)
    if arrives is None:
        assert job.results == {}
        with pytest.raises(ValueError, match="three") as caught:
            job.raise_for_status()
        assert caught.traceback[-1].name == "work"
    else:
        assert job.results["arrived"] == [arrives]
        assert job.results["complaints"] == [complaints]
        assert job.raise_for_status() is job
    assert job.error_count == len(job.errors) == errors
    counts = job.counts["work"]
    assert (counts.failed, counts.skipped) == (statuses.count("failed"), statuses.count("skipped"))
    assert counts.retried == statuses.count("retried")


def test_a_routine_without_a_then_of_its_own_does_what_the_flow_says():
    for flow_strategy, skipped, failed in ((Skip(), 1, 0), (Continue(), 0, 1), (Retry(5, then=Skip()), 1, 0)):
        flow = Flow("then", error_strategy=flow_strategy)
        flow.add_routine(lambda: 1 / 0, "work", retries=2)
        counts = flow.execute("work").counts["work"]
        assert (counts.retried, counts.skipped, counts.failed) == (2, skipped, failed)
    flow = Flow("then", error_strategy=Retry(1))
    flow.add_routine(lambda: 1 / 0, "work", error_strategy=Retry(2))
    assert flow.execute("work").status == "failed"


def test_two_jobs_do_not_share_their_retries():
    flow = Flow("shared", error_strategy=Retry(2, then=Skip()))
    flow.add_routine(lambda: 1 / 0, "work")
    for _ in range(3):
        assert flow.execute("work").counts["work"].retried == 2


def test_waiting_for_another_attempt_takes_the_time_it_should():
    tries = []

    def work():
        tries.append(clock.now() / 1e9)
        if len(tries) < 4:
            raise OSError

    clock = ManualClock()
    flow = Flow("delays", clock=clock)
    flow.add_routine(work, retries=3, retry_delay=10, retry_backoff=3, retry_max_delay=50)
    job = flow.execute("work")
    assert job.status == "completed"
    assert tries == [0, 10, 40, 90]
    assert job.duration == 90


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (Retry(4, delay=1), [1, 2, 4, 8]),
        (Retry(4, delay=timedelta(minutes=1), backoff=1), [60, 60, 60, 60]),
        (Retry(4, delay=[1, timedelta(seconds=5)]), [1, 5, 5, 5]),
        (Retry(4, delay=1, backoff=10, max_delay=timedelta(seconds=50)), [1, 10, 50, 50]),
        (Retry(4), [0, 0, 0, 0]),
        (Retry(4, delay=0, jitter=0.5), [0, 0, 0, 0]),
    ],
)
def test_delays_come_in_several_forms(strategy, waits):
    assert [strategy.delay_before(attempt, "seed") for attempt in range(2, 6)] == waits
    assert strategy.decide(ValueError(), 1, "seed") == TryAgain(int(waits[0] * 1e9))


def test_jitter_is_bounded_spread_and_a_function_of_job_activation_and_attempt():
    strategy = Retry(3, delay=10, backoff=1, jitter=0.2)
    waits = [strategy.delay_before(2, f"job/{number}") for number in range(300)]
    assert all(8 <= wait <= 12 for wait in waits)
    assert max(waits) - min(waits) > 3
    assert waits == [strategy.delay_before(2, f"job/{number}") for number in range(300)]
    assert strategy.delay_before(2, "job/1") != strategy.delay_before(3, "job/1")


@pytest.mark.parametrize(
    ("on", "again"),
    [
        (ValueError, True),
        ((KeyError, ValueError), True),
        (KeyError, False),
        (lambda error: "yes" in str(error), True),
        (lambda error: False, False),
        (lambda error: 1 / 0, False),
    ],
)
def test_only_what_matches_is_tried_again(on, again):
    error = ValueError("yes")
    decision = Retry(1, on=on, then=Skip()).decide(error, 1, "seed")
    assert decision == (TryAgain(0) if again else Verdict.SKIP)
    assert Retry(1, on=on).decide(SystemExit(), 1, "seed") is Verdict.STOP


def test_a_predicate_that_raises_is_noted_on_the_exception():
    error = ValueError("first")
    Retry(1, on=lambda error: 1 / 0).decide(error, 1, "seed")
    assert "itself raised ZeroDivisionError" in error.__notes__[0]


def test_the_error_event_carries_what_the_handler_was_given():
    given = []
    flow = Flow("event", error_strategy=Continue())
    flow.add_routine(lambda a, b=2: a / 0, "divide")
    flow.add_routine(given.append, "note")
    flow.connect("divide", "error", "note", "object")
    flow.execute("divide", {"a": 1})
    (failure,) = given
    assert (failure.routine_id, failure.attempt, failure.kind) == ("divide", 1, "error")
    assert failure.arguments == {"a": 1}
    assert isinstance(failure.error, ZeroDivisionError)
    assert failure.frames[-1][2] == "<lambda>"
    assert "test_strategies.py" in str(failure)


def test_a_failure_that_nobody_connected_is_among_the_errors_and_no_result():
    flow = Flow("event", error_strategy=Continue())
    flow.add_routine(lambda: 1 / 0, "divide")
    job = flow.execute("divide")
    assert job.results == {}
    assert job.errors[0].arguments is None


def test_emissions_of_a_failed_attempt_are_dropped():
    tries = []

    @routine
    def work(ctx: Context):
        tries.append(1)
        ctx.emit("output", len(tries))
        if len(tries) < 3:
            raise ValueError

    flow = Flow("once", error_strategy=Retry(5))
    flow.add_routine(work)
    assert flow.execute("work").results["work"] == [3]


@BOTH
def test_a_generator_that_fails_half_way_does_not_repeat_itself(mode):
    tries = []

    @routine
    def source(ctx: Context, n=5):
        tries.append(1)
        for number in range(n):
            if number == 3 and len(tries) < 3:
                raise ValueError
            ctx.emit("output", f"before {number}")
            yield number

    def plain():
        tries.append(1)
        for number in range(5):
            if number == 3 and len(tries) < 3:
                raise ValueError
            yield number

    flow = Flow("half", error_strategy=Retry(5), execution_mode=mode)
    flow.add_routine(source)
    flow.add_routine(plain)
    with pytest.warns(UnreachableRoutineWarning):
        results = flow.execute("source").results["source"]
    assert results == [value for number in range(5) for value in (f"before {number}", number)]
    tries.clear()
    with pytest.warns(UnreachableRoutineWarning):
        assert flow.execute("plain").results["plain"] == [0, 1, 2, 3, 4]


def test_a_timeout_in_sequence_is_noticed_when_the_handler_returns():
    clock = ManualClock()

    def slow():
        clock.advance(5)
        return "late"

    def slow_source():
        yield 1
        clock.advance(5)
        yield 2

    flow = Flow("slow", clock=clock)
    flow.add_routine(slow, timeout=3)
    job = flow.execute("slow")
    assert job.status == "failed"
    assert job.results == {}
    assert job.errors[0].kind == "timeout"
    with pytest.raises(HandlerTimeoutError, match="Flow 'slow', routine 'slow': its handler ran longer .* 3 s"):
        job.raise_for_status()
    flow = Flow("slow", clock=clock, error_strategy=Skip())
    flow.add_routine(slow_source, timeout=3)
    job = flow.execute("slow_source")
    assert job.results["slow_source"] == [1]
    assert job.counts["slow_source"].skipped == 1


def test_a_timeout_on_threads_comes_at_the_deadline_and_the_late_outcome_is_counted():
    release, tries = threading.Event(), []

    @routine
    def stuck(ctx: Context):
        tries.append(1)
        if len(tries) == 1:
            release.wait(30)
            seen.append(ctx.cancelled)
            return "late"
        return "in time"

    seen = []
    flow = Flow("stuck", execution_mode="concurrent", max_workers=1)
    flow.add_routine(stuck, timeout=0.5, retries=1)
    with flow:
        job = flow.execute("stuck")
        assert job.status == "completed"
        assert job.results["stuck"] == ["in time"]
        assert [str(one["status"]) for one in job.history] == ["retried", "completed"]
        assert "ran longer than its timeout" in job.history[0]["error"]
        release.set()
    wait_for_ours(30)
    assert seen == [True]
    assert job.late_outcomes == 1


def test_workers_lost_to_stuck_handlers_are_replaced_as_often_as_there_are_workers():
    release, begun = threading.Event(), []

    def stuck(x):
        begun.append(x)
        release.wait(30)

    @routine
    def four():
        yield from range(4)

    flow = Flow("lost", execution_mode="concurrent", max_workers=2)
    flow.add_routine(four)
    flow.add_routine(stuck, timeout=0.03, error_strategy=Skip())
    flow.connect("four", "stuck")
    with flow:
        job = flow.execute("four")
        assert job.status == "completed"
        assert job.counts["stuck"].skipped == 4
        release.set()
    wait_for_ours(30)
    assert begun
    assert job.late_outcomes == len(begun)


@BOTH
def test_a_job_that_takes_too_long_fails(mode):
    release = threading.Event()

    def slow(x):
        if mode == "sequential":
            clock.advance(20)
        else:
            release.wait(0.2)

    @routine
    def many():
        yield from range(100)

    clock = ManualClock()
    flow = Flow("long", execution_mode=mode, **({"clock": clock} if mode == "sequential" else {}))
    flow.chain(many, slow)
    job = flow.execute("many", timeout=30 if mode == "sequential" else 0.05)
    assert job.status == "failed"
    assert job.counts["slow"].executions < 10
    with pytest.raises(JobTimeoutError, match="Flow 'long', job .*longer than its timeout of"):
        job.raise_for_status()


@pytest.mark.parametrize("kind", [Stop, Continue, Skip])
def test_strategies_without_settings_are_equal_to_their_like_and_name_themselves(kind):
    assert kind() == kind()
    assert len({kind(), kind(), Retry(1)}) == 2
    assert kind() != Retry(1)
    assert repr(kind()) == f"{kind.__name__}()"
