"""Users' code in odd places, and users in odd places: nothing of it hangs a job or harms another."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from routilux import Context, Continue, ErrorStrategy, Flow, Retry, Skip, keyed, routine
from routilux.errors import JobCancelledError
from routilux.results import Results
from tests.leftovers import ours

BOTH = pytest.mark.parametrize("mode", ["sequential", "concurrent"])
PATIENCE = 30


@routine
def numbers(n):
    yield from range(n)


def matching(key, mode, **settings):
    """A flow that joins a routine's two events by key."""

    @routine(events=["left", "right"])
    def split(n, ctx: Context):
        for number in range(n):
            ctx.emit("left", number)
            ctx.emit("right", number)

    flow = Flow("matching", execution_mode=mode, max_workers=3, **settings)
    flow.add_routine(split)
    flow.add_routine(routine(fires=keyed(key))(lambda a, b: (a, b)), "match")
    flow.connect("split", "left", "match", "a")
    flow.connect("split", "right", "match", "b")
    return flow


def ended(job):
    assert job.wait(PATIENCE), job.waiting()
    return job


class Contrary:
    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise ValueError("compared")


@BOTH
def test_keys_that_raise_when_they_are_compared_are_failures_of_the_join(mode):
    job = ended(matching(Contrary, mode, error_strategy=Continue()).start("split", {"n": 3}))
    assert job.status == "completed"
    assert job.counts["match"].failed == 5
    assert "compared" in job.errors[0].message


@BOTH
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, BaseException])
def test_a_key_function_cannot_end_the_thread_that_asks_it(mode, kind):
    def leave(value):
        raise kind(3)

    job = ended(matching(leave, mode, error_strategy=Skip()).start("split", {"n": 2}))
    assert job.status == "completed"
    assert job.counts["match"].skipped == 4
    assert f"it raised {kind.__name__}" in job.errors[0].message


def test_ctrl_c_in_a_key_function_is_ctrl_c():
    def interrupted(value):
        raise KeyboardInterrupt

    flow = matching(interrupted, "sequential")
    with pytest.raises(KeyboardInterrupt):
        flow.execute("split", {"n": 2})
    flow.add_routine(lambda x: x, "not busy any more")


class Unbound:
    """A proxy that cannot say what it stands for."""

    @property
    def __class__(self):
        raise RuntimeError("unbound")


class Unhashable(type):
    __hash__ = None

    def __eq__(cls, other):
        return cls is other


class Odd(metaclass=Unhashable):
    """A value whose type cannot be put into a set."""


@BOTH
@pytest.mark.parametrize("kind", [Unbound, Odd])
@pytest.mark.parametrize("options", [{}, {"max_concurrency": 1}, {"retries": 2}])
def test_what_a_value_says_of_itself_is_never_asked(mode, kind, options):
    flow = Flow("odd", execution_mode=mode, max_workers=2)
    flow.add_routine(kind, "make", **options)
    flow.add_routine(lambda x: type(x), "take")
    flow.connect("make", "take")
    job = ended(flow.start("make"))
    assert job.results["take"][0] is kind


@BOTH
@pytest.mark.parametrize("answer", [None, "stop", 7])
def test_a_strategy_that_gives_no_answer_stops_the_job(mode, answer):
    class Vague(ErrorStrategy):
        def decide(self, error, attempt, seed):
            return answer

    flow = Flow("vague", execution_mode=mode, error_strategy=Vague())
    flow.add_routine(lambda: 1 / 0, "work")
    job = ended(flow.start("work"))
    assert job.status == "failed"
    assert "which is no answer" in job.errors[0].error.__notes__[0]


@BOTH
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_a_generator_that_raises_when_it_is_closed_does_not_keep_its_job_from_ending(mode, kind):
    @routine
    def source():
        try:
            while True:
                yield 1
        finally:
            raise kind("closed")

    flow = Flow("closing", execution_mode=mode, max_workers=2)
    flow.chain(source, lambda x: 1 // 0)
    job = ended(flow.start("source"))
    assert job.status == "failed"
    assert [one.routine_id for one in job.errors][-1] == "source"
    with pytest.raises(ZeroDivisionError):
        job.raise_for_status()


@BOTH
def test_a_predicate_that_wants_to_end_the_program_is_noted_and_there_is_no_retry(mode):
    flow = Flow("predicate", execution_mode=mode)
    flow.add_routine(lambda: 1 / 0, "work", error_strategy=Retry(3, on=lambda error: sys.exit(3), then=Skip()))
    job = ended(flow.start("work"))
    assert (job.status, job.counts["work"].skipped, job.counts["work"].retried) == ("completed", 1, 0)


def test_a_cancelled_job_does_not_wait_for_a_handler_that_is_stuck_beyond_its_timeout():
    begun, release = threading.Event(), threading.Event()

    def stuck():
        begun.set()
        release.wait(PATIENCE)

    flow = Flow("stuck", execution_mode="concurrent", max_workers=2)
    flow.add_routine(stuck, timeout=0.3)
    job = flow.start("stuck")
    assert begun.wait(PATIENCE)
    job.cancel()
    assert job.wait(PATIENCE)
    assert not release.is_set()
    assert job.status == "cancelled"
    assert job.counts["stuck"].failed == 1
    with pytest.raises(JobCancelledError):
        job.raise_for_status()
    release.set()


def test_results_are_whole_whoever_reads_them_at_once():
    left = [("work", "output", number) for number in range(2000)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            results, together, seen = Results(left, ["work"]), threading.Barrier(3), []

            def look(results=results, together=together, seen=seen):
                together.wait(PATIENCE)
                seen.append(len(results["work"]))

            readers = [threading.Thread(target=look) for _ in range(3)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join(PATIENCE)
            assert [*seen, len(results["work"])] == [2000] * 4
    finally:
        sys.setswitchinterval(usual)


@BOTH
@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "streamed", "never read"])
def test_a_job_is_forgotten_however_it_ended(mode, how):
    flow = Flow("forgotten", execution_mode=mode, max_workers=2)
    flow.chain(numbers, lambda x: 1 // (how != "failed" or x < 3))
    if how in ("streamed", "never read"):
        stream = flow.stream("numbers", {"n": 10})
        job = stream.job
        list(stream) if how == "streamed" else stream.close()
        del stream
    else:
        job = flow.start("numbers", {"n": 10**9 if how == "cancelled" else 10})
        if how == "cancelled":
            job.cancel()
        ended(job)
    kept = weakref.ref(job)
    job.wait()
    del job
    gc.collect()
    assert kept() is None
    assert ours() == []


@pytest.mark.parametrize("limited", [False, True])
def test_an_activation_takes_no_more_calls_in_a_flow_of_many_routines(limited):
    """Counts the calls of Python functions instead of taking the time."""

    def calls_of(width):
        flow = Flow("wide")
        flow.add_routine(lambda x: x - 1 if x else None, "turn")
        flow.connect("turn", "turn")
        if limited:
            flow.add_routine(lambda x: None, "limited", max_concurrency=1)
            flow.connect("turn", "limited")
        for number in range(width):
            flow.add_routine(lambda x: None, f"other{number}")
            flow.connect("turn", "error", f"other{number}", "x")
        flow.check("turn", {"x": 1})
        counted = []
        for turns in (100, 300):
            count = 0

            def on_call(frame, event, argument):
                nonlocal count
                count += event == "call"

            sys.setprofile(on_call)
            try:
                flow.execute("turn", {"x": turns})
            finally:
                sys.setprofile(None)
            counted.append(count)
        return counted[1] - counted[0]

    assert calls_of(200) <= calls_of(1) + 10


@BOTH
def test_ctrl_c_while_a_handler_waits_for_something_leaves_no_job_behind(mode):
    code = (
        "import os, signal, threading\n"
        "from routilux import Flow\n"
        f"flow = Flow('int', execution_mode='{mode}', max_workers=2)\n"
        "def waits():\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    threading.Event().wait(1)\n"
        "flow.add_routine(waits)\n"
        "try:\n    flow.execute('waits')\n"
        "except KeyboardInterrupt:\n    print('interrupted', len(flow._launch.under_way))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted 0\n", "", 0)


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing"])
def test_a_program_that_fails_while_it_reads_a_stream_ends(mode):
    code = (
        "from routilux import Flow, routine\n"
        "@routine\n"
        "def numbers(n):\n    yield from range(n)\n"
        "def read():\n"
        f"    flow = Flow('read', execution_mode='{mode}', max_workers=2)\n"
        "    flow.chain(numbers, lambda x: x)\n"
        "    stream = flow.stream('numbers', {'n': 10**9})\n"
        "    next(stream)\n"
        "    raise LookupError('a mistake')\n"
        "read()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "LookupError: a mistake" in done.stderr
    assert done.returncode == 1


def test_a_timeout_that_is_over_before_its_handler_began_loses_no_worker():
    release = threading.Event()

    def stuck(ctx: Context):
        if ctx.attempt == 1:
            release.wait(PATIENCE)

    flow = Flow("at once", execution_mode="concurrent", max_workers=1, error_strategy=Skip())
    flow.add_routine(stuck, timeout=1e-6, retries=1)
    jobs = [flow.start("stuck") for _ in range(30)]
    for job in jobs:
        ended(job)
        assert job.counts["stuck"].retried == 1
    release.set()


@pytest.mark.parametrize("mode", ["multiprocessing", "distributed"])
def test_a_module_that_executes_a_flow_when_it_is_imported_is_refused_by_its_workers(mode, tmp_path):
    (tmp_path / "hasty.py").write_text(
        "from routilux import Flow\n"
        "def one(x): return x\n"
        f"flow = Flow('hasty', execution_mode={mode!r}, max_workers=1)\n"
        "flow.add_routine(one)\n"
        "job = flow.execute('one', {'x': 1})\n"
    )
    program = "import hasty; print(hasty.job.status, hasty.job.errors)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=tmp_path, timeout=50, capture_output=True, text=True
    )
    assert done.stdout.startswith("failed"), done.stderr
    assert "executes a flow at its top level" in done.stdout
    assert "__name__ == '__main__'" in done.stdout
