"""Replays whose answer is known in closed form, and laws that hold for every replay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.execution_mode import ExecutionMode
from routilux.insight.bounds import bounds, demand_of
from routilux.insight.configuration import coroutines, processes, sequential, threads
from routilux.insight.costs import FREE, Costs
from routilux.insight.replay import replay
from routilux.insight.script import Supposition, script_of
from routilux.insight.trace import ThreadState
from tests.insight.tales import Tale, chain, fan


def wall(trace, configuration, cores=2.0, costs=FREE, **supposed):
    script = script_of(trace).supposing(Supposition(**supposed))
    return replay(script, configuration, costs, cores).wall_time


def test_waits_overlap_as_far_as_there_are_workers():
    trace = fan(20, wait=10)
    assert wall(trace, sequential()) == pytest.approx(0.2)
    assert wall(trace, threads(4)) == pytest.approx(0.05)
    assert wall(trace, coroutines()) == pytest.approx(0.01)
    assert wall(trace, coroutines(5)) == pytest.approx(0.04)


def test_python_gains_nothing_from_threads_and_all_from_processes():
    trace = fan(16, cpu=10)
    assert wall(trace, threads(8)) == pytest.approx(0.16)
    assert wall(trace, coroutines()) == pytest.approx(0.16)
    assert wall(trace, processes(2)) == pytest.approx(0.08)
    assert wall(trace, processes(8)) == pytest.approx(0.08)
    assert wall(trace, processes(8), cores=8) == pytest.approx(0.02)


def test_native_code_gains_from_threads_as_far_as_there_are_cores():
    trace = fan(16, cpu=10, gil_share=0.0)
    assert wall(trace, threads(2)) == pytest.approx(0.08)
    assert wall(trace, threads(8)) == pytest.approx(0.08)
    assert wall(trace, threads(8), cores=8) == pytest.approx(0.02)
    assert wall(trace, coroutines()) == pytest.approx(0.16)


def test_what_other_processes_use_is_a_part_of_the_cores():
    assert wall(fan(16, cpu=10, gil_share=0.0), threads(8), cores=1.5) == pytest.approx(0.16 / 1.5)


@pytest.mark.parametrize("configuration", [sequential(), threads(8), coroutines(), processes(4)])
def test_a_chain_gains_nothing(configuration):
    assert wall(chain(10, cpu=1, wait=3), configuration) == pytest.approx(0.04)


def test_a_handler_that_waits_pays_a_switch_interval_for_each_turn_beside_one_that_computes(tale):
    trace = tale.tell(1, "hog", cpu=100).tell(2, "waiter", fired=0, cpu=1, wait=10).trace()
    replayed = replay(script_of(trace), threads(2), FREE, 2.0)
    begun, ended = replayed.spans[1]
    assert ended - begun == pytest.approx(0.001 + 0.010 + 2 * 0.005)
    assert replayed.gil_wait == pytest.approx(2 * 0.005 + 0.001)


def test_each_forced_change_of_hands_costs_its_time(tale):
    trace = tale.tell(1, "hog", cpu=50).tell(2, "hog", fired=0, cpu=50).trace()
    assert wall(trace, threads(2)) == pytest.approx(0.1)
    assert wall(trace, threads(2), costs=Costs(*[0.0] * 12, gil_switch=1e-3)) > 0.115


def test_a_worker_keeps_the_gil_when_it_goes_straight_on():
    """Another thread gets it an interval later, not at the end of the activation."""
    tale = Tale()
    for number in range(1, 11):
        tale.tell(number, "short", fired=0, cpu=1)
    tale.tell(11, "other", fired=0, cpu=1)
    replayed = replay(script_of(tale.trace()), threads(2), FREE, 2.0)
    assert replayed.spans[1][1] == pytest.approx(0.006)


def test_an_attempt_starts_when_all_that_it_needs_has_ended(tale):
    tale.tell(1, "long", wait=30).tell(2, "short", fired=0, wait=10).tell(3, "join", [1, 2], wait=10)
    assert wall(tale.trace(), threads(2)) == pytest.approx(0.04)
    assert wall(tale.trace(), sequential()) == pytest.approx(0.05)


def test_what_waits_for_rest_is_last_however_many_workers_there_are(tale):
    tale.tell(1, "source").tell(2, "slow", [1], wait=50).tell(3, "quick", [1], wait=10)
    tale.tell(4, "collect", fired=61, wait=5).tell(5, "after", [4], wait=5)
    assert wall(tale.trace(), threads(8)) == pytest.approx(0.06)


def test_a_retry_waits_for_its_delay_and_holds_no_worker_meanwhile(tale):
    tale.tell(1, "shaky", wait=10, status="retried").tell(2, "other", fired=0, wait=30)
    trace = tale.tell(1, "shaky", fired=30, wait=10, attempt=2).trace()
    assert wall(trace, sequential()) == pytest.approx(0.05)
    assert wall(trace, threads(2)) == pytest.approx(0.04)


def generated(count, *, cpu=0.0, wait=0.0, leaf_wait=0.0):
    """A generator that gives so many values, and what each causes; it is asked again when that has ended."""
    tale, moment = Tale(), 0.0
    for number in range(2, count + 2):
        tale.tell(1, "source", fired=moment, cpu=cpu, wait=wait, status="yielded")
        moment = tale.moment / 1e6
        tale.tell(number, "leaf", [1], fired=moment, wait=leaf_wait)
    return tale.tell(1, "source", fired=moment).trace()


def test_a_generator_gives_its_values_one_after_another_beside_what_they_cause():
    trace = generated(10, wait=2, leaf_wait=10)
    assert wall(trace, sequential()) == pytest.approx(0.12)
    assert wall(trace, threads(16)) == pytest.approx(0.03)


def test_a_generator_is_asked_only_while_few_activations_are_ready():
    trace = generated(50, cpu=0.001, leaf_wait=10)
    replayed = replay(script_of(trace), threads(2), FREE, 2.0)
    asked = [
        span[0] for attempt, span in zip(trace.attempts, replayed.spans, strict=True) if attempt.routine_id == "source"
    ]
    assert asked[-1] > 0.2


def test_a_limit_holds_whatever_the_number_of_workers():
    tale = Tale().sees("limited", limits=("db",)).tell(1, "source")
    for number in range(2, 12):
        tale.tell(number, "limited", [1], wait=10)
    assert wall(tale.trace(limits={"db": 2}), threads(8)) == pytest.approx(0.05)
    assert wall(tale.trace(), threads(8)) == pytest.approx(0.02)


def test_what_takes_several_limits_waits_for_all_and_holds_up_nobody_else(tale):
    tale.sees("both", limits=("db", "net")).sees("db", limits=("db",)).sees("net", limits=("net",))
    tale.tell(1, "both", wait=10)
    for number in range(2, 6):
        tale.tell(number, "db" if number % 2 else "net", fired=0, wait=10)
    limits = {"db": 1, "net": 1}
    assert wall(tale.trace(limits=limits), threads(8)) == pytest.approx(0.03)
    assert wall(tale.trace(limits={**limits, "db": 2}), threads(8)) == pytest.approx(0.03)
    assert wall(tale.trace(limits={"db": 5, "net": 5}), threads(8)) == pytest.approx(0.01)


def test_routines_may_run_in_different_modes(tale):
    tale.tell(1, "source")
    for number in range(2, 10):
        tale.tell(number, "load", [1], wait=10).tell(number + 10, "parse", [number], cpu=10)
    mixed = threads(8).with_mode("parse", ExecutionMode.MULTIPROCESSING, 2)
    assert wall(tale.trace(), threads(8)) == pytest.approx(0.09)
    assert wall(tale.trace(), mixed) == pytest.approx(0.05)
    assert str(mixed) == "concurrent, 8 threads; 'parse' in multiprocessing, 2 processes"


def test_a_routine_beside_the_critical_path_gains_nothing_when_it_is_faster(tale):
    trace = tale.tell(1, "source").tell(2, "slow", [1], wait=100).tell(3, "quick", [1], wait=50).trace()
    assert wall(trace, threads(2), times={"quick": 0.5}) == pytest.approx(0.1)
    assert wall(trace, threads(2), times={"slow": 0.5}) == pytest.approx(0.05)


def test_what_nothing_waits_for_any_more_takes_no_time(tale):
    tale.sees("io", states={ThreadState.NET: 60, ThreadState.FILE: 20, ThreadState.PYTHON: 20})
    trace = tale.tell(1, "io", cpu=2, wait=8).trace()
    assert wall(trace, sequential(), without=frozenset({ThreadState.NET})) == pytest.approx(0.004)
    assert wall(trace, sequential(), without=frozenset({ThreadState.LOCK})) == pytest.approx(0.010)


def test_costs_are_paid_once_an_activation():
    costs = Costs(sequential=1e-3, thread=2e-3, thread_wake=5e-3, loop=3e-3, loop_wait=1e-3, loop_timer=2e-3)
    assert wall(chain(10, cpu=1), sequential(), costs=costs) == pytest.approx(0.020)
    assert wall(chain(10, cpu=1), threads(1), costs=costs) == pytest.approx(0.005 + 0.030)
    assert wall(chain(10, cpu=1), coroutines(), costs=costs) == pytest.approx(0.040)
    assert wall(chain(10, wait=1), coroutines(), costs=costs) == pytest.approx(0.070)


def test_an_answer_of_another_process_is_on_its_way_for_a_while():
    costs = Costs(
        process_send=1e-3, process_receive=2e-3, process_child=3e-3, process_wake=4e-3, byte_send=0, byte_child=0
    )
    assert wall(chain(1, cpu=1), processes(1), costs=costs) == pytest.approx(
        0.001 + 0.004 + 0.003 + 0.001 + 0.004 + 0.002
    )


@st.composite
def jobs(draw, *, native=False):
    """Jobs of any shape: each activation is caused by some that stand before it."""
    tale = Tale()
    for name in "abc":
        tale.sees(name, gil_share=draw(st.floats(0, 1)) if native else 0.0 if draw(st.booleans()) else 1.0)
    for number in range(1, draw(st.integers(1, 12)) + 1):
        causes = draw(st.lists(st.integers(1, number - 1), max_size=3, unique=True)) if number > 1 else []
        cpu, wait = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        tale.tell(number, draw(st.sampled_from("abc")), causes, cpu=cpu, wait=wait, fired=None if causes else 0)
    return tale.trace()


@given(jobs(native=True))
def test_in_sequence_a_job_takes_the_sum_of_its_attempts(trace):
    assert wall(trace, sequential()) == pytest.approx(demand_of(trace).work)


MODES = {ExecutionMode.CONCURRENT: threads, ExecutionMode.ASYNCIO: coroutines, ExecutionMode.MULTIPROCESSING: processes}


@given(jobs(native=True), st.sampled_from(list(MODES)), st.integers(1, 6), st.integers(1, 4))
def test_no_replay_beats_the_bounds(trace, mode, workers, cores):
    least = bounds(demand_of(trace), mode, workers, cores).least
    assert wall(trace, MODES[mode](workers), cores) >= least - 1e-9


@given(jobs(), st.sampled_from(list(MODES)), st.integers(1, 6), st.integers(1, 4))
def test_no_replay_is_slower_than_one_handler_after_another(trace, mode, workers, cores):
    """There is always somebody who works, so that costs alone could make it slower; here there are none."""
    assert wall(trace, MODES[mode](workers), cores) <= demand_of(trace).work + 1e-9


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 8))
def test_independent_waits_never_take_longer_with_more_workers(durations, workers):
    tale = Tale()
    for number, wait in enumerate(durations, 1):
        tale.tell(number, "leaf", fired=0, wait=wait)
    assert wall(tale.trace(), threads(workers + 1)) <= wall(tale.trace(), threads(workers)) + 1e-9


@given(jobs(native=True), st.sampled_from(list(MODES)), st.integers(1, 6))
def test_a_replay_ends_every_attempt_after_all_that_it_needs(trace, mode, workers):
    script = script_of(trace)
    replayed = replay(script, MODES[mode](workers), FREE)
    for index, needs in enumerate(script.needs.of):
        begun, ended = replayed.spans[index]
        assert ended >= begun
        assert all(replayed.spans[need.earlier][1] <= begun for need in needs)
    assert max(ended for _, ended in replayed.spans) == replayed.wall_time
