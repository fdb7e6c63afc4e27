"""What attempts come from, told by records alone: of jobs that are told, and of jobs that ran."""

from __future__ import annotations

import pytest

from routilux import Flow, Retry, collect, gather, routine
from routilux.execution_mode import ExecutionMode
from routilux.insight.accounting import accounts_of
from routilux.insight.configuration import threads
from routilux.insight.costs import FREE
from routilux.insight.critical_path import critical_path
from routilux.insight.needs import Need, needs_of
from routilux.insight.recording import from_json, to_json
from routilux.insight.replay import replay
from routilux.insight.script import script_of
from routilux.insight.trace import Host, Trace, attempts_of
from tests.insight.tales import Tale, fan

BOTH = pytest.mark.parametrize("mode", [ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT])


def test_the_entry_needs_nothing_and_what_it_fires_needs_it():
    needs = needs_of(fan(2, wait=1))
    assert needs.of == ((), (Need(0),), (Need(0),))
    assert needs.at_rest == needs.continued == frozenset()


def test_a_message_comes_from_the_value_that_a_generator_had_given_by_then(tale):
    tale.tell(1, "source", cpu=1, status="yielded").tell(1, "source", fired=1, cpu=1, status="yielded")
    tale.tell(2, "leaf", [1], fired=1).tell(3, "leaf", [1], fired=2)
    needs = needs_of(tale.trace())
    assert needs.of == ((), (Need(0),), (Need(0),), (Need(1),))
    assert needs.continued == {1}


def test_another_attempt_needs_the_one_before_and_its_delay(tale):
    tale.tell(1, "shaky", cpu=1, status="retried").tell(1, "shaky", fired=3.5, attempt=2, cpu=1)
    assert needs_of(tale.trace()).of == ((), (Need(0, 0.0025),))


def test_what_fires_although_no_message_came_waits_for_rest_or_for_a_timer(tale):
    tale.tell(1, "source", cpu=1).tell(2, "leaf", [1], cpu=2).tell(3, "collect", fired=3.5)
    needs = needs_of(tale.trace())
    assert needs.of[2] == (Need(1),)
    assert needs.at_rest == {2}
    tale = Tale().tell(1, "source", cpu=1).tell(2, "long", [1], cpu=9).tell(3, "batch", [1], fired=5, cpu=1)
    needs = needs_of(tale.trace())
    assert needs.of[2] == (Need(0),)
    assert needs.at_rest == frozenset()


def test_what_gathers_needs_the_end_of_what_fanned_out_even_if_that_was_noted_late():
    tale = Tale().tell(1, "source", cpu=1, status="yielded").tell(1, "source", fired=1, cpu=3)
    tale.tell(2, "leaf", [1], fired=1, cpu=1).tell(3, "leaf", [2], cpu=1).tell(4, "end", [3], fired=3)
    assert needs_of(tale.trace()).of[-1] == (Need(3),)
    needs = needs_of(tale.sees("end", gathers="source").trace())
    assert needs.of[-1] == (Need(1), Need(3))
    assert needs.at_rest == frozenset()


def test_what_collects_waits_for_rest_also_where_its_last_value_came_last(tale):
    tale.tell(1, "source", cpu=1).tell(2, "leaf", [1], cpu=1).tell(3, "end", [2])
    assert needs_of(tale.trace()).at_rest == frozenset()
    assert needs_of(tale.sees("end", collects=("leaf",)).trace()).at_rest == {2}


def test_a_cause_of_which_nothing_was_recorded_is_left_out(tale):
    assert needs_of(tale.tell(7, "late", [3], cpu=1).trace()).of == ((),)


@routine
def numbers(n):
    yield from range(n)


@routine
def same(x):
    return x


@routine(fires=collect())
def total(xs):
    return sum(xs)


@routine
def after(x):
    return x


@routine(fires=gather())
def gathered(xs):
    return len(xs)


def traced(flow, entry, params, mode):
    job = flow.execute(entry, params, execution_mode=mode).raise_for_status()
    course = job._course
    attempts = attempts_of([record._record for record in job.history])
    bounds = {"start": course.started_at, "end": course.ended_at}
    return Trace(flow_id=flow.flow_id, mode=mode, workers=2, host=Host(2), attempts=attempts, **bounds)


def routines_of(trace, indices):
    return {trace.attempts[index].routine_id for index in indices}


@BOTH
def test_a_job_that_ran_can_be_asked_everything(mode):
    flow = Flow("ran", max_workers=2)
    flow.chain(numbers, same, total, after)
    trace = traced(flow, "numbers", {"n": 5}, mode)
    needs = needs_of(trace)
    assert routines_of(trace, needs.at_rest) == {"total"}
    assert routines_of(trace, needs.continued) == {"numbers"}
    assert trace.attempts[critical_path(trace).steps[-1]].routine_id == "after"
    accounts = accounts_of(trace)
    assert accounts.job.complete
    assert accounts.workers.complete
    assert replay(script_of(trace), threads(2), FREE).wall_time > 0
    assert from_json(to_json(trace), "ran") == trace


@BOTH
def test_what_gathers_comes_after_the_last_that_it_gathers(mode):
    flow = Flow("ran", max_workers=2)
    flow.chain(numbers, same, gathered)
    trace = flow.record("numbers", {"n": 5}, execution_mode=mode).trace
    replayed = replay(script_of(trace), threads(2), FREE)
    last = next(index for index, attempt in enumerate(trace.attempts) if attempt.routine_id == "gathered")
    needed = routines_of(trace, [need.earlier for need in needs_of(trace).of[last]])
    assert needed <= {"numbers", "same"}
    assert needed
    assert replayed.spans[last][1] == replayed.wall_time


@BOTH
def test_a_retry_that_ran_is_one_chain(mode):
    calls = []

    def shaky(x):
        calls.append(x)
        if len(calls) < 3:
            raise ValueError("not yet")
        return x

    flow = Flow("ran", max_workers=2, error_strategy=Retry(3, delay=0.001, jitter=0))
    flow.add_routine(shaky, "shaky")
    trace = traced(flow, "shaky", {"x": 1}, mode)
    assert [[need.earlier for need in needs] for needs in needs_of(trace).of] == [[], [0], [1]]
    assert all(need.delay >= 0.001 for needs in needs_of(trace).of for need in needs)
