"""What a flow's parts can serve, and which of them is full."""

from __future__ import annotations

import pytest

from routilux.execution_mode import ExecutionMode
from routilux.loadtest.capacity import Cause, Layout, Profile, Shared, ceilings_of, reason_of, useful_workers
from routilux.loadtest.latencies import Spread
from routilux.loadtest.search import Phase
from routilux.loadtest.step import RoutineLoad, Shortfall, Step
from tests.loadtest.paper import usage

SEQUENTIAL, THREADS, LOOP, PROCESSES, *_ = ExecutionMode
BEHIND = (Shortfall.COMPLETED,)


def layout(mode=THREADS, workers=4, **more):
    return Layout(mode, {}, {mode: workers}, cores=2, **more)


def profile(work=0.010, cpu=0.0, **loads):
    """One job alone: one activation of `serve`, unless others are given."""
    routines = {name: RoutineLoad(*load) for name, load in loads.items()} or {"serve": RoutineLoad(1, work, 0.0)}
    return Profile(latency=work, slowest=work, cpu=cpu, routines=routines, jobs=1)


def step(cores=0.1, foreign=0.0, lateness=0.0, failed=0, **loads):
    """Ten seconds at 450 jobs a second."""
    return Step(
        phase=Phase.CLIMB,
        asked=450,
        seconds=10,
        offered=4500,
        completed=4000,
        failed=failed,
        latency=Spread(4500, 1.0, 1.0, 1.0, 1.0, None, 1.0),
        lateness=lateness,
        backlog=(0.0,) * 10,
        waiting=0.5,
        usage=usage(10, cpu=cores * 10, foreign=foreign, **loads),
        failure="ValueError: no" if failed else None,
    )


BUSY = {"serve": (4000, 39.5, 30.0)}
IDLE = {"serve": (4000, 20.0, 0.0)}


@pytest.mark.parametrize(
    ("one", "where", "cause", "rate"),
    [
        (profile(), layout(), Cause.WORKERS, 400),
        (profile(0.010, 0.005), layout(), Cause.GIL, 200),
        (profile(0.010, 0.008), layout(gil=False), Cause.CORES, 250),
        (profile(0.010, 0.002), layout(LOOP, 1000), Cause.LOOP, 500),
        (profile(0.010, 0.010), layout(PROCESSES, 8), Cause.CORES, 200),
        (profile(0.010, 0.001), layout(SEQUENTIAL, 1), Cause.WORKERS, 100),
        (profile(), layout(limits={"db": Shared(2)}, needs={"serve": ("db",)}), Cause.LIMIT, 200),
        (profile(), layout(limits={"api": Shared(None, 50.0)}, needs={"serve": ("api",)}), Cause.LIMIT, 50),
        (profile(), layout(limits={"db": Shared(2)}), Cause.WORKERS, 400),
    ],
)
def test_the_lowest_bound_is_the_predicted_knee(one, where, cause, rate):
    lowest = ceilings_of(one, where)[0]
    assert (lowest.cause, lowest.rate) == (cause, pytest.approx(rate))


def test_bounds_are_ordered():
    rates = [one.rate for one in ceilings_of(profile(0.010, 0.005), layout())]
    assert rates == sorted(rates) == pytest.approx([200, 400, 400])


def test_of_mixed_modes_the_workers_of_each_are_a_bound():
    where = Layout(THREADS, {"wait": THREADS, "compute": PROCESSES}, {THREADS: 10, PROCESSES: 2}, cores=2)
    lowest = ceilings_of(profile(wait=(1, 0.010, 0), compute=(1, 0.005, 0)), where)[0]
    assert (lowest.rate, lowest.name) == (pytest.approx(400), "the 2 workers of multiprocessing mode")


def test_more_workers_are_useful_until_something_else_binds():
    assert useful_workers(profile(0.010, 0.001), layout()) == 10
    assert useful_workers(profile(), Layout(ExecutionMode.DISTRIBUTED, {}, {ExecutionMode.DISTRIBUTED: 2}, 2)) is None


@pytest.mark.parametrize(
    ("found", "where", "cause", "words"),
    [
        (step(**BUSY), layout(), Cause.WORKERS, "the 4 workers of concurrent mode are busy 99% of the time"),
        (step(serve=(950, 9.5, 0)), layout(SEQUENTIAL, 1), Cause.WORKERS, "the one thread is busy 95%"),
        (step(cores=0.95, serve=(1000, 39, 0)), layout(), Cause.GIL, "mostly 'serve': more threads will not help"),
        (step(cores=1.96, serve=(1000, 39, 0)), layout(), Cause.CORES, "2.0 of 2 are in use."),
        (step(cores=0.5, foreign=1.4, serve=(1000, 39, 0)), layout(), Cause.CORES, "1.4 of them by other processes"),
        (step(serve=(1000, 39, 0)), layout(), Cause.HANDLERS, "'serve' takes 3.9 times as long as alone"),
        (step(cores=0.9, **IDLE), layout(LOOP, 1000), Cause.LOOP, "The event loop is busy 90%"),
        (
            step(serve=(2000, 19.5, 30)),
            layout(workers=8, limits={"db": Shared(2)}, needs={"serve": ("db",)}),
            Cause.LIMIT,
            "Limit 'db' binds: it is held 98% of the time, mostly by 'serve'",
        ),
        (
            step(serve=(498, 5, 30)),
            layout(limits={"api": Shared(None, 50.0)}, needs={"serve": ("api",)}),
            Cause.LIMIT,
            "taken as often as it allows",
        ),
        (step(lateness=0.2, **IDLE), layout(), Cause.GENERATOR, "falls 200 ms behind"),
        (step(**IDLE), layout(), Cause.UNKNOWN, "2.0 of 4 workers"),
    ],
)
def test_what_is_full_is_named(found, where, cause, words):
    reason = reason_of(found, BEHIND, profile(), where)
    assert reason.cause is cause
    assert words in reason.sentence


def test_jobs_that_fail_are_the_reason_before_anything_else():
    reason = reason_of(step(failed=9, **BUSY), (*BEHIND, Shortfall.FAILURES), profile(), layout())
    assert (reason.cause, reason.sentence) == (
        Cause.FAILURES,
        "9 of 4500 jobs fail; the first says: ValueError: no",
    )


def test_jobs_that_only_take_too_long_are_said_to():
    reason = reason_of(step(**IDLE), (Shortfall.OBJECTIVE,), profile(), layout())
    assert reason.cause is Cause.OBJECTIVE
    assert "50% of it waiting to begin; 2.0 of 4 workers" in reason.sentence
