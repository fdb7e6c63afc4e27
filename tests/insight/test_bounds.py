"""The critical path, and the bounds that no schedule beats."""

from __future__ import annotations

import pytest

from routilux.execution_mode import ExecutionMode
from routilux.insight.bounds import bounds, demand_of
from routilux.insight.costs import Costs
from routilux.insight.critical_path import critical_path
from routilux.insight.term import Term
from tests.insight.tales import Tale, chain, fan

SEQUENTIAL, THREADS = ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT
LOOP, PROCESSES = ExecutionMode.ASYNCIO, ExecutionMode.MULTIPROCESSING


def test_the_path_of_a_chain_is_the_chain():
    path = critical_path(chain(10, cpu=1, wait=3))
    assert path.steps == tuple(range(10))
    assert (path.span, path.work) == pytest.approx((0.040, 0.040))
    assert path.parallelism == pytest.approx(1)
    assert path.shares == {"step": pytest.approx(1)}


def test_the_path_of_a_diamond_goes_through_its_slower_side(tale):
    tale.tell(1, "split", cpu=1).tell(2, "quick", [1], cpu=2).tell(3, "slow", [1], cpu=6)
    path = critical_path(tale.tell(4, "join", [2, 3], cpu=1).trace())
    assert path.steps == (0, 2, 3)
    assert path.span == pytest.approx(0.008)
    assert path.parallelism == pytest.approx(10 / 8)
    assert path.shares == pytest.approx({"slow": 6 / 8, "split": 1 / 8, "join": 1 / 8})
    assert next(iter(path.shares)) == "slow"


def test_the_values_of_a_generator_come_one_after_another(tale):
    tale.tell(1, "source", cpu=1, status="yielded").tell(2, "leaf", [1], cpu=5)
    tale.tell(1, "source", fired=1, cpu=1, status="yielded").tell(3, "leaf", [1], fired=7, cpu=5)
    path = critical_path(tale.tell(1, "source", fired=7, cpu=1).trace())
    assert path.span == pytest.approx(0.007)
    assert path.steps == (0, 2, 3)


def test_what_waits_for_rest_comes_after_all_else(tale):
    tale.tell(1, "source").tell(2, "slow", [1], cpu=9).tell(3, "quick", [1], cpu=1)
    path = critical_path(tale.tell(4, "collect", fired=10.5, cpu=2).trace())
    assert path.span == pytest.approx(0.011)
    assert path.steps == (0, 1, 3)


def test_the_delay_of_a_retry_is_on_the_path(tale):
    tale.tell(1, "shaky", cpu=2, status="retried").tell(1, "shaky", cpu=2, fired=7, attempt=2)
    path = critical_path(tale.trace())
    assert path.span == pytest.approx(0.009)
    assert path.shares == {"shaky": pytest.approx(4 / 9)}


def test_a_job_without_attempts_has_a_path_of_no_length(tale):
    path = critical_path(tale.trace())
    assert (path.work, path.span, path.steps, path.shares, path.parallelism) == (0, 0, (), {}, 1)


@pytest.mark.parametrize(
    ("trace", "mode", "workers", "term", "least"),
    [
        (fan(20, cpu=10), THREADS, 8, Term.GIL, 0.2),
        (fan(20, cpu=10, gil_share=0.0), THREADS, 8, Term.CORES, 0.1),
        (fan(20, cpu=0.1, wait=10), THREADS, 4, Term.WORKERS, 0.0505),
        (chain(20, cpu=0.1, wait=10), THREADS, 4, Term.CRITICAL_PATH, 0.202),
        (fan(20, cpu=10), PROCESSES, 8, Term.CORES, 0.1),
        (fan(20, cpu=10), LOOP, 1000, Term.LOOP, 0.2),
        (fan(20, cpu=1, wait=10), SEQUENTIAL, 1, Term.WORKERS, 0.22),
    ],
)
def test_the_largest_bound_is_what_binds(trace, mode, workers, term, least):
    found = bounds(demand_of(trace), mode, workers, 2)
    assert found.binding is term
    assert found.least == pytest.approx(least)
    assert term.value in found.sentence(found.least)


def test_so_many_workers_are_useful_as_it_takes_until_something_else_binds():
    assert bounds(demand_of(fan(200, cpu=1, wait=9)), THREADS, 4, 2).useful_workers == 10
    assert bounds(demand_of(fan(200, cpu=1, wait=9)), SEQUENTIAL, 1, 2).useful_workers == 10
    assert bounds(demand_of(fan(200, cpu=1)), THREADS, 4, 2).useful_workers == 1
    assert bounds(demand_of(fan(200, cpu=1)), PROCESSES, 4, 2).useful_workers == 2
    assert bounds(demand_of(chain(9, cpu=1)), PROCESSES, 4, 2).useful_workers == 1


def test_what_a_mode_costs_is_in_its_bounds():
    demand, costs = demand_of(fan(1000, cpu=0.01)), Costs(process_send=50e-6, process_receive=50e-6)
    found = bounds(demand, PROCESSES, 8, 8, costs)
    assert found.binding is Term.CALLER
    assert found.least == pytest.approx(0.1, rel=0.01)
    assert found.sentence(0.1).startswith("The calling process hands out work 100% of the wall time")


def test_the_sentence_names_the_routine_and_its_share():
    trace = fan(20, cpu=10)
    sentence = bounds(demand_of(trace), THREADS, 8, 2).sentence(0.25)
    assert sentence == "'leaf' holds the GIL 80% of the wall time: more threads will not help."


def test_where_no_routine_stands_out_the_sentence_says_how_many_there_are(tale):
    for number, name in enumerate(("a", "b", "c"), 1):
        tale.tell(number, name, fired=0, cpu=10 - number)
    assert bounds(demand_of(tale.trace()), THREADS, 8, 2).sentence(1).startswith("'a' with 2 others holds the GIL")


def test_bounds_of_a_job_without_attempts_are_nothing():
    found = bounds(demand_of(Tale().trace()), THREADS, 8, 2)
    assert found.least == 0
    assert found.sentence(0)
