"""What a flow with a store promises, in every mode."""

import asyncio
import signal
import threading

import pytest

from routilux import Context, Continue, Flow, Retry, Skip, collect, routine
from routilux.errors import (
    FlowChangedError,
    KeyTakenError,
    PayloadError,
    RecoveryError,
    SettingError,
    StoreInUseError,
)
from routilux.stores.sqlite.store import open_store
from routilux.testing import ManualClock
from tests.durable.copies import as_after_a_crash

IN_THIS_PROCESS = pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])


@routine
def numbers(count: int):
    yield from range(count)


@routine
def square(x: int) -> int:
    return x * x


@routine(fires=collect())
def total(xs: list[int]) -> int:
    return sum(xs)


def squares(path, **settings):
    flow = Flow("squares", store=path, **settings)
    for one in (numbers, square, total):
        flow.add_routine(one)
    flow.chain("numbers", "square", "total")
    return flow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@IN_THIS_PROCESS
def test_a_stored_job_gives_what_any_job_gives(mode, path):
    with squares(path, execution_mode=mode) as flow:
        job = flow.execute("numbers", {"count": 50})
        assert job.result == sum(x * x for x in range(50))
        assert job.counts["square"].executions == 50
    with open_store(path, read_only=True) as store:
        (stored,) = store.jobs()
        assert (stored.job_id, stored.status, stored.flow_id) == (job.job_id, "completed", "squares")


@IN_THIS_PROCESS
def test_a_key_submits_once(mode, path):
    with squares(path, execution_mode=mode) as flow:
        first = flow.execute("numbers", {"count": 5}, key="five")
        assert flow.execute("numbers", {"count": 5}, key="five").job_id == first.job_id
        with pytest.raises(KeyTakenError, match="'five'"):
            flow.execute("numbers", {"count": 6}, key="five")
    with squares(path, execution_mode=mode, max_workers=2) as flow:
        again = flow.execute("numbers", {"count": 5}, key="five")
        assert (again.job_id, again.result, str(again.status)) == (first.job_id, 30, "completed")
        assert flow.recover() == []


def test_a_key_needs_a_store():
    flow = Flow("plain")
    flow.add_routine(numbers)
    with pytest.raises(SettingError, match="key='once' needs a store"):
        flow.execute("numbers", {"count": 1}, key="once")
    with pytest.raises(SettingError, match="no store to recover"):
        flow.recover()


@IN_THIS_PROCESS
def test_a_job_whose_key_is_submitted_while_it_runs_is_waited_for(mode, path):
    goes_on = threading.Event()

    @routine
    def slow(x: int) -> int:
        goes_on.wait(20)
        return x

    with Flow("slow", store=path, execution_mode=mode) as flow:
        flow.add_routine(slow)
        running = flow.start("slow", {"x": 1}, key="one")
        found = flow.start("slow", {"x": 1}, key="one")
        assert found.job_id == running.job_id
        goes_on.set()
        assert flow.execute("slow", {"x": 1}, key="one").result == 1


def test_a_block_that_an_error_leaves_lets_its_jobs_go_and_they_are_recovered(path):
    started, ends = threading.Event(), threading.Event()
    calls = []

    @routine
    def first(x: int) -> int:
        calls.append("first")
        return x + 1

    @routine
    def second(x: int) -> int:
        calls.append("second")
        if len(calls) == 2:
            started.set()
            ends.wait(20)
        return x * 10

    @routine
    def third(x: int) -> int:
        calls.append("third")
        return x

    def build():
        flow = Flow("steps", store=path, execution_mode="concurrent", max_workers=2)
        for one in (first, second, third):
            flow.add_routine(one)
        flow.chain("first", "second", "third")
        return flow

    with pytest.raises(LookupError), build() as flow:
        job = flow.start("first", {"x": 1})
        started.wait(20)
        threading.Timer(0.05, ends.set).start()
        raise LookupError
    assert str(job.status) == "pending"
    with pytest.raises(LookupError):
        job.raise_for_status()
    assert calls == ["first", "second"]
    with build() as flow:
        (found,) = flow.recover()
        assert found.job_id == job.job_id
        found.wait()
        assert found.result == 20
    assert calls == ["first", "second", "third"], "what had been done was done again"


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_an_interrupted_job_spends_no_attempt_and_goes_on_later(mode, path):
    interrupts = [True]

    @routine
    def work(x: int, ctx: Context) -> int:
        if interrupts and ctx.attempt == 1 and mode == "sequential":
            interrupts.clear()
            raise KeyboardInterrupt
        return x * ctx.attempt

    def build():
        flow = Flow("work", store=path, execution_mode=mode)
        flow.add_routine(work)
        return flow

    with build() as flow:
        if mode == "sequential":
            with pytest.raises(KeyboardInterrupt):
                flow.execute("work", {"x": 7}, key="seven")
    with build() as flow:
        assert flow.execute("work", {"x": 7}, key="seven").result == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_failure_lets_a_sequential_job_go_and_leaves_the_block(error, path):
    errors = [error]

    @routine
    def work(x: int) -> int:
        if errors:
            raise errors.pop()
        return x

    for expected in (error, None):
        with Flow("work", store=path, execution_mode="sequential") as flow:
            flow.add_routine(work)
            if expected is None:
                assert flow.execute("work", {"x": 7}, key="seven").result == 7
            else:
                with pytest.raises(expected):
                    flow.execute("work", {"x": 7}, key="seven")


@IN_THIS_PROCESS
def test_who_waits_for_a_stored_job_and_is_interrupted_does_not_cancel_it(mode, path):
    began, waits, goes_on = threading.Event(), threading.Event(), threading.Event()

    @routine
    def work(x: int) -> int:
        if not began.is_set():
            began.set()
            goes_on.wait(20)
        return x

    def build():
        flow = Flow("work", store=path, execution_mode=mode)
        flow.add_routine(work)
        flow.add_routine(lambda x: x, "then")
        flow.connect("work", "then")
        return flow

    def interrupt():
        began.wait(20)
        waits.wait(20)
        while not goes_on.is_set():
            # A signal may come just before its receiver falls asleep, and is then heeded with the next one.
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            goes_on.wait(1)

    interrupting = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt), build() as flow:
        job = flow.start("work", {"x": 7}, key="seven")
        interrupting.start()
        try:
            waits.set()
            job.wait()
        finally:
            goes_on.set()
    interrupting.join()
    assert str(job.status) == "pending"
    with build() as flow:
        assert flow.execute("work", {"x": 7}, key="seven").result == 7


@IN_THIS_PROCESS
def test_a_pause_outlives_the_process(mode, path, tmp_path):
    began, goes_on = threading.Event(), threading.Event()

    @routine
    def first(x: int) -> int:
        began.set()
        goes_on.wait(20)
        return x

    @routine
    def second(x: int) -> int:
        return x + 1

    def build(where):
        flow = Flow("two", store=where, execution_mode=mode)
        flow.add_routine(first)
        flow.add_routine(second)
        flow.connect("first", "second")
        return flow

    with build(path) as flow:
        job = flow.start("first", {"x": 1})
        began.wait(20)
        job.pause()
        copy = as_after_a_crash(path, tmp_path / "copy")
        job.resume()
        goes_on.set()
        job.wait()
    with build(copy) as flow:
        (found,) = flow.recover()
        assert str(found.status) == "paused"
        assert not found.wait(0.05)
        found.resume()
        found.wait()
        assert found.result == 2


@IN_THIS_PROCESS
def test_a_cancel_that_was_acknowledged_holds_after_a_crash(mode, path, tmp_path):
    began, goes_on, calls = threading.Event(), threading.Event(), []

    @routine
    def work(x: int) -> int:
        calls.append(x)
        began.set()
        goes_on.wait(20)
        return x

    def build(where):
        flow = Flow("work", store=where, execution_mode=mode)
        flow.add_routine(work)
        return flow

    with build(path) as flow:
        job = flow.start("work", {"x": 1})
        began.wait(20)
        job.cancel("no longer needed")
        copy = as_after_a_crash(path, tmp_path / "copy")
        goes_on.set()
        job.wait()
        assert str(job.status) == "cancelled"
    with build(copy) as flow:
        for found in flow.recover():
            found.wait()
            assert str(found.status) == "cancelled"
    assert calls == [1]


def test_retries_keep_their_count(path, tmp_path):
    attempts = []

    def build(where):
        @routine(error_strategy=Retry(3, delay=60, backoff=1))
        def flaky(x: int, ctx: Context) -> int:
            attempts.append(ctx.attempt)
            if ctx.attempt == 3 and where == path:
                as_after_a_crash(path, tmp_path / "copy")
            if ctx.attempt < 4:
                raise ConnectionError("not yet")
            return x

        flow = Flow("flaky", store=where, clock=ManualClock())
        flow.add_routine(flaky)
        return flow

    with build(path) as flow:
        assert flow.execute("flaky", {"x": 5}, key="k").result == 5
        assert attempts == [1, 2, 3, 4]
    attempts.clear()
    with build(tmp_path / "copy" / path.name) as flow:
        job = flow.execute("flaky", {"x": 5}, key="k")
        assert job.result == 5
        assert attempts == [3, 4]
        assert job.counts["flaky"].retried == 3


@IN_THIS_PROCESS
@pytest.mark.parametrize(("strategy", "results"), [(Continue(), [0, 2]), (Skip(), [0, 2])])
def test_what_cannot_be_stored_is_a_failure_of_its_handler(mode, strategy, results, path):
    @routine
    def odd(x: int):
        return threading.Lock() if x == 1 else x

    with Flow("odd", store=path, execution_mode=mode, error_strategy=strategy) as flow:
        flow.add_routine(numbers)
        flow.add_routine(odd)
        flow.connect("numbers", "odd")
        job = flow.execute("numbers", {"count": 3})
        assert sorted(job.results["odd"]) == results
        (failure,) = job.errors
        assert isinstance(failure.error, PayloadError)
        assert "Flow 'odd', routine 'odd'" in failure.message
        assert "lock" in failure.message


def test_params_that_cannot_be_stored_are_refused_before_anything_runs(path):
    with squares(path) as flow, pytest.raises(PayloadError, match="count"):
        flow.execute("numbers", {"count": threading.Lock()})


def test_one_process_at_a_time_has_a_store(path):
    with squares(path) as flow:
        flow.execute("numbers", {"count": 1})
        with squares(path) as other, pytest.raises(StoreInUseError):
            other.execute("numbers", {"count": 1})
    with squares(path) as flow:
        assert flow.execute("numbers", {"count": 2}).result == 1


def test_several_flows_share_a_store_that_is_open(path):
    with open_store(path) as store:
        with squares(store) as flow:
            assert flow.execute("numbers", {"count": 3}).result == 5
        with squares(store) as flow:
            assert flow.execute("numbers", {"count": 4}).result == 14
        assert {stored.flow_id for stored in store.jobs()} == {"squares"}


def test_a_flow_that_has_lost_something_leaves_its_job_whole_and_others_go_on(path, tmp_path):
    began, goes_on = threading.Event(), threading.Event()

    @routine
    def source(x: int) -> int:
        began.set()
        goes_on.wait(20)
        return x

    @routine
    def sink(x: int) -> int:
        return x

    def build(where, *, whole=True, more=False):
        flow = Flow("shop", store=where, execution_mode="concurrent")
        flow.add_routine(source)
        if whole:
            flow.add_routine(sink)
            flow.connect("source", "sink")
        if more:
            flow.add_routine(square)
            flow.connect("source", "square")
        return flow

    with build(path) as flow:
        job = flow.start("source", {"x": 3})
        began.wait(20)
        copy = as_after_a_crash(path, tmp_path / "copy")
        goes_on.set()
        job.wait()
    with build(copy, whole=False) as flow:
        with pytest.raises(RecoveryError, match="no routine 'sink' any more") as caught:
            flow.recover()
        assert isinstance(caught.value.errors[job.job_id], FlowChangedError)
    with build(copy, more=True) as flow:
        (found,) = flow.recover()
        found.wait()
        assert found.results["sink"] == [3]
        assert "square" not in found.results
        assert flow.execute("source", {"x": 4}).results["square"] == [16]


def test_a_stored_job_can_be_awaited_and_streamed(path):
    async def run():
        async with squares(path, execution_mode="asyncio") as flow:
            job = await flow.execute_async("numbers", {"count": 4}, key="four")
            again = await flow.execute_async("numbers", {"count": 4}, key="four")
            assert again.job_id == job.job_id
            streamed = [value async for value in flow.stream_async("numbers", {"count": 5})]
            return job.result, streamed

    assert asyncio.run(run()) == (14, [30])
    with squares(path, execution_mode="concurrent") as flow:
        assert list(flow.stream("numbers", {"count": 6})) == [55]


@IN_THIS_PROCESS
def test_many_jobs_share_a_store_and_an_engine(mode, path):
    with squares(path, execution_mode=mode) as flow:
        found = sorted(job.result for job in flow.map("numbers", ({"count": n} for n in range(1, 20)), max_jobs=5))
    assert found == sorted(sum(x * x for x in range(n)) for n in range(1, 20))
    with open_store(path, read_only=True) as store:
        assert {stored.status for stored in store.jobs()} == {"completed"}


def test_a_job_may_have_a_store_of_its_own_or_none(path, tmp_path):
    with squares(path) as flow:
        flow.execute("numbers", {"count": 2}, store=tmp_path / "other.db")
        flow.execute("numbers", {"count": 2}, store=None)
    assert (tmp_path / "other.db").exists()
    with open_store(path, read_only=True) if path.exists() else open_store(path) as store:
        assert list(store.jobs()) == []


def test_submissions_with_one_key_at_the_same_time_are_one_job(path):
    together = threading.Barrier(4)
    found, calls = [], []

    @routine
    def work(x: int) -> int:
        calls.append(x)
        return x

    with Flow("work", store=path, execution_mode="concurrent") as flow:
        flow.add_routine(work)

        def submit():
            together.wait()
            found.extend(flow.execute("work", {"x": 1}, key=str(turn)) for turn in range(20))

        threads = [threading.Thread(target=submit) for _ in range(3)]
        for thread in threads:
            thread.start()
        together.wait()
        for _ in range(20):
            assert flow.recover() == []
        for thread in threads:
            thread.join()
    assert len({job.job_id for job in found}) == 20
    assert len(calls) == 20
