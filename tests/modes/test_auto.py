"""Auto mode: jobs that move while they run, and give what they give in sequence."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import Context, Flow, Retry, collect, routine
from routilux.errors import SettingError
from routilux.tuning.load import Load
from tests.leftovers import ours
from tests.modes.contract import PATIENCE, numbers

WAITING = Load(100, 1.0, 0.01, 10, float("inf"), 100.0)
"""Of activations that only wait: a hundred, of ten milliseconds each."""

COMPUTING = Load(100, 1.0, 1.0, 10, float("inf"), 100.0)


@routine(fires=collect())
def total(xs):
    return sum(xs)


def moving(at: int, **settings) -> tuple[Flow, set[str]]:
    """A flow whose tuning is told in the midst of a job that activations wait; and the threads that it ran on."""
    threads: set[str] = set()
    flow = Flow("moves", **{"execution_mode": "auto", "max_workers": 4, **settings})

    def step(x):
        threads.add(threading.current_thread().name)
        if x == at:
            flow.tuning.learn(WAITING)
        return x + 1

    flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"), flow.add_routine(total, "total"))
    return flow, threads


def test_a_job_moves_to_threads_while_it_runs():
    flow, threads = moving(20)
    job = flow.execute("numbers", {"n": 500})
    assert job.result == sum(range(1, 501))
    assert threading.current_thread().name in threads
    assert any(name.startswith("routilux-moves") for name in threads)
    assert job.counts["step"].completed == 500
    assert ours() == []


def test_the_next_job_begins_where_the_last_one_was():
    flow, threads = moving(20)
    flow.execute("numbers", {"n": 500})
    threads.clear()
    assert flow.execute("numbers", {"n": 10}).result == 55
    assert threading.current_thread().name not in threads


def test_a_started_job_moves():
    flow, _ = moving(20)
    job = flow.start("numbers", {"n": 500})
    assert job.wait(PATIENCE)
    assert job.result == sum(range(1, 501))
    assert ours() == []


def passing_on(turning_point):
    """A flow that passes numbers on, and learns at one of them that threads would pay."""
    flow = Flow("passing", execution_mode="auto", max_workers=4)

    def step(x):
        if x == turning_point:
            flow.tuning.learn(WAITING)
        return x

    flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"))
    return flow


def test_a_stream_moves_between_two_results():
    flow = passing_on(20)
    with flow.stream("numbers", {"n": 300}) as stream:
        assert sorted(stream) == list(range(300))
    assert flow.tuning.workers > 1
    assert ours() == []


def test_a_stream_that_is_left_after_its_job_has_moved_leaves_nothing():
    flow = passing_on(1)
    stream = flow.stream("numbers", {"n": 10**9})
    for value in stream:
        if value > 20:
            break
    stream.close()
    assert stream.job.wait(PATIENCE)
    assert stream.job.status == "cancelled"


def test_the_jobs_of_a_map_move_to_one_engine():
    flow, _ = moving(20)
    jobs = list(flow.map("numbers", [{"n": n} for n in (10, 50, 100, 30)]))
    assert sorted(job.result for job in jobs) == sorted(n * (n + 1) // 2 for n in (10, 50, 100, 30))
    assert ours() == []


def test_the_jobs_of_a_block_move_to_its_workers():
    flow, _ = moving(20)
    with flow:
        for n in (10, 100, 100):
            assert flow.execute("numbers", {"n": n}).result == n * (n + 1) // 2
    assert ours() == []


def test_inside_a_loop_plain_handlers_are_on_threads():
    flow, threads = moving(20)
    job = asyncio.run(flow.execute_async("numbers", {"n": 100}))
    assert job.result == sum(range(1, 101))
    assert threading.current_thread().name not in threads


def test_coroutines_share_their_loop():
    @routine
    async def look_up(x):
        await asyncio.sleep(0)
        return x

    flow = Flow("looks up", execution_mode="auto")
    flow.chain(numbers, look_up, total)
    assert flow.execute("numbers", {"n": 50}).result == sum(range(50))


def test_a_job_is_cancelled_and_paused_wherever_it_is():
    flow = Flow("told", execution_mode="auto", max_workers=2)
    gate = threading.Event()

    def step(x):
        if x == 10:
            flow.tuning.learn(WAITING)
        if x == 200:
            gate.set()
            job.cancel("enough")
        return x

    flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"))
    ready = threading.Event()

    @routine
    def first(n):
        ready.wait(PATIENCE)
        return n

    flow.add_routine(first, "first")
    flow.connect("first", "numbers")
    job = flow.start("first", {"n": 10**9})
    ready.set()
    assert job.wait(PATIENCE)
    assert gate.is_set()
    assert job.status == "cancelled"


def test_retries_and_timers_go_along():
    flow = Flow("retries", execution_mode="auto", max_workers=3)

    def step(x, ctx: Context):
        if x == 3:
            flow.tuning.learn(WAITING)
        if x < 5 and ctx.attempt == 1:
            raise ValueError(x)
        return x

    flow.add_routine(numbers, "numbers")
    flow.add_routine(step, "step", error_strategy=Retry(2, delay=0.01))
    flow.chain("numbers", "step", flow.add_routine(total, "total"))
    assert flow.execute("numbers", {"n": 40}).raise_for_status().result == sum(range(40))


def test_what_was_decided_is_explained():
    flow, _ = moving(20)
    assert not flow.explain().conclusive
    flow.execute("numbers", {"n": 500})
    answer = flow.explain()
    assert answer.conclusive
    text = str(answer)
    assert "1 → 4" in text
    assert "binds then" in text
    told = json.loads(json.dumps(answer.to_dict()))
    assert told["workers"] == 4
    assert told["decisions"][0]["from"] == 1
    assert told["decisions"][0]["to"] == 4


def test_what_is_frozen_changes_nothing():
    flow, threads = moving(20)
    flow.tuning.freeze()
    flow.execute("numbers", {"n": 100})
    assert flow.tuning.workers == 1
    assert threads == {threading.current_thread().name}
    flow.tuning.unfreeze()
    flow.execute("numbers", {"n": 100})
    assert flow.tuning.workers == 4


def test_what_computes_stays():
    flow, threads = moving(-1)
    flow.tuning.learn(COMPUTING)
    flow.execute("numbers", {"n": 100})
    assert threads == {threading.current_thread().name}
    assert "Python binds" in flow.explain().sentence


def test_a_load_test_is_made_with_what_was_found():
    flow, _ = moving(3)
    flow.load_test("numbers", {"n": 10}, rate=1000, step_seconds=0.1)
    assert flow.tuning.knows


def test_the_number_of_workers_is_the_most_that_may_be_chosen():
    flow, _ = moving(20, max_workers=2)
    flow.execute("numbers", {"n": 100})
    assert flow.tuning.workers == 2


def test_a_routine_has_no_auto_mode():
    with pytest.raises(SettingError, match="for a flow or a job"):
        routine(execution_mode="auto")(lambda x: x)
    with pytest.raises(SettingError, match="for a flow or a job"):
        Flow("placed", placement={"step": "auto"})


@settings(max_examples=50)
@given(st.integers(0, 120), st.integers(1, 5), st.integers(1, 60))
def test_a_move_at_any_moment_changes_no_result(at, workers, burst):
    flow, _ = moving(at, max_workers=workers)
    job = flow.execute("numbers", {"n": 100 + burst})
    assert job.result == sum(range(1, 101 + burst))
    assert job.counts["numbers"].yielded == 100 + burst
    assert ours() == []


def test_plain_handlers_beside_coroutines_keep_their_threads_while_nothing_is_known():
    gate = threading.Barrier(3, timeout=PATIENCE)
    flow = Flow("beside", execution_mode="auto", max_workers=3)

    @routine
    async def look_up(x):
        return x

    def late(x):
        if x < 40:
            time.sleep(0.01)
        else:
            gate.wait()  # all three have to be there
        return x

    flow.chain(flow.add_routine(numbers, "numbers"), look_up, flow.add_routine(late, "late"))
    assert flow.execute("numbers", {"n": 43}).raise_for_status().counts["late"].completed == 43
