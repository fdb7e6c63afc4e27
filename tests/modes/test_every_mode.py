"""The laws of DESIGN 4 in every mode, through `Flow` alone."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from routilux import Context, Continue, Flow, Retry, Skip, Stop, collect, routine
from routilux.drivers.cluster.dask_local import LocalDask
from routilux.errors import (
    HandlerTimeoutError,
    JobCancelledError,
    JobTimeoutError,
)
from tests.effects import Effects
from tests.leftovers import children, ours
from tests.modes.contract import (
    AUTO,
    LOCAL,
    PATIENCE,
    SEQUENTIAL,
    SHAPES,
    WORKERS,
    Gate,
    Ledger,
    Number,
    OddError,
    Way,
    fails,
    fails_twice,
    multiset,
    numbers,
    same,
    wait_until,
)

CLUSTERS = ["threads of an executor", "processes of an executor", "dask", "ray"]
LOCAL_WAYS = {way.name: way for way in LOCAL}

only = lambda *names: pytest.mark.parametrize("way", names, indirect=True)  # noqa: E731
EVERYWHERE = only(*LOCAL_WAYS, *CLUSTERS)
BUT_CLUSTERS = only(*LOCAL_WAYS)


@pytest.fixture(scope="module", params=[*LOCAL_WAYS, "processes of an executor"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """A way of running flows, with one cluster or executor for all tests of it in turn."""
    distributed = {"execution_mode": "distributed", "max_workers": WORKERS}
    match request.param:
        case "threads of an executor":
            with ThreadPoolExecutor(WORKERS, thread_name_prefix="users") as executor:
                yield Way(request.param, {**distributed, "executor": executor})
        case "processes of an executor":
            with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as executor:
                yield Way(request.param, {**distributed, "executor": executor})
        case "dask":
            dask = LocalDask(WORKERS)
            yield Way("dask", {**distributed, "cluster": dask.address})
            dask.close()
        case "ray":
            way = Way("ray", {**distributed, "cluster": "ray"})
            with way.flow("keeps Ray for the others") as keeper:
                keeper.add_routine(lambda: None, "nothing")
                keeper.execute("nothing")
                yield way
        case _:
            yield LOCAL_WAYS[request.param]


@pytest.fixture(autouse=True)
def nothing_is_left(way: Way) -> Iterator[None]:
    """Every test leaves the threads and processes that were there before it."""
    threads, processes = ours(), children()
    yield
    assert ours() == threads
    if way.name in LOCAL_WAYS:
        assert children() == processes


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A closed gate."""
    return Gate(tmp_path)


@pytest.fixture
def told(tmp_path: Path) -> Effects:
    """Nothing told yet."""
    return Effects(tmp_path / "told")


def chain(way: Way, *handlers, **settings) -> Flow:
    flow = way.flow(**settings)
    flow.chain(*handlers)
    return flow


# --- results


@EVERYWHERE
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_results_and_counts_are_those_of_sequential_mode(way, shape):
    expected = shape(SEQUENTIAL).execute("numbers", {"n": 20})
    flow = shape(way)
    job = flow.execute("numbers", {"n": 20})
    assert job.status == expected.status == "completed"
    assert multiset(job) == multiset(expected)
    assert job.counts == expected.counts
    assert len(job.history) == len(expected.history)
    assert job.stranded == []
    tracked = flow.execution_tracker.get_performance_metrics()
    assert {name: figures["yields"] for name, figures in tracked["routines"].items()} == {
        name: counts.yielded for name, counts in expected.counts.items()
    }
    assert tracked["executions"] == sum(counts.executions for counts in expected.counts.values())
    assert tracked["jobs"]["completed"] == 1


@EVERYWHERE
def test_values_arrive_as_they_were_emitted(way):
    values = [None, 0, "", b"bytes", (1, (2,)), {"a": [1]}, {3, 4}, 1 << 200, float("inf"), True, ..., ValueError("x")]

    def give(n):
        yield from ([value] for value in values)

    job = chain(way, way.handler(give), way.handler(same)).execute("give", {"n": 0})
    assert sorted(map(repr, job.results["same"])) == sorted(repr([value]) for value in values)


@pytest.mark.parametrize(("items", "seconds"), [(10_000, 0), (200, 0.002)], ids=["10,000 fast", "200 slow"])
def test_a_source_never_runs_far_ahead(way, tmp_path, items, seconds):
    at = Number(tmp_path / "at")

    def source(n):
        for number in range(n):
            at.set(number)
            yield number

    def lead(x):
        time.sleep(seconds)
        return at.get() - x

    flow = chain(way, way.handler(source), way.handler(lead), max_pending=8)
    job = flow.execute("source", {"n": items})
    assert job.status == "completed"
    assert len(job.results["lead"]) == items
    assert max(job.results["lead"]) < (way.ahead if not seconds else 100)


# --- failures


STRATEGIES = [
    # strategy, handler, statuses of the item that fails, how many errors are left
    (Continue(), fails, ["failed"], 1),
    (Skip(), fails, ["skipped"], 1),
    (Retry(2, then=Skip()), fails, ["retried", "retried", "skipped"], 1),
    (Retry(2), fails_twice, ["retried", "retried", "completed"], 0),
    (Retry(2, delay=0.01, then=Continue()), fails_twice, ["retried", "retried", "completed"], 0),
    (Retry(1, delay=0.01, then=Continue()), fails_twice, ["retried", "failed"], 1),
    (Retry(2, on=KeyError, then=Skip()), fails, ["skipped"], 1),
]


@EVERYWHERE
def test_each_strategy_decides_the_same(way):
    flow = way.flow(max_history_size=None)
    flow.add_routine(way.handler(numbers))
    for number, (strategy, handler, _, _) in enumerate(STRATEGIES):
        flow.add_routine(way.handler(handler), f"work{number}", error_strategy=strategy)
        flow.add_routine(way.handler(lambda xs: sorted(xs), fires=collect()), f"arrived{number}")
        flow.add_routine(way.handler(lambda failure: failure.message), f"complaints{number}")
        flow.chain("numbers", f"work{number}", f"arrived{number}")
        flow.connect(f"work{number}", "error", f"complaints{number}", "failure")
    job = flow.execute("numbers", {"n": 6})
    assert job.status == "completed"
    assert len(job.errors) == job.error_count == sum(errors for _, _, _, errors in STRATEGIES)
    for number, (_, _, statuses, _) in enumerate(STRATEGIES):
        arrives = [0, 1, 2, 3, 4, 5] if statuses[-1] == "completed" else [0, 1, 2, 4, 5]
        complaints = ["OddError: (3, 'is odd')"] if statuses[-1] == "failed" else []
        assert job.results[f"arrived{number}"] == [arrives]
        assert job.results.of(f"complaints{number}", "output") == complaints
        by_activation: dict[int, list[str]] = {}
        for one in job.history:
            if one["routine_id"] == f"work{number}":
                by_activation.setdefault(one["activation_id"], []).append(str(one["status"]))
        assert statuses in by_activation.values()
        assert job.counts[f"work{number}"].retried == statuses.count("retried")


@EVERYWHERE
def test_stop_keeps_the_error_with_its_type_its_arguments_and_its_frames(way):
    job = chain(way, way.handler(numbers), way.handler(fails), error_strategy=Stop()).execute("numbers", {"n": 6})
    assert job.status == "failed"
    with pytest.raises(OddError) as caught:
        job.raise_for_status()
    assert caught.value.args == (3, "is odd")
    assert caught.value.number == 3
    (failure,) = job.errors
    assert failure.kind == "error"
    assert type(failure.error) is OddError
    assert failure.message == "OddError: (3, 'is odd')"
    assert failure.frames[-1][0].endswith("contract.py")
    assert failure.frames[-1][2] == "fails"
    assert 'raise OddError(x, "is odd")' in failure.traceback


@EVERYWHERE
def test_a_part_that_is_not_there_fails_the_routine_it_was_meant_for(way):
    flow = way.flow(error_strategy=Skip())
    flow.add_routine(way.handler(lambda n: (yield from ({"a": number, number: 1} for number in range(n)))), "rows")
    flow.add_routine(way.handler(same), "target")
    flow.connect("rows", "output", "target", "x", field=2)
    job = flow.execute("rows", {"n": 4})
    assert job.status == "completed"
    assert job.results["target"] == [1]
    assert job.counts["target"].skipped == 3
    assert {failure.kind for failure in job.errors} == {"input"}


# --- time


ENDING = only("coroutines", "multiprocessing", "ray")
"""The ways in which a handler that nobody wants any more is ended for good."""


def stuck_at_three(way, told):
    """A routine `work` that takes far too long over the number 3, and tells what became of that."""

    def work(x):
        if x == 3:
            told(os.getpid())
            time.sleep(PATIENCE)
        return x

    async def work_awaited(x):
        if x == 3:
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                told("cancelled")
        return x

    work_awaited.__name__ = "work"
    return routine(work_awaited if way.awaits else work)


def check_ended(way, told):
    """The handler that took too long, if it began before its time was over, has ended."""
    what = told.all()
    if way.awaits:
        assert set(what) <= {"cancelled"}
    else:
        wait_until(lambda: not any(psutil.pid_exists(int(pid)) for pid in what))


@ENDING
def test_a_handler_past_its_timeout_is_ended_and_its_neighbours_do_not_notice(way, told):
    flow = way.flow(error_strategy=Skip())
    flow.add_routine(way.handler(numbers))
    # On a cluster the time counts from when that has taken the attempt, and a worker that was killed is long in coming.
    flow.add_routine(stuck_at_three(way, told), timeout=5 if way.name in {"dask", "ray"} else 1)
    flow.chain("numbers", "work")
    job = flow.execute("numbers", {"n": 40})
    assert job.status == "completed"
    assert sorted(job.results["work"]) == [x for x in range(40) if x != 3]
    assert [failure.kind for failure in job.errors] == ["timeout"]
    assert isinstance(job.errors[0].error, HandlerTimeoutError)
    assert job.late_outcomes == 0
    check_ended(way, told)


@ENDING
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_job_that_ends_before_its_time_ends_its_handlers(way, told, how):
    flow = chain(way, way.handler(numbers), stuck_at_three(way, told), timeout=1 if how == "timeout" else None)
    job = flow.start("numbers", {"n": 4})
    if how == "cancel":
        wait_until(lambda: way.awaits or told.all())
        wait_until(lambda: len(job.results.get("work", [])) == 3)
        job.cancel()
    assert job.wait(PATIENCE - 1)
    assert job.status == ("failed" if how == "timeout" else "cancelled")
    with pytest.raises(JobTimeoutError if how == "timeout" else JobCancelledError):
        job.raise_for_status()
    check_ended(way, told)


@only("concurrent", "asyncio", "threads of an executor", "processes of an executor")
def test_a_handler_that_cannot_be_ended_runs_on_and_is_counted_late(way, gate):
    flow = way.flow(error_strategy=Continue())
    flow.add_routine(way.handler(numbers))
    flow.add_routine(gate.handler(way), timeout=0.2)
    flow.add_routine(lambda failure: gate.open(), "opens")
    flow.add_routine(way.handler(same), "neighbour")
    flow.connect("numbers", "gated")
    flow.connect("numbers", "neighbour")
    flow.connect("gated", "error", "opens", "failure")
    with flow:
        job = flow.execute("numbers", {"n": 1})
        assert job.status == "completed"
        assert [failure.kind for failure in job.errors] == ["timeout"]
        assert dict(job.results) == {"neighbour": [0]}
        wait_until(lambda: job.late_outcomes == 1)


@only("multiprocessing")
def test_a_timeout_counts_from_when_a_worker_is_there(way, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(1.5)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    flow = way.flow(max_workers=1)
    flow.add_routine(lambda x: -x, "quick", timeout=0.7)
    job = flow.execute("quick", {"x": 1})
    assert job.errors == []
    assert job.result == -1


class SlowToStart(ThreadPoolExecutor):
    """As a cluster that has to be started first."""

    def submit(self, *call, **arguments):
        time.sleep(0.15)
        return super().submit(*call, **arguments)


@only("sequential")
def test_a_timeout_counts_from_when_a_cluster_has_taken_it(way):
    with SlowToStart(1, thread_name_prefix="users") as executor:
        flow = Flow("test", execution_mode="distributed", executor=executor)
        flow.add_routine(lambda x: -x, "quick", timeout=0.4)
        job = flow.execute("quick", {"x": 1})
    assert job.errors == []
    assert job.result == -1


@only("sequential")
def test_a_timeout_does_not_count_while_others_of_its_routine_have_the_workers(way):
    with ThreadPoolExecutor(2, thread_name_prefix="users") as executor:
        flow = Flow("test", execution_mode="distributed", executor=executor)
        flow.add_routine(numbers)
        flow.add_routine(lambda x: time.sleep(0.3) or x, "slow", timeout=0.7, error_strategy=Continue())
        flow.chain("numbers", "slow")
        job = flow.execute("numbers", {"n": 8})
    assert job.errors == []
    assert sorted(job.results["slow"]) == list(range(8))


# --- what others do to an executor


@only("sequential")
def test_what_somebody_else_cancels_in_an_executor_is_not_lost_in_silence(way):
    gate = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="users") as executor:
        flow = Flow("test", execution_mode="distributed", executor=executor)
        flow.add_routine(numbers)
        flow.add_routine(lambda x: x, "late", error_strategy=Continue())
        flow.chain("numbers", "late")
        executor.submit(gate.wait, PATIENCE)
        job = flow.start("numbers", {"n": 4})
        wait_until(lambda: executor._work_queue.qsize() > 0)
        executor.shutdown(wait=False, cancel_futures=True)
        gate.set()
        assert job.wait(PATIENCE)
    assert job.status == "completed"
    assert len(job.results.get("late", ())) + len(job.errors) == 4


@only("sequential")
def test_an_executor_that_returns_something_else_is_no_cluster(way):
    class Deaf(ThreadPoolExecutor):
        def submit(self, function, *arguments):
            return super().submit(int) if function.__name__ == "run_batch" else super().submit(function, *arguments)

    with Deaf(1, thread_name_prefix="users") as executor:
        flow = Flow("test", execution_mode="distributed", executor=executor)
        flow.add_routine(lambda x: x, "one")
        job = flow.start("one", {"x": 1})
        assert job.wait(PATIENCE)
    assert job.status == "failed"
    assert "Deaf gave a int" in str(job.errors[0].error)


@only("sequential")
def test_what_an_executor_has_not_begun_when_its_job_is_cancelled_never_begins(way):
    gate, ran = threading.Event(), []
    with ThreadPoolExecutor(1, thread_name_prefix="users") as executor:
        flow = Flow("test", execution_mode="distributed", executor=executor)
        flow.add_routine(ran.append, "late")
        executor.submit(gate.wait, PATIENCE)
        with flow:
            job = flow.start("late", {"object": 1})
            wait_until(lambda: executor._work_queue.qsize() > 0)
            job.cancel()
            assert job.wait(5)
            gate.set()
    assert job.status == "cancelled"
    assert ran == []


# --- steering


def test_what_a_cancelled_job_has_not_begun_never_begins(way, gate):
    job = chain(way, way.handler(numbers), gate.handler(way)).start("numbers", {"n": 50})
    gate.wait_arrived()
    job.cancel("no longer needed")
    gate.open()
    assert job.wait(PATIENCE)
    assert job.status == "cancelled"
    assert len(gate.arrived) <= 4 * WORKERS
    with pytest.raises(JobCancelledError, match="no longer needed"):
        job.raise_for_status()


def test_a_paused_job_starts_nothing_says_why_and_goes_on_when_it_is_resumed(way, gate):
    job = chain(way, way.handler(numbers), gate.handler(way)).start("numbers", {"n": 50})
    gate.wait_arrived()
    wait_until(lambda: any("no free worker" in one.why for one in job.waiting()))
    job.pause()
    gate.open()
    assert job.wait(0.05) is False
    wait_until(lambda: {one.why for one in job.waiting()} == {"the job is paused"})
    assert job.status == "paused"
    assert len(gate.arrived) <= 4 * WORKERS
    job.resume()
    assert job.wait(PATIENCE)
    assert sorted(job.results["gated"]) == list(range(50))


@BUT_CLUSTERS
def test_a_job_that_is_steered_at_random_loses_nothing(way):
    chance = random.Random(3)
    flow = chain(way, way.handler(numbers), way.handler(lambda x: x, max_concurrency=1), way.handler(same))
    ended = {"completed": 0, "cancelled": 0}
    with flow:
        for _ in range(6 if way.name == "multiprocessing" else 15):
            n = chance.choice([5, 500, 2000])
            job = flow.start("numbers", {"n": n})
            for _ in range(chance.randrange(6)):
                action = chance.choice(
                    ["pause", "resume", "resume", "let it run", "let it run", "let it run", "cancel"]
                )
                if action == "let it run":
                    time.sleep(chance.random() * 0.005)
                else:
                    getattr(job, action)()
            job.resume()
            assert job.wait(PATIENCE), job.waiting()
            ended[job.status] += 1
            if job.status == "completed":
                assert sorted(job.results["same"]) == list(range(n))
    assert ended["completed"] > 0
    assert ended["cancelled"] > 0


# --- streams


@pytest.mark.parametrize("read", [0, 1, 50])
def test_a_stream_that_is_left_early_ends_its_job(way, read):
    with chain(way, way.handler(numbers), way.handler(same)).stream("numbers", {"n": 10**9}) as stream:
        assert len({next(stream) for _ in range(read)}) == read
    assert stream.job.status == "cancelled"


def test_a_stream_that_is_dropped_ends_its_job(way):
    flow = chain(way, way.handler(numbers), way.handler(same))
    stream = flow.stream("numbers", {"n": 10**9})
    next(stream)
    job = stream.job
    del stream
    gc.collect()
    assert job.wait(PATIENCE)
    assert job.status == "cancelled"


def test_a_slow_reader_holds_the_source_back(way, tmp_path):
    at = Number(tmp_path / "at")

    def source(n):
        for number in range(n):
            at.set(number)
            yield number

    flow = chain(way, way.handler(source), way.handler(same), max_pending=8)
    with flow.stream("source", {"n": 10**9}) as stream:
        for number in range(200):
            next(stream)
            assert at.get() < number + way.ahead
    assert stream.job.status == "cancelled"


def test_a_stream_that_is_read_gives_everything_and_then_raises_what_failed_the_job(way):
    assert sorted(chain(way, way.handler(numbers), way.handler(same)).stream("numbers", {"n": 300})) == list(range(300))
    with pytest.raises(OddError):
        list(chain(way, way.handler(numbers), way.handler(fails)).stream("numbers", {"n": 300}))


# --- generators


@EVERYWHERE
def test_a_generator_that_is_tried_again_gives_no_value_twice(way):
    def source(n, ctx: Context):
        for number in range(n):
            if number == 15 and ctx.attempt == 1:
                raise OddError(number, "is enough")
            yield number

    job = chain(way, way.handler(source, retries=1), way.handler(same)).execute("source", {"n": 30})
    assert job.status == "completed"
    assert sorted(job.results["same"]) == list(range(30))
    assert job.counts["source"].retried == 1


def test_what_a_generator_gave_before_it_failed_has_left(way):
    def source(n):
        yield from range(n)
        raise OddError(n, "is enough")

    job = chain(way, way.handler(source), way.handler(same), error_strategy=Skip()).execute("source", {"n": 30})
    assert job.status == "completed"
    assert sorted(job.results["same"]) == list(range(30))
    assert job.counts["source"].skipped == 1


def test_generators_of_a_job_that_ends_are_closed(way, told):
    def source(n):
        try:
            yield from range(n)
        finally:
            told("closed")

    with chain(way, way.handler(source), way.handler(same), max_pending=8).stream("source", {"n": 10**9}) as stream:
        next(stream)
        if way not in (SEQUENTIAL, AUTO):  # there it is the reader who runs it
            wait_until(lambda: any("held back by the reader" in one.why for one in stream.job.waiting()))
            machine = stream.job._course.machine  # a process that runs anything is killed, and all it has open with it

            def nothing_can_start():
                stream._mode.make_room()  # a reader says only now and then that it has taken something
                return len(machine.delivery.left) >= machine.window and not machine.running

            wait_until(nothing_can_start)
    if not way.awaits:  # there the generator around it is closed, and this one whenever it is collected
        wait_until(lambda: told.all() == ["closed"])
    assert stream.job.status == "cancelled"


# --- several jobs, and async handlers


@EVERYWHERE
def test_jobs_at_once_share_workers_and_nothing_else(way):
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(Ledger(way), "ledger")
    flow.connect("numbers", "ledger")
    with flow:
        jobs = {n: flow.start("numbers", {"n": n}) for n in range(20, 30)}
    for n, job in jobs.items():
        assert job.status == "completed"
        assert len(job.results.of("ledger", "even")) + len(job.results.of("ledger", "odd")) == n
        assert len(job.results.of("ledger", "last")) == 1
        assert {one["job_id"] for one in job.history} == {job.job_id}


def test_many_jobs_of_a_map_give_what_they_give_alone(way):
    flow = chain(way, way.handler(numbers), way.handler(lambda xs: sum(xs), fires=collect()))
    found = {job.result for job in flow.map("numbers", [{"n": n} for n in range(40)], max_jobs=5)}
    assert found == {sum(range(n)) for n in range(40)}


@EVERYWHERE
def test_async_handlers_run_in_every_mode(way):
    async def source(n):
        for number in range(n):
            await asyncio.sleep(0)
            yield number

    async def twice(x):
        await asyncio.sleep(0.001)
        return 2 * x

    job = chain(way, source, twice, lambda x: -x).execute("source", {"n": 30})
    assert job.status == "completed"
    assert sorted(job.results["<lambda>"]) == [-2 * x for x in reversed(range(30))]


# --- Ctrl-C

PROGRAM = """
import asyncio, os, signal, threading, time
from routilux import Flow

def waits():
    time.sleep(30)

async def awaits():
    try:
        await asyncio.sleep(30)
    finally:
        print("cancelled", flush=True)

flow = Flow("interrupted", execution_mode={mode!r}, max_workers=2)
flow.add_routine({handler}, "work")
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    flow.execute("work")
except KeyboardInterrupt:
    print("interrupted", len(flow._launch.under_way))
"""


@pytest.mark.parametrize(
    ("mode", "handler", "said"),
    [
        ("asyncio", "awaits", "cancelled\ninterrupted 0\n"),
        ("concurrent", "awaits", "cancelled\ninterrupted 0\n"),
        ("sequential", "awaits", "cancelled\ninterrupted 0\n"),
        ("multiprocessing", "waits", "interrupted 0\n"),
        ("multiprocessing", "awaits", "cancelled\ninterrupted 0\n"),
    ],
)
@only("sequential")
def test_ctrl_c_ends_the_handlers_and_is_raised(way, mode, handler, said):
    code = PROGRAM.format(mode=mode, handler=handler)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (said, "", 0)
