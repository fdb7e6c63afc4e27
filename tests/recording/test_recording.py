"""A recorded job: what its trace has, in every mode."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from routilux import Flow, JobStatus, collect, gather, keyed, routine
from routilux.errors import RecordingError, UnfinishedJobError, UnknownRoutineError
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.accounting import accounts_of
from routilux.insight.critical_path import critical_path
from tests.leftovers import nothing_left, wait_for_ours

MODES = pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing"])
PATIENCE = 30


@routine
def numbers(n):
    yield from range(n)


@routine
def same(x):
    return x


@routine
async def later(x):
    await asyncio.sleep(0)
    return x


@routine(fires=collect())
def total(xs):
    return sum(xs)


@routine(fires=gather())
def gathered(xs):
    return sorted(xs)


def flow_of(*routines, **settings):
    flow = Flow("recorded", **settings)
    flow.chain(*routines)
    return flow


@MODES
@pytest.mark.parametrize("step", [same, later])
def test_a_recorded_job_has_every_attempt_measured_and_all_of_its_time_accounted_for(mode, step):
    flow = flow_of(numbers, step, total)
    job = flow.record("numbers", {"n": 20}, execution_mode=mode)
    assert job.result == 190
    trace = job.trace
    assert (trace.flow_id, trace.job_id, trace.mode) == ("recorded", job.job_id, ExecutionMode(mode))
    name = "same" if step is same else "later"
    assert sum(attempt.routine_id == name for attempt in trace.attempts) == 20
    assert all(attempt.cpu_ns is not None for attempt in trace.attempts)
    accounts = accounts_of(trace)
    assert accounts.job.complete
    assert accounts.workers.complete


def test_a_recording_keeps_all_records_whatever_the_history_keeps():
    job = flow_of(numbers, same, max_history_size=3).record("numbers", {"n": 50})
    assert len(job.history) == 3
    assert len(job.trace.attempts) == 50 + 50 + 1


def test_a_job_that_was_not_recorded_has_no_trace_and_says_how_to_get_one():
    job = flow_of(numbers, same).execute("numbers", {"n": 1})
    with pytest.raises(RecordingError, match=r"flow\.record"):
        job.trace


def test_the_trace_of_a_running_job_must_be_waited_for():
    gate = threading.Event()
    flow = Flow("waiting")
    flow.add_routine(lambda x: gate.wait(PATIENCE), "gate")
    job = flow.start("gate", {"x": 1}, recording=True, execution_mode="concurrent")
    with pytest.raises(UnfinishedJobError, match="wait"):
        job.explain()
    gate.set()
    assert job.wait(PATIENCE)
    assert len(job.trace.attempts) == 1


@MODES
def test_what_was_gathered_comes_from_all_that_it_was_gathered_of(mode):
    trace = flow_of(numbers, same, gathered).record("numbers", {"n": 5}, execution_mode=mode).trace
    (last,) = [attempt for attempt in trace.attempts if attempt.routine_id == "gathered"]
    assert set(last.causes) == {one.activation_id for one in trace.attempts if one.routine_id == "same"}


def test_a_join_comes_from_both_sides():
    flow = Flow("joined")
    flow.add_routine(numbers, "numbers")
    flow.add_routine(lambda x: x, "left")
    flow.add_routine(lambda x: x, "right")
    flow.add_routine(routine(fires=keyed(lambda value: value))(lambda a, b: a + b), "join")
    flow.connect("numbers", "left")
    flow.connect("numbers", "right")
    flow.connect("left", "output", "join", "a")
    flow.connect("right", "output", "join", "b")
    trace = flow.record("numbers", {"n": 4}).trace
    joins = [attempt for attempt in trace.attempts if attempt.routine_id == "join"]
    by_id = {attempt.activation_id: attempt.routine_id for attempt in trace.attempts}
    assert [sorted(by_id[cause] for cause in join.causes) for join in joins] == [["left", "right"]] * 4


def test_a_pause_is_in_the_trace_until_the_job_went_on():
    begun, gate = threading.Event(), threading.Event()

    def held(x):
        begun.set()
        gate.wait(PATIENCE)
        return x

    flow = flow_of(routine(held), same, execution_mode="concurrent")
    job = flow.start("held", {"x": 1}, recording=True)
    assert begun.wait(PATIENCE)
    job.pause()
    job.pause()
    gate.set()
    job.resume()
    assert job.wait(PATIENCE)
    ((paused, resumed),) = job.trace.pauses
    assert job.trace.start <= paused <= resumed <= job.trace.end


def test_a_job_that_was_cancelled_in_a_pause_was_paused_to_its_end():
    gate = threading.Event()
    flow = Flow("held", execution_mode="concurrent")
    flow.add_routine(lambda x: gate.wait(PATIENCE), "held")
    job = flow.start("held", {"x": 1}, recording=True)
    job.pause()
    job.cancel()
    gate.set()
    assert job.wait(PATIENCE)
    assert job.status is JobStatus.CANCELLED
    assert job.trace.pauses[-1][1] == job.trace.end


def test_limits_are_in_the_trace_with_those_who_take_them():
    flow = Flow("limited", limits={"database": 2, "calls": "1000/s"})
    flow.add_routine(numbers, "numbers")
    flow.add_routine(same, "one", max_concurrency=1)
    flow.add_routine(same, "two", limits=["database", "calls"])
    flow.connect("numbers", "one")
    flow.connect("one", "two")
    trace = flow.record("numbers", {"n": 3}, execution_mode="concurrent").trace
    assert trace.limits == {"database": 2, "max_concurrency of one": 1}
    assert trace.observed("one").limits == ("max_concurrency of one",)
    assert trace.observed("two").limits == ("database",)


def test_routines_of_several_modes_are_told_apart():
    flow = flow_of(numbers, later, total, execution_mode="concurrent", max_workers=3)
    trace = flow.record("numbers", {"n": 3}).trace
    assert trace.observed("later").mode is ExecutionMode.ASYNCIO
    assert trace.workers_by_mode == {ExecutionMode.CONCURRENT: 3, ExecutionMode.ASYNCIO: 1000}
    assert trace.workers == 1003


@pytest.mark.parametrize("mode", ["sequential", "multiprocessing"])
def test_arguments_are_weighed(mode):
    (attempt,) = flow_of_bytes().record("size", {"x": bytes(50_000)}, execution_mode=mode).trace.attempts
    assert attempt.payload_bytes is not None
    assert 50_000 <= attempt.payload_bytes < 51_000
    assert attempt.pickle_ns is not None


def flow_of_bytes():
    flow = Flow("bytes")
    flow.add_routine(lambda x: None, "size")
    return flow


@routine
def make(n):
    return threading.Lock()


@routine
def following(x):
    return x


def test_what_cannot_be_sent_to_another_process_is_named():
    flow = flow_of(make, same)
    recording = flow.record("make", {"n": 1}).recording
    assert list(recording.unsendable) == ["same"]
    assert "lock" in recording.unsendable["same"]


def test_retries_and_failures_are_attempts_of_their_own():
    failures = iter([True, True, False])

    def fickle(x):
        if next(failures):
            raise ValueError(x)

    flow = Flow("fickle")
    flow.add_routine(fickle, "fickle", retries=3)
    attempts = flow.record("fickle", {"x": 1}).trace.attempts
    retried, done = ActivationStatus.RETRIED, ActivationStatus.COMPLETED
    assert [(one.attempt, one.status) for one in attempts] == [(1, retried), (2, retried), (3, done)]


def test_a_coroutine_that_is_cancelled_is_measured_up_to_then():
    async def stuck(x):
        await asyncio.Event().wait()

    flow = Flow("stuck")
    flow.add_routine(stuck, "stuck", timeout=0.02)
    job = flow.record("stuck", {"x": 1}, execution_mode="asyncio")
    assert job.status is JobStatus.FAILED
    assert [attempt.status for attempt in job.trace.attempts] == [ActivationStatus.FAILED]


def test_an_async_generator_has_an_attempt_for_each_value():
    async def several(n):
        for number in range(n):
            await asyncio.sleep(0)
            yield number

    trace = flow_of(routine(several), total).record("several", {"n": 3}, execution_mode="asyncio").trace
    values = [one.status for one in trace.attempts if one.routine_id == "several"]
    assert values == [ActivationStatus.YIELDED] * 3 + [ActivationStatus.COMPLETED]


def test_a_stream_is_recorded_as_one():
    stream = flow_of(numbers, same).stream("numbers", {"n": 3}, recording=True)
    assert list(stream) == [0, 1, 2]
    assert stream.job.trace.streamed


def test_several_jobs_of_one_block_are_recorded_apart():
    with flow_of(numbers, same, total, execution_mode="concurrent", max_workers=2, recording=True) as flow:
        jobs = [flow.start("numbers", {"n": count}) for count in (5, 9)]
        assert all(job.wait(PATIENCE) for job in jobs)
    assert [len(job.trace.attempts) for job in jobs] == [2 * 5 + 2, 2 * 9 + 2]


def test_a_recording_leaves_nothing_open():
    flow = flow_of(numbers, same)
    flow.record("numbers", {"n": 3}, execution_mode="concurrent")
    wait_for_ours(PATIENCE)
    with nothing_left():
        for _ in range(3):
            flow.record("numbers", {"n": 3}, execution_mode="concurrent")
        wait_for_ours(PATIENCE)


def test_the_critical_path_of_a_chain_is_the_chain():
    path = critical_path(flow_of(same, following).record("same", {"x": 1}).trace)
    assert len(path.steps) == 2


def test_a_placement_runs_a_routine_elsewhere_whatever_it_says():
    flow = Flow("placed")
    flow.add_routine(lambda x: os.getpid(), "where", execution_mode="concurrent")
    placed = flow.execute("where", {"x": 1}, placement={"where": "multiprocessing"})
    assert placed.result != os.getpid()
    assert flow.execute("where", {"x": 1}).result == os.getpid()
    with pytest.raises(UnknownRoutineError, match="Did you mean 'where'"):
        flow.execute("where", {"x": 1}, placement={"were": "multiprocessing"})
