"""Limits in flows that run: in every mode, between routines, between jobs, and under failures."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time

import pytest

from routilux import Context, Continue, Flow, Retry, Skip, collect, routine
from routilux.errors import HandlerTimeoutError
from routilux.limits import Limits
from routilux.testing import ManualClock, ScriptedRun
from tests.leftovers import wait_for_ours

pytestmark = pytest.mark.usefixtures("nothing_is_left")

PATIENCE = 30
IN_THIS_PROCESS = pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])


@routine
def numbers(n):
    yield from range(n)


@routine(fires=collect())
def total(xs):
    return sum(xs)


def entering(inside, *names, pause=0.0005):
    """A handler that is inside of `names` for a moment."""

    def work(x):
        inside.enter(*names)
        time.sleep(pause)
        inside.leave(*names)
        return x

    return work


def entering_async(inside, *names):
    async def work(x):
        inside.enter(*names)
        await asyncio.sleep(0.0005)
        inside.leave(*names)
        return x

    return work


def everything_is_free(flow, *names):
    """Whether nobody holds any of the limits that the jobs of a flow share."""
    return all(flow._launch._limits.holders(name) == [] for name in names)


# --- how many run at once


@IN_THIS_PROCESS
def test_no_more_than_max_concurrency_run_at_once_and_so_many_do(mode, inside):
    flow = Flow("limited", execution_mode=mode, max_workers=6)
    flow.add_routine((entering_async if mode == "asyncio" else entering)(inside, "work"), "work", max_concurrency=2)
    flow.chain(numbers, "work", total)
    assert flow.execute("numbers", {"n": 60}).result == sum(range(60))
    assert inside.most["work"] == (1 if mode == "sequential" else 2)


def most_at_once(spans):
    """The most spans that one moment lies in."""
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


def test_no_more_than_max_concurrency_run_at_once_in_processes():
    def work(x):
        began = time.monotonic()
        time.sleep(0.002)
        return began, time.monotonic()

    flow = Flow("limited", execution_mode="multiprocessing", max_workers=3)
    flow.add_routine(work, max_concurrency=1)
    flow.chain(numbers, "work")
    spans = flow.execute("numbers", {"n": 40}).results["work"]
    assert len(spans) == 40
    assert most_at_once(spans) == 1


@IN_THIS_PROCESS
def test_routines_and_jobs_share_a_limit_in_one_block(mode, inside):
    flow = Flow("shared", execution_mode=mode, max_workers=6, limits={"db": 2})
    entered = entering_async if mode == "asyncio" else entering
    for name in ("read", "write"):
        flow.add_routine(entered(inside, "db"), name, limits="db")
        flow.connect(numbers, name)
        flow.connect(name, total)
    with flow:
        jobs = [flow.start("numbers", {"n": 20}) for _ in range(4)]
    assert [job.result for job in jobs] == [2 * sum(range(20))] * 4
    assert inside.entered["db"] == 160
    assert inside.most["db"] <= 2
    assert everything_is_free(flow, "db")


def test_a_release_is_told_to_one_of_many_jobs_that_wait(inside, monkeypatch):
    asked, take = [], Limits.take
    monkeypatch.setattr(Limits, "take", lambda *given: asked.append(given) or take(*given))
    flow = Flow("shared", execution_mode="concurrent", max_workers=6, limits={"db": 2})
    flow.add_routine(entering(inside, "db"), "work", limits="db")
    with flow:
        jobs = [flow.start("work", {"x": number}) for number in range(200)]
    assert [job.result for job in jobs] == list(range(200))
    assert len(asked) <= 3 * len(jobs)
    assert everything_is_free(flow, "db")


def test_a_paused_job_keeps_no_other_from_a_limit():
    flow, let_go = Flow("shared", execution_mode="concurrent", max_workers=3, limits={"db": 1}), threading.Event()

    @routine(limits="db")
    def work(x):
        assert x > 0 or let_go.wait(PATIENCE)
        return x

    flow.add_routine(work)
    with flow:
        holder, paused, other = (flow.start("work", {"x": x}) for x in range(3))
        paused.pause()
        let_go.set()
        assert other.wait(PATIENCE)
        assert (holder.result, other.result, paused.status) == (0, 2, "paused")
        paused.resume()
    assert paused.result == 1


@pytest.mark.parametrize("modes", [["concurrent"] * 3, ["sequential"] * 3, ["sequential", "concurrent", "asyncio"]])
def test_jobs_with_engines_of_their_own_in_different_threads_share_a_limit(modes, inside):
    flow = Flow("shared", limits={"db": 1})
    flow.add_routine(entering(inside, "db"), "work", limits="db")
    flow.chain(numbers, "work", total)
    found = []

    def run(mode):
        for _ in range(3):
            found.append(flow.execute("numbers", {"n": 25}, execution_mode=mode).result)

    threads = [threading.Thread(target=run, args=(mode,)) for mode in modes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [sum(range(25))] * 9
    assert inside.most["db"] == 1
    assert everything_is_free(flow, "db")


def test_routines_of_different_modes_share_a_limit(inside):
    flow = Flow("mixed", execution_mode="concurrent", max_workers=4, limits={"db": 1})
    flow.add_routine(entering(inside, "db"), "on threads", limits="db")
    flow.add_routine(entering_async(inside, "db"), "on a loop", limits="db")
    flow.add_routine(lambda x: x, "elsewhere", limits="db", execution_mode="multiprocessing")
    for name in ("on threads", "on a loop", "elsewhere"):
        flow.connect(numbers, name)
        flow.connect(name, total)
    assert flow.execute("numbers", {"n": 30}).result == 3 * sum(range(30))
    assert inside.most["db"] == 1


@pytest.mark.parametrize("mode", ["concurrent", "asyncio"])
def test_whatever_the_order_of_their_limits_routines_never_deadlock(mode, inside):
    flow = Flow("crossed", execution_mode=mode, max_workers=4, limits={"a": 1, "b": 1, "c": 2})
    entered = entering_async if mode == "asyncio" else entering
    for needs in (["a", "b"], ["b", "a"], ["c", "a"], ["b", "c"]):
        flow.add_routine(entered(inside, *needs), "-".join(needs), limits=needs)
        flow.connect(numbers, "-".join(needs))
        flow.connect("-".join(needs), total)
    with flow:
        jobs = [flow.start("numbers", {"n": 15}) for _ in range(3)]
        for job in jobs:
            assert job.wait(PATIENCE), job.waiting()
    assert [job.result for job in jobs] == [4 * sum(range(15))] * 3
    assert inside.most["a"] == inside.most["b"] == 1
    assert inside.most["c"] <= 2
    assert everything_is_free(flow, "a", "b", "c")


def test_every_order_of_settling_ends_with_everything_given_back():
    for seed in range(60):
        chance = random.Random(seed)
        flow = Flow("any order", limits={"a": 1, "b": 2}, error_strategy=Retry(1, delay=0.1, then=Skip()))
        flow.add_routine(routine(lambda n: (yield from range(n))), "source", limits=chance.choice([[], ["a"], ["b"]]))
        for name, needs in (("first", ["a", "b"]), ("second", ["b"]), ("third", ["b", "a"])):
            fails = chance.random() < 0.3
            flow.add_routine(lambda x, fails=fails: 1 // (x % 3) if fails else x, name, limits=needs)
            flow.connect("source", name)
        run = ScriptedRun(flow, "source", {"n": 8}, seed=seed, workers=chance.choice([1, 2, 4]))
        run.run()
        assert run.job.status == "completed", f"seed {seed}"
        assert everything_is_free(flow, "a", "b")


# --- who goes on, and who does not wait


def test_a_limited_routine_does_not_keep_others_from_the_workers():
    gate, begun = threading.Event(), threading.Event()

    @routine(events=["slow", "quick"])
    def feed(ctx: Context):
        for number in range(20):
            ctx.emit("slow", number)
        for number in range(20):
            ctx.emit("quick", number)

    @routine(max_concurrency=1)
    def slow(x):
        begun.set()
        assert gate.wait(PATIENCE)

    seen, all_seen = [], threading.Event()

    @routine
    def quick(x):
        seen.append(x)
        if len(seen) == 20:
            all_seen.set()

    flow = Flow("fair", execution_mode="concurrent", max_workers=2)
    flow.connect(feed, "slow", slow, "x")
    flow.connect(feed, "quick", quick, "x")
    job = flow.start("feed")
    assert begun.wait(PATIENCE)
    assert all_seen.wait(PATIENCE)
    assert [str(one) for one in job.waiting()] == [
        "slow: limit: max_concurrency=1 is reached, held by activation 2 (19 of them)"
    ]
    gate.set()
    assert job.wait(PATIENCE)


def test_a_release_wakes_a_job_that_waits_in_another_thread():
    held, gate = threading.Semaphore(0), threading.Semaphore(0)

    def work(x):
        held.release()
        assert gate.acquire(timeout=PATIENCE)

    flow = Flow("handed on", limits={"db": 1})
    flow.add_routine(work, limits="db")
    jobs = [flow.start("work", {"x": 1}, execution_mode=mode) for mode in ("concurrent", "sequential", "concurrent")]
    for left in (2, 1, 0):
        assert held.acquire(timeout=PATIENCE)
        assert not held.acquire(blocking=False)
        gate.release()
        waiting = [one.why for job in jobs for one in job.waiting() if "limit" in one.why]
        assert len(waiting) <= left + 1
    for job in jobs:
        assert job.wait(PATIENCE)


@IN_THIS_PROCESS
@pytest.mark.parametrize("kind", [{"limits": "db"}, {"max_concurrency": 1}])
def test_a_source_that_feeds_a_limited_routine_is_held_back(mode, kind):
    ahead, most, seen = [0], [0], []

    @routine
    def source():
        for number in range(2000):
            ahead[0] += 1
            most[0] = max(most[0], ahead[0] - len(seen))
            yield number

    flow = Flow("held back", execution_mode=mode, max_workers=2, max_pending=5, limits={"db": 1})
    flow.add_routine(source)
    flow.add_routine(lambda x: seen.append(x), "work", **kind)
    flow.connect("source", "work")
    assert flow.execute("source").status == "completed"
    assert seen == list(range(2000))
    assert most[0] <= 5 + 2


@pytest.mark.parametrize("home", ["sequential", "concurrent", "asyncio"])
@pytest.mark.parametrize("where", ["sequential", "concurrent", "multiprocessing"])
def test_a_generator_never_waits_for_those_that_need_what_it_holds(home, where):
    flow = Flow("rows", execution_mode=home, limits={"db": 1})
    flow.add_routine(numbers, limits="db")
    flow.add_routine(lambda x: x, "write", limits="db", execution_mode=where)
    flow.chain("numbers", "write", total)
    job = flow.start("numbers", {"n": 60})
    assert job.wait(PATIENCE), job.waiting()
    assert job.result == sum(range(60))


@IN_THIS_PROCESS
def test_a_burst_into_a_generator_that_is_limited_goes_through(mode):
    @routine
    def burst(ctx: Context):
        for number in range(100):
            ctx.emit("output", number)

    flow = Flow("burst", execution_mode=mode, max_workers=2)
    flow.chain(burst, routine(max_concurrency=1)(lambda x: (yield from (x, x))), total)
    job = flow.start("burst")
    assert job.wait(PATIENCE), job.waiting()
    assert job.result == 2 * sum(range(100))


# --- rates


def test_in_sequence_a_clock_that_is_set_by_hand_goes_to_each_moment_by_itself():
    clock = ManualClock()
    flow = Flow("paced", clock=clock)
    begun = []
    flow.add_routine(lambda x: begun.append(clock.now() / 1e9), "ask", rate_limit="10/min")
    flow.chain(numbers, "ask")
    assert flow.execute("numbers", {"n": 35}).status == "completed"
    assert begun == [0] * 10 + [60] * 10 + [120] * 10 + [180] * 5


def test_jobs_share_a_rate_also_one_after_another():
    clock = ManualClock()
    flow = Flow("paced", clock=clock)
    flow.add_routine(lambda: clock.now() / 1e9, "ask", rate_limit="2/s")
    assert [flow.execute("ask").result for _ in range(5)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("mode", ["concurrent", "asyncio", "sequential"])
def test_with_a_real_clock_a_rate_takes_the_time_that_it_must(mode):
    flow = Flow("paced", execution_mode=mode, max_workers=8, limits={"api": "10/100ms"})
    for name in ("get", "put"):
        flow.add_routine(lambda x: time.monotonic(), name, limits="api")
        flow.connect(numbers, name)
    job = flow.execute("numbers", {"n": 20})
    moments = sorted([*job.results["get"], *job.results["put"]])
    assert len(moments) == 40
    assert moments[-1] - moments[0] >= 0.29


def test_a_job_that_is_cancelled_while_it_waits_for_a_rate_is_over():
    flow = Flow("paced", execution_mode="concurrent")
    flow.chain(numbers, routine(rate_limit="1/h")(lambda x: x))
    job = flow.start("numbers", {"n": 3})
    while not any("rate_limit" in one.why for one in job.waiting()):
        assert not job.status.terminal
    job.cancel()
    assert job.wait(PATIENCE)
    assert job.status == "cancelled"


# --- everything is given back


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing"])
def test_failures_and_retries_give_everything_back(mode):
    def fails(x):
        if x % 2:
            raise ValueError(x)
        return x

    flow = Flow("failing", execution_mode=mode, max_workers=2, limits={"db": 1, "api": "10000/s"})
    flow.add_routine(fails, limits=["db", "api"], retries=2, retry_delay=0.001, error_strategy=Continue())
    flow.chain(numbers, "fails", total)
    job = flow.execute("numbers", {"n": 10})
    assert job.result == 20
    assert job.counts["fails"].retried == 10
    assert everything_is_free(flow, "db")


def test_timeouts_give_everything_back():
    never = threading.Event()

    def hangs(x):
        if x == 0:
            never.wait(PATIENCE)
        return x

    flow = Flow("hanging", execution_mode="concurrent", max_workers=2, limits={"db": 1})
    flow.add_routine(hangs, limits="db", timeout=0.5, error_strategy=Skip())
    flow.chain(numbers, "hangs", total)
    job = flow.execute("numbers", {"n": 5})
    assert job.result == 10
    assert isinstance(job.errors[0].error, HandlerTimeoutError)
    assert everything_is_free(flow, "db")
    never.set()
    wait_for_ours(PATIENCE)


def test_the_death_of_a_worker_gives_everything_back(tmp_path):
    mark = str(tmp_path / "died")

    def dies_once(x):
        if x == 3 and not os.path.exists(mark):  # noqa: PTH110 -- what it needs must be importable in a worker
            os.close(os.open(mark, os.O_CREAT))
            os._exit(1)
        return x

    flow = Flow("dying", execution_mode="multiprocessing", max_workers=2, limits={"db": 1})
    flow.add_routine(dies_once, limits="db", max_concurrency=1)
    flow.chain(numbers, "dies_once", total)
    job = flow.execute("numbers", {"n": 8})
    assert job.result == sum(range(8))
    assert job.counts["dies_once"].retried == 1
    assert everything_is_free(flow, "db")


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing"])
def test_jobs_that_are_stopped_or_cancelled_give_everything_back(mode):
    flow = Flow("stopped", execution_mode=mode, max_workers=2, limits={"db": 1})
    flow.add_routine(lambda x: 1 // (3 - x), "work", limits="db")
    flow.chain(numbers, "work")
    assert flow.execute("numbers", {"n": 100}).status == "failed"
    assert everything_is_free(flow, "db")
    with flow.stream("numbers", {"n": 3}) as stream:
        next(stream)
    assert stream.job.wait(PATIENCE)
    assert everything_is_free(flow, "db")


def test_waiting_names_the_limit_and_those_who_hold_it():
    held, gate = threading.Event(), threading.Event()

    def work(x):
        held.set()
        assert gate.wait(PATIENCE)

    flow = Flow("named", execution_mode="concurrent", limits={"db": 1, "api": 5})
    flow.add_routine(work, limits=["db", "api"])
    first = flow.start("work", {"x": 1})
    assert held.wait(PATIENCE)
    second = flow.start("work", {"x": 2})
    while not second.waiting():
        assert not second.status.terminal
    holder = f"held by activation 1 of job {first.job_id}"
    assert [str(one) for one in second.waiting()] == [f"work: limit: 'db', {holder} and 'api', {holder}"]
    gate.set()
    assert first.wait(PATIENCE)
    assert second.wait(PATIENCE)


def test_a_source_held_back_by_a_lane_says_by_whom():
    held, gate = threading.Event(), threading.Event()

    @routine(max_concurrency=1)
    def work(x):
        held.set()
        assert gate.wait(PATIENCE)

    flow = Flow("named", execution_mode="concurrent", max_workers=2)
    flow.chain(numbers, work)
    job = flow.start("numbers", {"n": 100})
    assert held.wait(PATIENCE)
    while "numbers: held back by 'work', which has enough to do" not in map(str, job.waiting()):
        assert not job.status.terminal
    gate.set()
    assert job.wait(PATIENCE)
