"""A job as its user sees and steers it, in both modes."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from routilux import Context, Continue, Flow, JobStatus, Retry, Routine, collect, routine
from routilux.errors import JobCancelledError
from tests.leftovers import ours, wait_for_ours

BOTH = pytest.mark.parametrize("mode", ["sequential", "concurrent"])
PATIENCE = 30
"""Seconds after which a test that waits has failed."""


@routine
def numbers(n):
    yield from range(n)


@routine
def same(x):
    return x


@routine(fires=collect())
def total(xs):
    return sum(xs)


class Gated:
    """A handler that says when it has begun, and ends when it is let go."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        self.begun.release()
        assert self.released.wait(PATIENCE)
        return x

    def wait_begun(self, times=1):
        for _ in range(times):
            assert self.begun.acquire(timeout=PATIENCE)


def chain(*steps, mode="sequential", **settings) -> Flow:
    flow = Flow("test", execution_mode=mode, **settings)
    flow.chain(*steps)
    return flow


@BOTH
def test_a_job_tells_what_became_of_it(mode):
    job = chain(numbers, same, total, mode=mode).execute("numbers", {"n": 4})
    assert job.status == "completed"
    assert job.status is JobStatus.COMPLETED
    assert job.status.terminal
    assert job.result == 6
    assert dict(job.results) == {"total": [6]}
    assert job.errors == []
    assert job.duration > 0
    assert job.wait() is True
    assert job.waiting() == []
    assert job.counts["same"].completed == 4
    assert job.flow_id == "test"
    assert len(job.job_id) == 32
    assert "completed" in repr(job)
    assert job.raise_for_status() is job


@BOTH
def test_start_returns_at_once_and_wait_says_whether_it_is_over(mode):
    gate = Gated()
    flow = chain(numbers, gate, mode=mode)
    job = flow.start("numbers", {"n": 1})
    gate.wait_begun()
    assert job.wait(0.01) is False
    assert job.status == "running"
    assert job.duration > 0
    gate.released.set()
    assert job.wait(PATIENCE)
    assert job.results["Gated"] == [0]
    assert ours() == []


@BOTH
def test_pause_from_outside_lets_what_runs_end_and_starts_nothing(mode):
    gate = Gated()
    job = chain(numbers, gate, mode=mode, max_workers=1).start("numbers", {"n": 5})
    gate.wait_begun()
    job.pause()
    gate.released.set()
    assert job.wait(0.05) is False
    assert gate.calls == 1
    assert job.status == "paused"
    assert {one.why for one in job.waiting()} == {"the job is paused"}
    job.resume()
    assert job.wait(PATIENCE)
    assert job.results["Gated"] == [0, 1, 2, 3, 4]


@BOTH
def test_cancel_from_outside_ends_the_job_when_its_handlers_have_returned(mode):
    gate = Gated()
    job = chain(numbers, gate, mode=mode, max_workers=2).start("numbers", {"n": 50})
    gate.wait_begun()
    job.cancel("no longer needed")
    gate.released.set()
    assert job.wait(PATIENCE)
    assert job.status == "cancelled"
    assert gate.calls <= 2
    with pytest.raises(JobCancelledError, match="Flow 'test', job .* was cancelled: no longer needed"):
        job.raise_for_status()


@BOTH
@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_handler_may_pause_and_cancel_its_own_job(mode, action):
    jobs, started = [], threading.Event()

    def work(x):
        assert started.wait(PATIENCE)
        if x == 2:
            getattr(jobs[0], action)()
            done.set()
        return x

    done = threading.Event()
    flow = chain(numbers, work, mode=mode, max_workers=1)
    jobs.append(flow.start("numbers", {"n": 100}))
    started.set()
    assert done.wait(PATIENCE)
    if action == "pause":
        assert jobs[0].wait(0.05) is False
        jobs[0].resume()
        assert jobs[0].wait(PATIENCE)
        assert len(jobs[0].results["work"]) == 100
    else:
        assert jobs[0].wait(PATIENCE)
        assert jobs[0].status == "cancelled"


def test_a_handler_can_see_that_its_job_was_cancelled():
    seen, begun = [], threading.Event()

    @routine
    def work(ctx: Context):
        begun.set()
        while not ctx.cancelled:
            assert not cancelled.is_set() or cancelled.wait(PATIENCE)
        seen.append(True)

    cancelled = threading.Event()
    flow = Flow("watch", execution_mode="concurrent")
    flow.add_routine(work)
    job = flow.start("work")
    assert begun.wait(PATIENCE)
    job.cancel()
    cancelled.set()
    assert job.wait(PATIENCE)
    assert seen == [True]


# --- waiting


def test_waiting_names_every_reason():
    gate, alone = Gated(), Gated()

    @routine(events=["output", "left", "limited", "late"])
    def feed(ctx: Context):
        ctx.emit("limited", 1)
        ctx.emit("limited", 2)
        for number in range(4):
            ctx.emit("output", number)
        ctx.emit("left", 1)
        ctx.emit("late", 1)

    flow = Flow("why", execution_mode="concurrent", max_workers=3)
    flow.add_routine(feed)
    flow.add_routine(gate, "busy")
    flow.add_routine(lambda left, right: left, "join")
    flow.add_routine(lambda x: None, "never")
    flow.add_routine(alone, "single", max_concurrency=1)
    flow.add_routine(routine(fires=collect())(lambda xs: xs), "all")
    flow.connect("feed", "output", "busy", "x")
    flow.connect("feed", "left", "join", "left")
    flow.connect("feed", "late", "never", "x")
    flow.connect("never", "output", "join", "right")
    flow.connect("feed", "limited", "single", "x")
    flow.connect("feed", "left", "all", "xs")
    job = flow.start("feed")
    gate.wait_begun(2)
    alone.wait_begun()
    said = {str(one) for one in job.waiting()}
    assert "busy: no free worker: all 3 are busy (2 of them)" in said
    assert "join: waits for slot 'right', fed by 'never'" in said
    assert "single: limit: max_concurrency=1 is reached, held by activation 2" in said
    assert "all: collect: waits until nothing else can run" in said
    gate.released.set()
    alone.released.set()
    assert job.wait(PATIENCE)


def test_waiting_tells_of_retries_and_batches():
    from routilux import batch

    tried = threading.Event()

    def fail(x):
        tried.set()
        raise OSError

    flow = Flow("why", execution_mode="concurrent", error_strategy=Retry(1, delay=3600))
    flow.chain(numbers, routine(fires=batch(5))(lambda xs: xs))
    flow.connect(numbers, fail)
    job = flow.start("numbers", {"n": 1})
    assert tried.wait(PATIENCE)
    while not any("attempt 2 is due in" in str(one) for one in job.waiting()):
        assert not job.status.terminal
    assert any(str(one) == "<lambda>: batch: has 1 of 5" for one in job.waiting())
    job.cancel()
    assert job.wait(PATIENCE)
    assert ours() == []


# --- streams


@BOTH
def test_a_stream_gives_results_as_they_leave(mode):
    flow = chain(numbers, same, mode=mode)
    stream = flow.stream("numbers", {"n": 100})
    assert iter(stream) is stream
    assert sorted(stream) == list(range(100))
    assert stream.job.status == "completed"
    assert list(stream) == []
    assert ours() == []


@BOTH
def test_pairs_tell_which_routine_a_result_came_from(mode):
    flow = Flow("pairs", execution_mode=mode)
    flow.add_routine(numbers)
    flow.add_routine(same, "a")
    flow.add_routine(lambda x: -x, "b")
    flow.connect("numbers", "a")
    flow.connect("numbers", "b")
    assert sorted(flow.stream("numbers", {"n": 2}).pairs()) == [("a", 0), ("a", 1), ("b", -1), ("b", 0)]


@BOTH
def test_a_slow_reader_holds_the_source_back(mode):
    asked = []

    @routine
    def source():
        for number in range(1_000_000):
            asked.append(number)
            yield number

    flow = chain(source, same, mode=mode, max_workers=2)
    with flow.stream("source") as stream:
        for number in range(20):
            assert next(stream) >= 0
            assert len(asked) <= number + 1 + 3 * 4 + 2
    assert stream.job.status == "cancelled"
    assert ours() == []


def test_a_reader_who_does_not_read_is_named():
    @routine
    def burst(ctx: Context):
        for number in range(20):
            ctx.emit("output", number)

    flow = chain(burst, same, mode="concurrent", max_workers=1)
    with flow.stream("burst") as stream:
        next(stream)
        while not any("held back by the reader of the stream" in one.why for one in stream.job.waiting()):
            assert not stream.job.status.terminal

    flow = chain(numbers, same)
    with flow.stream("numbers", {"n": 10}) as stream:
        next(stream)
        stream._mode.advance_stream()
        assert [str(one) for one in stream.job.waiting()] == [
            "numbers: held back by the reader of the stream, who has 1 to read"
        ]


@BOTH
def test_a_stream_raises_at_its_end_what_failed_the_job(mode):
    stream = chain(numbers, lambda x: 1 // (x - 3), mode=mode, max_workers=1).stream("numbers", {"n": 10})
    found = []
    with pytest.raises(ZeroDivisionError):
        for value in stream:
            found.append(value)
    assert len(found) <= 3
    assert stream.job.status == "failed"
    assert ours() == []


@BOTH
def test_a_stream_that_is_dropped_cancels_its_job_and_leaves_nothing(mode):
    flow = chain(numbers, same, mode=mode)
    for value in flow.stream("numbers", {"n": 10**9}):
        if value >= 5:
            break
    unread = flow.stream("numbers", {"n": 3})
    unread.close()
    assert list(unread) == []
    del unread
    gc.collect()
    wait_for_ours(PATIENCE)
    assert flow._launch.under_way == {} or all(not job.status.terminal for job in flow._launch.under_way.values())
    flow.execute("numbers", {"n": 1})


@BOTH
def test_a_stream_whose_job_is_over_before_all_is_read_leaves_nothing(mode):
    with chain(numbers, same, mode=mode).stream("numbers", {"n": 3}) as stream:
        assert next(stream) in range(3)
        if mode == "concurrent":
            assert stream.job.wait(PATIENCE)
    assert stream.job.status.terminal
    assert ours() == []


@BOTH
def test_closing_a_generator_that_raises_is_an_error_of_the_job(mode):
    @routine
    def stubborn():
        try:
            yield from range(10**9)
        finally:
            raise RuntimeError("not like this")

    flow = chain(stubborn, same, mode=mode)
    with flow.stream("stubborn") as stream:
        next(stream)
    assert stream.job.status == "cancelled"
    assert [failure.message for failure in stream.job.errors] == ["RuntimeError: not like this"]


# --- threads


def test_a_block_keeps_its_threads_for_all_its_jobs():
    used = set()

    def work(x):
        used.add(threading.current_thread().name)
        return x

    flow = chain(numbers, work, mode="concurrent", max_workers=2)
    with flow:
        for _ in range(20):
            flow.execute("numbers", {"n": 10})
        assert 1 <= len(ours()) <= 3
        jobs = [flow.start("numbers", {"n": 50}) for _ in range(5)]
    assert [len(job.results["work"]) for job in jobs] == [50] * 5
    assert len(used) <= 2
    assert ours() == []


@BOTH
def test_a_block_that_is_left_by_an_exception_cancels_its_jobs(mode):
    gate = Gated()
    flow = chain(numbers, gate, mode=mode, max_workers=1)

    def leave_early():
        with flow:
            jobs.append(flow.start("numbers", {"n": 100}))
            gate.wait_begun()
            jobs[0].pause()
            gate.released.set()
            raise LookupError("out")

    jobs = []
    with pytest.raises(LookupError, match="out"):
        leave_early()
    assert jobs[0].status == "cancelled"
    assert ours() == []


def test_settings_of_one_execution_do_not_touch_another():
    flow = chain(numbers, same, total, mode="sequential")
    names = set()
    flow.add_routine(lambda x: names.add(threading.current_thread().name) or x, "who")
    flow.connect("numbers", "who")
    flow.execute("numbers", {"n": 5})
    assert names == {"MainThread"}
    names.clear()
    flow.execute("numbers", {"n": 200}, execution_mode="concurrent", max_workers=1)
    assert names == {"routilux-test-0"}
    assert flow.execute("numbers", {"n": 5}, max_history_size=2).history[0]["routine_id"]
    assert len(flow.execute("numbers", {"n": 5}, max_history_size=2).history) == 2
    with flow:
        assert flow.execute("numbers", {"n": 5}, execution_mode="concurrent").results["total"] == [10]


@BOTH
def test_several_jobs_at_once_share_nothing(mode):
    class Sum(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("left", handler=self.join)
            self.define_slot("right", handler=self.join)
            self.define_event("output")

        def join(self, left, right):
            self.state["sum"] = self.state.get("sum", 0) + left * right
            return self.state["sum"]

    flow = Flow("shared", execution_mode=mode, max_workers=3, error_strategy=Retry(2, then=Continue()))
    flow.add_routine(numbers)
    flow.add_routine(Sum())
    flow.connect("numbers", "output", "Sum", "left")
    flow.connect("numbers", "output", "Sum", "right")
    with flow:
        jobs = {n: flow.start("numbers", {"n": n}) for n in range(2, 30)}
    for n, job in jobs.items():
        assert max(job.results["Sum"]) == sum(x * x for x in range(n))
        assert {one["job_id"] for one in job.history} == {job.job_id}


def test_a_short_job_does_not_wait_for_a_long_one():
    gate = Gated()
    flow = Flow("two", execution_mode="concurrent", max_workers=2)
    flow.add_routine(lambda slow: gate(0) if slow else "quick", "work")
    with flow:
        long = flow.start("work", {"slow": True})
        gate.wait_begun()
        assert flow.execute("work", {"slow": False}).result == "quick"
        assert long.status == "running"
        gate.released.set()


def test_fan_out_uses_all_workers_at_once():
    meeting = threading.Barrier(4, timeout=PATIENCE)
    flow = chain(numbers, lambda x: meeting.wait() is not None, mode="concurrent", max_workers=4)
    assert flow.execute("numbers", {"n": 8}).results["<lambda>"] == [True] * 8


def test_sequential_mode_runs_one_handler_at_a_time_in_the_callers_thread():
    threads, inside = set(), []

    def work(x):
        threads.add(threading.get_ident())
        inside.append(1)
        assert len(inside) == 1
        inside.pop()

    chain(numbers, work).execute("numbers", {"n": 50})
    assert threads == {threading.get_ident()}


def test_sequential_mode_is_the_same_every_time():
    flow = chain(numbers, same, total)
    flow.connect("numbers", "output", "total", "xs")

    def trace():
        return [
            (one["routine_id"], one["activation_id"], one["cause"]) for one in flow.execute("numbers", {"n": 9}).history
        ]

    assert trace() == trace()


@BOTH
def test_a_finished_job_is_kept_by_nobody(mode):
    flow = chain(numbers, same, mode=mode)
    with flow:
        job = flow.execute("numbers", {"n": 10})
        retried = flow.start("numbers", {"n": 3}, error_strategy=Retry(2, delay=0.001))
        retried.wait()
        refs = [weakref.ref(job), weakref.ref(job._course), weakref.ref(retried._course)]
        del job, retried
        flow.execute("numbers", {"n": 1})
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3
    assert flow.execute("numbers", {"n": 1}).status == "completed"


def test_the_callers_context_variables_are_seen_in_sequence():
    user = contextvars.ContextVar("user", default="nobody")
    user.set("anna")
    flow = Flow("vars")
    flow.add_routine(lambda: user.get(), "who")
    assert flow.execute("who").result == "anna"


# --- the end of the program


def run_program(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **options
    )


@BOTH
def test_the_end_of_the_program_does_not_drop_a_started_job(mode):
    done = run_program(
        "import time\n"
        "from routilux import Flow, routine\n"
        "@routine\ndef numbers(n):\n    yield from range(n)\n"
        "def slow(x):\n    time.sleep(0.01)\n    return x\n"
        "def last(xs):\n    print('done', len(xs), flush=True)\n"
        "from routilux import collect\n"
        f"flow = Flow('end', execution_mode='{mode}', max_workers=2)\n"
        "flow.chain(numbers, slow, routine(fires=collect())(last))\n"
        "flow.start('numbers', {'n': 20})\n"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done 20\n", "", 0)


def test_a_handler_stuck_beyond_its_timeout_does_not_keep_the_program():
    done = run_program(
        "import threading\n"
        "from routilux import Flow, Skip\n"
        "flow = Flow('stuck', execution_mode='concurrent', error_strategy=Skip())\n"
        "flow.add_routine(lambda: threading.Event().wait(), 'stuck', timeout=0.05)\n"
        "print(flow.execute('stuck').status)\n"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("completed\n", "", 0)


@BOTH
def test_ctrl_c_in_execute_cancels_the_job_and_is_raised_again(mode):
    done = run_program(
        "import os, signal, threading, time\n"
        "from routilux import Flow, routine\n"
        "@routine\ndef numbers(n):\n    yield from range(n)\n"
        "def slow(x):\n"
        "    if x == 3:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.02)\n"
        f"flow = Flow('end', execution_mode='{mode}', max_workers=2)\n"
        "flow.chain(numbers, slow)\n"
        "try:\n    flow.execute('numbers', {'n': 100000})\n"
        "except KeyboardInterrupt:\n    print('interrupted', flow._launch.under_way, threading.active_count())\n"
        "print(flow.execute('numbers', {'n': 2}).status)\n"
    )
    assert done.stdout == "interrupted {} 1\ncompleted\n", done.stderr
    assert done.returncode == 0


class NoMoreThreads:
    """While it is entered, no thread can be started: its stack would be larger than the address space."""

    def __enter__(self):
        self.before = threading.stack_size(1 << 46)

    def __exit__(self, *exception):
        threading.stack_size(self.before)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on stacks that is only checked at the start")
class TestThreadsThatCannotBeStarted:
    def test_a_job_goes_on_with_the_workers_there_are(self):
        refused = NoMoreThreads()

        @routine
        def spread(n):
            refused.__enter__()
            yield from range(n)

        flow = Flow("scarce", execution_mode="concurrent", max_workers=4)
        flow.chain(spread, same, total)
        try:
            job = flow.execute("spread", {"n": 20})
        finally:
            refused.__exit__()
        assert job.result == sum(range(20))

    def test_a_job_without_any_worker_fails_and_says_so(self):
        flow = Flow("barren", execution_mode="concurrent", max_workers=4)
        flow.chain(numbers, same, total)
        with NoMoreThreads():
            job = flow.execute("numbers", {"n": 20})
        assert job.status == "failed"
        with pytest.raises(RuntimeError, match="can't start new thread"):
            job.raise_for_status()
        assert flow.execute("numbers", {"n": 20}).result == sum(range(20))
