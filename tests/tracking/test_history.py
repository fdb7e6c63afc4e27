"""The history of a job: bounded, counted, and as cheap to look at as to keep."""

from __future__ import annotations

import json

import pytest

from routilux import ActivationStatus, Continue, Flow, Retry, collect, routine
from routilux.facts import Record
from routilux.testing import ManualClock
from routilux.tracking.history import History

SECOND = 1_000_000_000


def record(number: int, *, ended: float = 0.0, routine_id: str = "work", status: str = "completed") -> Record:
    moment = int(ended * SECOND)
    return "job", number, routine_id, 1, status, 0, moment - 30, moment - 20, moment, 0, None


def absorb(history: History, records: list[Record]) -> None:
    history.absorb(records, [one for one in records if one[4] != "completed"])


@routine
def numbers(n):
    yield from range(n)


@routine
def double(x):
    return 2 * x


def test_a_history_keeps_the_last_records_and_counts_all():
    history = History(10, None, lambda: 0)
    absorb(history, [record(number) for number in range(25)])
    absorb(history, [record(number) for number in range(25, 30)])
    assert [one["activation_id"] for one in history.executions] == list(range(20, 30))
    assert history.counts["work"].executions == 30


def test_a_history_drops_what_is_too_old_when_one_looks():
    now = [0]
    history = History(None, 60, lambda: now[0])
    absorb(history, [record(number, ended=number) for number in range(100)])
    now[0] = 100 * SECOND
    assert [one["activation_id"] for one in history.executions] == list(range(40, 100))
    now[0] = 200 * SECOND
    assert len(history.executions) == 0
    assert history.counts["work"].completed == 100


def test_a_history_of_size_zero_keeps_nothing_and_counts():
    history = History(0, 3600, lambda: 0)
    absorb(history, [record(number) for number in range(5)])
    assert list(history.executions) == []
    assert history.counts["work"].executions == 5


def test_a_history_without_bounds_keeps_everything():
    history = History(None, None, lambda: 10**18)
    absorb(history, [record(number) for number in range(5000)])
    assert len(history.executions) == 5000


def test_counts_tell_the_ways_apart_in_which_activations_end():
    history = History(1, None, lambda: 0)
    for status, times in (
        ("completed", 5),
        ("failed", 4),
        ("skipped", 3),
        ("cancelled", 2),
        ("retried", 6),
        ("yielded", 7),
    ):
        absorb(history, [record(number, status=status) for number in range(times)])
    counts = history.counts["work"]
    assert (counts.completed, counts.failed, counts.skipped, counts.cancelled) == (5, 4, 3, 2)
    assert (counts.retried, counts.yielded) == (6, 7)
    assert counts.executions == 14


def test_a_record_is_a_mapping_of_plain_values():
    history = History(10, None, lambda: 0, 5 * SECOND)
    absorb(history, [record(7, ended=3)])
    found = history.executions[0]
    assert found.get("execution_time", 0) == pytest.approx(20e-9)
    assert found["queue_wait"] == pytest.approx(10e-9)
    assert found["end_time"] == 8.0
    assert found["status"] == "completed"
    assert found["status"] is ActivationStatus.COMPLETED
    assert found == dict(found)
    assert json.loads(json.dumps(dict(found)))["activation_id"] == 7
    assert "execution_time" in repr(found)
    assert history.executions[-1:] == [found]
    assert "1 record>" in repr(history.executions)


def test_the_history_of_a_job_is_bounded_by_the_settings_of_its_execution():
    flow = Flow("bounded")
    flow.chain(numbers, double)
    job = flow.execute("numbers", {"n": 500}, max_history_size=100)
    assert len(job.history) == 100
    assert job.counts["double"].executions == 500


def test_the_history_of_a_job_grows_old():
    clock = ManualClock()
    flow = Flow("old", clock=clock)
    flow.chain(numbers, double)
    job = flow.execute("numbers", {"n": 5}, history_ttl_seconds=300)
    assert len(job.history) == 11
    clock.advance(301)
    assert len(job.history) == 0
    assert job.counts["numbers"].yielded == 5


def test_each_attempt_has_a_record_with_its_cause_and_error():
    tries = []

    @routine(error_strategy=Retry(1, delay=2))
    def second_time_lucky(x):
        tries.append(x)
        if len(tries) == 1:
            raise ConnectionError("no answer")
        return x

    flow = Flow("attempts", clock=ManualClock())
    flow.chain(numbers, second_time_lucky)
    records = [dict(one) for one in flow.execute("numbers", {"n": 1}).history]
    mine = [one for one in records if one["routine_id"] == "second_time_lucky"]
    assert [(one["attempt"], one["status"]) for one in mine] == [(1, "retried"), (2, "completed")]
    assert mine[0]["error"] == "ConnectionError: no answer"
    assert mine[1]["error"] is None
    assert mine[1]["start_time"] - mine[0]["end_time"] == pytest.approx(2)
    source = next(one for one in records if one["routine_id"] == "numbers")
    assert source["cause"] == 0
    assert {one["cause"] for one in mine} == {source["activation_id"]}


def test_history_and_errors_keep_no_payload_alive():
    import gc
    import weakref

    class Payload:
        pass

    seen = []

    @routine
    def make(n):
        for _ in range(n):
            payload = Payload()
            seen.append(weakref.ref(payload))
            yield payload

    @routine(error_strategy=Continue())
    def use(payload):
        if len(seen) % 2:
            raise ValueError("odd")

    flow = Flow("payloads")
    flow.chain(make, use)
    job = flow.execute("make", {"n": 20})
    gc.collect()
    assert job.error_count == 10
    assert len(job.errors) == 10
    assert [ref() for ref in seen] == [None] * 20


def test_errors_are_bounded_as_the_history_is():
    @routine(error_strategy=Continue())
    def fail(x):
        raise ValueError(x)

    @routine(fires=collect())
    def nothing(xs):
        return len(xs)

    flow = Flow("errors")
    flow.chain(numbers, fail, nothing)
    job = flow.execute("numbers", {"n": 50}, max_history_size=10)
    assert len(job.errors) == 10
    assert job.error_count == 50
    assert str(job.errors[-1].error) == "49"
