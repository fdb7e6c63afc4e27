"""Auto mode where other processes are allowed: jobs that move there, and why others do not."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import Context, Flow, Retry, batch, collect, keyed, routine
from routilux.errors import SettingError, UnsendableError
from routilux.trials import fixed
from routilux.tuning.load import Load
from tests.leftovers import ours
from tests.modes.contract import PATIENCE

COMPUTING = Load(100, 1.0, 1.0, 10, float("inf"), 100.0)
"""Of a hundred activations of ten milliseconds of Python each."""


@routine(fires=collect())
def total(xs):
    return sum(xs)


@routine
def where(x):
    return x, os.getpid()


def told(flow: Flow, at: int, *, freezes: bool):
    """A generator that tells the flow's tuning at one of its numbers that activations compute; it never leaves here."""

    def source(n):
        for x in range(n):
            if x == at:
                flow.tuning.learn(COMPUTING)
            if freezes and flow.tuning.mode == "multiprocessing":
                flow.tuning.freeze()  # or on a slow machine it is found that such a job does not gain
            yield x

    return source


def computing(*routines, at: int = 20, freezes: bool = True, **given) -> Flow:
    """A flow whose source learns in the midst of a job that processes would pay."""
    flow = Flow("computes", **{"execution_mode": "auto", "allow_processes": True, "max_workers": 2, **given})
    # Two, however many cores this machine has.
    flow.tuning.limit(2, 2)
    flow.chain(flow.add_routine(told(flow, at, freezes=freezes), "source"), *routines)
    return flow


def found_best() -> Flow:
    """A flow of which it is known that processes pay; where others have the cores meanwhile, it may be thought not."""
    for _ in range(5):
        flow = computing(where)
        flow.execute("source", {"n": 300})
        if flow.tuning.mode == "multiprocessing":
            return flow
    raise AssertionError("processes are never found to pay")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Wherever the tests run, there is more than one core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


def test_a_job_that_computes_moves_to_other_processes_while_it_runs():
    flow = computing(where)
    job = flow.execute("source", {"n": 300}).raise_for_status()
    found = job.results["where"]
    assert sorted(x for x, _ in found) == list(range(300))
    pids = {pid for _, pid in found}
    assert os.getpid() in pids
    assert len(pids) > 1
    assert job.counts["where"].completed == 300
    assert job.counts["source"].yielded == 300
    assert ours() == []


def test_the_next_job_begins_in_processes():
    flow = found_best()
    found = flow.execute("source", {"n": 50}).results["where"]
    assert sorted(x for x, _ in found) == list(range(50))
    assert os.getpid() not in {pid for _, pid in found}
    assert "2 processes" in flow.explain().sentence


def test_nobody_who_did_not_allow_it_gets_processes():
    flow = computing(where, allow_processes=False)
    flow.tuning.limit(2)
    found = flow.execute("source", {"n": 300}).results["where"]
    assert {pid for _, pid in found} == {os.getpid()}
    assert "Python binds" in flow.explain().sentence


def test_one_job_may_be_allowed_what_its_flow_is_not():
    flow = computing(where, allow_processes=False)
    found = flow.execute("source", {"n": 300}, allow_processes=True).results["where"]
    assert len({pid for _, pid in found}) > 1
    here = flow.execute("source", {"n": 10}).results["where"]
    assert {pid for _, pid in here} == {os.getpid()}


def test_a_handler_that_cannot_be_sent_stays_and_the_reason_is_told():
    lock = threading.Lock()

    def locked(x):
        with lock:
            return x, os.getpid()

    flow = computing()
    flow.connect("source", flow.add_routine(locked, "locked"))
    found = flow.execute("source", {"n": 200}).raise_for_status().results["locked"]
    assert {pid for _, pid in found} == {os.getpid()}
    reasons = [one.reason for one in flow.explain().decisions]
    assert any(reason.startswith("'locked' cannot be sent: TypeError") for reason in reasons)


def test_what_waits_in_a_slot_and_cannot_be_sent_keeps_the_job_here():
    @routine
    def wrap(x):
        return {"x": x, "lock": threading.Lock()}

    @routine
    def unwrap(wrapped):
        return wrapped["x"], os.getpid()

    flow = computing(wrap, unwrap)
    found = flow.execute("source", {"n": 200}).raise_for_status().results["unwrap"]
    assert {pid for _, pid in found} == {os.getpid()}
    assert flow.tuning.workers == 1
    assert any("cannot be sent" in one.reason for one in flow.explain().decisions)


def test_a_job_that_begins_with_what_cannot_be_sent_runs_here():
    @routine
    def first(n):
        return n if isinstance(n, int) else 5

    flow = computing(where)
    flow.connect(flow.add_routine(first, "first"), "source")
    flow.execute("first", {"n": 300})
    assert flow.tuning.mode == "multiprocessing"
    flow.tuning.unfreeze()
    job = flow.execute("first", {"n": threading.Lock()}).raise_for_status()
    assert {pid for _, pid in job.results["where"]} == {os.getpid()}
    assert flow.tuning.workers == 1


def test_what_cannot_be_sent_after_all_keeps_later_jobs_here():
    @routine
    def sometimes(x):
        return threading.Lock() if x == 250 else x

    flow = computing(sometimes, freezes=False)
    job = flow.execute("source", {"n": 300})
    with pytest.raises(UnsendableError):
        job.raise_for_status()
    assert flow.tuning.workers == 1
    assert flow.execute("source", {"n": 300}).status == "completed"


def test_a_routine_that_says_where_it_runs_stays_there():
    @routine(execution_mode="concurrent")
    def here(x):
        return x, os.getpid()

    flow = computing(where, here)
    flow.execute("source", {"n": 300})
    found = flow.execute("source", {"n": 50}).results["here"]
    assert {pid for _, pid in found} == {os.getpid()}
    assert len({inner[1] for inner, _ in found} - {os.getpid()}) >= 1


def test_what_is_frozen_does_not_move():
    flow = computing(where)
    flow.tuning.freeze()
    found = flow.execute("source", {"n": 300}).results["where"]
    assert {pid for _, pid in found} == {os.getpid()}


def test_joins_batches_retries_and_state_go_along():
    @routine
    def halves(x):
        return {"x": x // 2, "half": x % 2}

    @routine(fires=batch(7))
    def sums(xs):
        return sum(one["x"] for one in xs)

    @routine(keeps_state=True)
    def count(part, ctx: Context):
        ctx.state["seen"] = ctx.state.get("seen", 0) + 1
        return part, ctx.state["seen"]

    @routine(error_strategy=Retry(2, delay=0.001))
    def shaky(pair, ctx: Context):
        if ctx.attempt == 1 and pair[1] % 3 == 0:
            raise ValueError(pair)
        return pair

    flow = computing(halves, sums, count, shaky, at=60)
    job = flow.execute("source", {"n": 210}).raise_for_status()
    found = job.results["shaky"]
    assert sum(part for part, _ in found) == sum(x // 2 for x in range(210))
    assert sorted(seen for _, seen in found) == list(range(1, 31))


def test_a_keyed_join_goes_along():
    @routine
    def left(x):
        return {"k": x, "l": x}

    @routine
    def right(x):
        return {"k": x, "r": -x}

    @routine(fires=keyed("k"))
    def both(a, b):
        return a["l"] - b["r"]

    flow = computing(left)
    flow.add_routine(right, "right")
    flow.add_routine(both, "both")
    flow.add_routine(total, "total")
    flow.connect("source", "right")
    flow.connect("left", "output", "both", "a")
    flow.connect("right", "output", "both", "b")
    flow.connect("both", "total")
    assert flow.execute("source", {"n": 200}).raise_for_status().result == 2 * sum(range(200))


def test_a_started_job_a_stream_a_map_and_a_block_move_as_well():
    flow = computing(where)
    job = flow.start("source", {"n": 200})
    assert job.wait(PATIENCE)
    assert sorted(x for x, _ in job.results["where"]) == list(range(200))
    flow = computing(where)
    with flow.stream("source", {"n": 300}) as stream:
        assert sorted(x for x, _ in stream) == list(range(300))
    flow = computing(where)
    jobs = list(flow.map("source", [{"n": n} for n in (100, 50, 80)]))
    assert sorted(len(job.results["where"]) for job in jobs) == [50, 80, 100]
    flow = computing(where)
    with flow:
        for n in (100, 30):
            assert sorted(x for x, _ in flow.execute("source", {"n": n}).results["where"]) == list(range(n))
    assert ours() == []


def test_inside_a_loop_nothing_moves_to_processes():
    flow = found_best()
    job = asyncio.run(flow.execute_async("source", {"n": 50}))
    assert {pid for _, pid in job.results["where"]} == {os.getpid()}


def test_a_load_test_is_made_in_the_processes_that_were_found_best():
    flow = found_best()
    given = fixed(flow._launch, "source", {"n": 5}, {})
    assert given["execution_mode"] == "multiprocessing"
    assert given["placement"] == {"source": "concurrent"}
    assert given["max_workers"]["multiprocessing"] == 2
    found = flow.execute("source", {"n": 5}, **given).results["where"]
    assert os.getpid() not in {pid for _, pid in found}


def test_a_stored_job_stays_on_threads(tmp_path):
    pytest.importorskip("msgspec")
    flow = computing(where, store=str(tmp_path / "jobs.db"))
    job = flow.execute("source", {"n": 50}).raise_for_status()
    assert {pid for _, pid in job.results["where"]} == {os.getpid()}
    flow.close()


def test_allow_processes_is_yes_or_no():
    with pytest.raises(SettingError, match="allow_processes must be True or False"):
        Flow("wrong", allow_processes="yes")


@settings(max_examples=5)
@given(st.integers(0, 80), st.integers(1, 60))
def test_a_move_to_processes_at_any_moment_changes_no_result(at, more):
    flow = computing(where, at=at)
    job = flow.execute("source", {"n": 100 + more}).raise_for_status()
    assert sorted(x for x, _ in job.results["where"]) == list(range(100 + more))
    assert job.counts["source"].yielded == 100 + more
