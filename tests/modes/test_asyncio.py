"""Coroutines: inside the caller's event loop, and on one of our own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
import threading
import time

import pytest

from routilux import Context, Continue, Flow, Retry, Skip, Stop, collect, routine
from routilux.clock import SystemClock
from routilux.errors import (
    HandlerCancelledError,
    HandlerTimeoutError,
    JobCancelledError,
    JobTimeoutError,
    SelfWaitError,
)
from tests.leftovers import ours, wait_for_ours

PATIENCE = 30
"""Seconds after which a test that waits has failed."""

WHO = contextvars.ContextVar("WHO", default="nobody")


def run(main):
    """Runs a coroutine in a loop of its own, in which nothing is left under way at the end."""

    async def alone():
        await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(alone())


async def numbers(n):
    for number in range(n):
        yield number


async def between(first, last):
    for number in range(first, last):
        yield number


async def same(x):
    await asyncio.sleep(0)
    return x


def chain(*handlers, mode="asyncio", **settings) -> Flow:
    flow = Flow("test", execution_mode=mode, **settings)
    names = [flow.add_routine(handler) for handler in handlers]
    flow.chain(*names)
    return flow


class Stay:
    """A coroutine that tells how far it has come, and stays until it is let go or cancelled."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self.told = []

    async def __call__(self, x):
        self.told.append(f"begun {x}")
        self.begun.set()
        try:
            await asyncio.wait_for(self.released.wait(), PATIENCE)
        except asyncio.CancelledError:
            self.told.append(f"cancelled {x}")
            raise
        return x


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No thread stays after a test."""
    yield
    assert ours() == []


# --- inside the caller's loop


def test_execute_async_starts_no_thread():
    threads = []

    async def here(x):
        threads.append((threading.get_ident(), ours()))
        return x

    async def main():
        job = await chain(numbers, here).execute_async("numbers", {"n": 50})
        assert sorted(job.results["here"]) == list(range(50))

    run(main)
    assert set(map(str, threads)) == {str((threading.get_ident(), []))}


def test_stream_async_starts_no_thread_and_holds_the_source_back():
    at = []

    async def source(n):
        for number in range(n):
            at.append(number)
            yield number

    async def main():
        read = 0
        async with chain(source, same, max_workers=4).stream_async("source", {"n": 10**9}) as stream:
            async for _ in stream:
                read += 1
                assert ours() == []
                assert len(at) < read + 50
                if read == 300:
                    break
        assert stream.job.status == "cancelled"

    run(main)


def test_a_stream_that_is_read_gives_everything_and_raises_what_failed_the_job():
    async def fails(x):
        return 1 // (x - 5)

    async def main():
        flow = chain(numbers, same)
        assert sorted([x async for x in flow.stream_async("numbers", {"n": 300})]) == list(range(300))
        assert {pair async for pair in flow.stream_async("numbers", {"n": 2}).pairs()} == {("same", 0), ("same", 1)}
        with pytest.raises(ZeroDivisionError):
            async for _ in chain(numbers, fails).stream_async("numbers", {"n": 300}):
                pass

    run(main)


def test_a_stream_that_was_never_read_is_cancelled_when_it_is_closed():
    async def main():
        stream = chain(numbers, same).stream_async("numbers", {"n": 5})
        await stream.aclose()
        assert stream.job.status == "cancelled"
        assert [x async for x in stream] == []

    run(main)


def test_cancelling_the_task_that_awaits_cancels_the_job_and_its_handlers():
    async def main():
        stay = Stay()
        flow = chain(numbers, stay)
        task = asyncio.create_task(flow.execute_async("numbers", {"n": 3}))
        await stay.begun.wait()
        await asyncio.sleep(0)
        (job,) = flow._launch.under_way.values()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.status == "cancelled"
        assert sorted(stay.told) == sorted([f"{what} {x}" for what in ("begun", "cancelled") for x in range(3)])
        with pytest.raises(JobCancelledError, match="the task that awaited it was cancelled"):
            job.raise_for_status()

    run(main)


def test_a_timeout_around_execute_async_cancels_the_job():
    async def main():
        stay = Stay()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await chain(stay).execute_async("Stay", {"x": 1})
        assert stay.told == ["begun 1", "cancelled 1"]

    run(main)


def test_jobs_of_a_block_share_the_loop():
    async def main():
        async with chain(numbers, same, routine(fires=collect())(lambda xs: sum(xs)), mode="asyncio") as flow:
            jobs = await asyncio.gather(*(flow.execute_async("numbers", {"n": n}) for n in range(30)))
            assert [job.result for job in jobs] == [sum(range(n)) for n in range(30)]
            started = flow.start("numbers", {"n": 10})
            assert await started.wait_async(PATIENCE)
            assert started.result == 45

    run(main)


def test_a_block_that_is_left_by_an_exception_cancels_its_jobs():
    async def main():
        stay = Stay()
        flow = chain(stay)
        with pytest.raises(LookupError):
            async with flow:
                job = flow.start("Stay", {"x": 1})
                await stay.begun.wait()
                raise LookupError
        assert job.status == "cancelled"
        assert stay.told == ["begun 1", "cancelled 1"]

    run(main)


def test_wait_async_says_whether_the_job_is_over():
    async def main():
        stay = Stay()
        async with chain(stay) as flow:
            job = flow.start("Stay", {"x": 1})
            assert await job.wait_async(0.01) is False
            stay.released.set()
            assert await job.wait_async() is True
            assert await job.wait_async(0) is True
            assert job.result == 1

    run(main)


def test_waiting_for_a_job_in_a_coroutine_of_its_loop_is_refused():
    async def main():
        stay = Stay()
        async with chain(stay) as flow:
            job = flow.start("Stay", {"x": 1})
            await stay.begun.wait()
            with pytest.raises(SelfWaitError, match="Await it instead"):
                job.wait()
            stay.released.set()

    run(main)


def test_a_handler_on_a_loop_of_ours_that_waits_for_its_own_job_is_refused():
    jobs, started = [], threading.Event()

    async def waits(x):
        await asyncio.to_thread(started.wait, PATIENCE)
        with pytest.raises(SelfWaitError):
            jobs[0].wait()
        return x

    job = chain(waits).start("waits", {"x": 1})
    jobs.append(job)
    started.set()
    assert job.wait(PATIENCE)
    assert job.result == 1


def test_execute_inside_a_running_loop_works_as_in_a_notebook():
    async def main():
        flow = chain(numbers, same)
        assert sorted(flow.execute("numbers", {"n": 20}).results["same"]) == list(range(20))
        assert sorted(flow.stream("numbers", {"n": 20})) == list(range(20))

    run(main)


def test_two_loops_in_two_threads_use_one_flow():
    flow = chain(numbers, same, routine(fires=collect())(lambda xs: sum(xs)))
    found = {}

    async def jobs_of(first):
        for n in range(first, first + 40, 2):
            found[n] = (await flow.execute_async("numbers", {"n": n})).result

    loops = [threading.Thread(target=asyncio.run, args=[jobs_of(first)]) for first in (0, 1)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(PATIENCE)
    assert found == {n: sum(range(n)) for n in range(40)}


def test_two_loops_in_two_threads_use_one_block():
    flow = chain(numbers, same)
    found = []

    async def another():
        found.append(len((await flow.execute_async("numbers", {"n": 9})).results["same"]))

    async def main():
        async with flow:
            await asyncio.gather(
                asyncio.to_thread(asyncio.run, another()), flow.execute_async("numbers", {"n": 500}), another()
            )

    run(main)
    assert found == [9, 9]


# --- time and cancellation


def test_a_routine_past_its_timeout_is_cancelled_and_its_neighbours_are_not():
    async def main():
        stay = Stay()

        async def work(x):
            return await stay(x) if x == 3 else x

        flow = Flow("test", execution_mode="asyncio", error_strategy=Skip())
        flow.add_routine(numbers)
        flow.add_routine(work, timeout=0.05)
        flow.chain("numbers", "work", same)
        job = await flow.execute_async("numbers", {"n": 10})
        assert job.status == "completed"
        assert sorted(job.results["same"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert isinstance(job.errors[0].error, HandlerTimeoutError)
        assert stay.told == ["begun 3", "cancelled 3"]
        assert job.late_outcomes == 0

    run(main)


def test_a_timeout_is_tried_again():
    async def work(x, ctx: Context):
        await asyncio.sleep(PATIENCE if ctx.attempt == 1 else 0)
        return ctx.attempt

    flow = Flow("test", execution_mode="asyncio", error_strategy=Retry(1))
    flow.add_routine(work, timeout=0.05)
    assert flow.execute("work", {"x": 1}).result == 2


def test_a_job_past_its_timeout_cancels_its_handlers():
    async def main():
        stay = Stay()
        job = await chain(numbers, stay, timeout=0.05).execute_async("numbers", {"n": 3})
        assert job.status == "failed"
        with pytest.raises(JobTimeoutError):
            job.raise_for_status()
        assert sum(one.startswith("cancelled") for one in stay.told) == 3

    run(main)


def test_a_handler_that_will_not_be_cancelled_is_waited_for():
    async def stubborn(x):
        told.append("begun")
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        told.append("ended")
        return x

    async def main():
        flow = chain(stubborn)
        async with flow:
            job = flow.start("stubborn", {"x": 1})
            await asyncio.sleep(0.01)
            job.cancel()
            assert await job.wait_async(PATIENCE)
        assert job.status == "cancelled"
        assert job.results == {}

    told = []
    run(main)
    assert told == ["begun", "ended"]


def test_timeouts_and_groups_inside_handlers_work_and_the_runner_goes_on():
    async def limited(x):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(PATIENCE)
        except TimeoutError:
            return x

    async def grouped(x):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, x + one)) for one in range(3)]
        return sum(task.result() for task in tasks) - 2 * x - 3

    async def broken(x):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(PATIENCE))
                group.create_task(asyncio.sleep(0)).add_done_callback(lambda _: 1)
                raise KeyError(x)
        except* KeyError:
            pass
        return x

    async def waited(x):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(PATIENCE), 0.001)
        return x

    for workers in (1, None):
        job = chain(numbers, limited, grouped, broken, waited, same, max_workers=workers).execute("numbers", {"n": 10})
        assert job.status == "completed"
        assert sorted(job.results["same"]) == list(range(10))


@pytest.mark.parametrize(("strategy", "status"), [(Stop(), "failed"), (Skip(), "completed"), (Continue(), "completed")])
def test_a_handler_that_is_cancelled_from_inside_fails_under_its_strategy(strategy, status):
    async def cancels_itself(x):
        if x == 3:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        return x

    async def raises(x):
        if x == 4:
            raise asyncio.CancelledError
        return x

    job = chain(numbers, cancels_itself, raises, same, error_strategy=strategy).execute("numbers", {"n": 10})
    assert job.status == status
    assert {type(failure.error) for failure in job.errors} == {HandlerCancelledError}
    if status == "completed":
        assert sorted(job.results["same"]) == [0, 1, 2, 5, 6, 7, 8, 9]
        assert len(job.errors) == 2


def test_async_generators_are_pulled_and_closed_when_their_job_is_cancelled():
    async def main():
        at, closed = [], []

        async def source(n):
            try:
                for number in range(n):
                    at.append(number)
                    yield number
            finally:
                await asyncio.sleep(0)
                closed.append(asyncio.get_running_loop())

        stay = Stay()
        async with chain(source, stay, max_workers=2) as flow:
            job = flow.start("source", {"n": 10**9})
            await stay.begun.wait()
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(at) < 20
            job.cancel()
            assert await job.wait_async(PATIENCE)
        assert closed == [asyncio.get_running_loop()]

    run(main)


# --- while the loop keeps the turn


class Turning:
    """A job that goes round and round in coroutines that never wait, so that the loop asks nobody what is next."""

    def __init__(self, at_turn_200=lambda: None):
        self.turns = 0
        self.known = threading.Event()

        async def turn(x):
            self.turns += 1
            if self.turns == 200:
                while not self.known.is_set():
                    await asyncio.sleep(0)
                at_turn_200()
            return x + 1

        self.flow = chain(turn)
        self.flow.connect("turn", "turn")

    def __enter__(self):
        self.flow.__enter__()
        self.job = self.flow.start("turn", {"x": 0})
        self.known.set()
        return self

    def __exit__(self, *exception):
        self.job.cancel()
        self.flow.__exit__(*exception)

    def wait_turns(self, many):
        """Waits until it has gone round so many times more."""
        since = self.turns
        wait_until(lambda: self.turns >= since + many)

    def check_paused(self):
        """It stands still, and goes on when it is resumed."""
        wait_until(lambda: [one.why for one in self.job.waiting()] == ["the job is paused"])
        at = self.turns
        assert self.job.wait(0.05) is False
        assert self.turns == at
        self.job.resume()
        self.wait_turns(100)


def wait_until(said):
    """Waits for what nobody tells."""
    until = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_pause_or_a_cancel_from_outside_is_heeded_at_once():
    with Turning() as turning:
        for _ in range(5):
            turning.wait_turns(300)
            turning.job.pause()
            turning.check_paused()
        turning.job.cancel()
        assert turning.job.wait(PATIENCE)
        assert turning.job.status == "cancelled"


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_pause_or_a_cancel_by_a_handler_is_heeded_at_once(action):
    with Turning(lambda: getattr(turning.job, action)()) as turning:
        if action == "pause":
            turning.check_paused()
        else:
            assert turning.job.wait(PATIENCE)
            assert turning.job.status == "cancelled"
            assert turning.turns == 200


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing"])
def test_a_job_of_another_mode_in_the_same_block_takes_its_turn(mode):
    with Turning() as turning:
        turning.wait_turns(300)
        job = turning.flow.start("turn", {"x": 0}, execution_mode=mode, max_activations=50)
        assert job.wait(PATIENCE)
        assert job.status == "failed"
        turning.wait_turns(300)


def test_a_small_job_is_done_while_a_large_one_goes_round():
    with Turning() as turning:
        turning.wait_turns(300)
        for _ in range(20):
            job = turning.flow.start("turn", {"x": 0}, max_activations=20)
            assert job.wait(PATIENCE)
            assert job.status == "failed"
        turning.wait_turns(300)


def test_timeouts_and_retries_ring_while_the_loop_keeps_the_turn():
    async def stuck(x, ctx: Context):
        if ctx.attempt == 1:
            await asyncio.sleep(PATIENCE)
        if ctx.attempt == 2:
            raise KeyError(x)
        return ctx.attempt

    with Turning() as turning:
        flow = Flow("beside", execution_mode="asyncio")
        flow.add_routine(turning.flow.routines["turn"].routine)
        flow.add_routine(stuck, timeout=0.05, retries=2, retry_delay=0.01)
        flow.add_routine(same)
        flow.chain("same", "turn", "turn")
        flow.connect("same", "stuck")
        job = flow.start("same", {"x": 0})
        wait_until(lambda: "stuck" in job.results)
        assert job.results["stuck"] == [3]
        assert job.status == "running"
        job.cancel()
        assert job.wait(PATIENCE)


# --- who sees what


def test_the_context_of_the_caller_is_seen_and_changes_stay_inside():
    seen = []

    async def looks(x):
        seen.append(WHO.get())
        WHO.set(f"handler {x}")
        await asyncio.sleep(0)
        return WHO.get()

    async def looks_and_gives(n):
        seen.append(WHO.get())
        yield from_generator
        WHO.set("generator")

    from_generator = 7

    async def main():
        WHO.set("the caller")
        job = await chain(looks_and_gives, looks).execute_async("looks_and_gives", {"n": 1})
        assert job.result == "handler 7"
        assert WHO.get() == "the caller"

    run(main)
    assert seen == ["the caller", "the caller"]
    assert WHO.get() == "nobody"


def test_a_source_of_plain_functions_is_only_so_far_ahead_as_their_threads_want():
    pulled, ahead = [], []

    def items():
        for number in range(500):
            pulled.append(number)
            yield number

    def used(x):
        ahead.append(len(pulled) - len(ahead))
        return x

    flow = Flow("fed", execution_mode="asyncio", max_workers={"concurrent": 2})
    flow.chain(routine(items), routine(used))
    assert len(flow.execute("items").results["used"]) == 500
    assert max(ahead) <= 2 * 2 + 2 + 1


def test_plain_functions_run_on_a_thread_and_inline_ones_on_the_loop():
    names = {}

    def plain(x):
        names["plain"] = threading.current_thread().name
        return x, WHO.get()

    @routine(inline=True)
    def inline(x):
        names["inline"] = threading.current_thread().name
        return x

    async def main():
        WHO.set("the caller")
        job = await chain(numbers, inline, plain).execute_async("numbers", {"n": 1})
        assert job.result == (0, "the caller")

    run(main)
    assert names["inline"] == threading.current_thread().name
    assert names["plain"].startswith("routilux-test")


@pytest.mark.parametrize("written", ["plainly", "with a context", "as a generator", "inline"])
def test_a_handler_that_keeps_the_loop_is_named_in_a_warning(caplog, written):
    async def plainly(x):
        time.sleep(0.15)
        return x

    async def with_context(x, ctx: Context):
        await asyncio.sleep(0)
        time.sleep(0.15)

    async def gives(x):
        yield 1
        time.sleep(0.15)

    def inline(x):
        time.sleep(0.15)

    handlers = {"plainly": plainly, "with a context": with_context, "as a generator": gives}
    flow = Flow("slow", execution_mode="asyncio")
    flow.add_routine(handlers.get(written, inline), "slow", inline=written == "inline")
    with caplog.at_level(logging.WARNING, "routilux"):
        flow.execute("slow", {"x": 1})
    (record,) = caplog.records
    assert record.name == "routilux"
    assert "routine 'slow': its handler kept the event loop for" in record.message


def test_a_handler_that_awaits_is_not_named(caplog):
    async def awaits(x):
        await asyncio.sleep(0.15)

    with caplog.at_level(logging.WARNING, "routilux"):
        chain(awaits).execute("awaits", {"x": 1})
    assert caplog.records == []


def test_a_job_that_was_started_can_be_awaited():
    async def main():
        flow = chain(same)
        job = flow.start("same", {"x": 1})
        assert await job is job
        assert job.status == "completed"
        assert job.result == 1

    run(main)
    wait_for_ours(PATIENCE)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_timeout_that_a_handler_swallows_costs_no_other_activation(workers):
    paid = []

    @routine(timeout=0.01, error_strategy=Skip())
    async def stubborn(x):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def pay(x):
        paid.append(x)
        return x

    flow = Flow("test", execution_mode="asyncio", max_workers=workers)
    source = flow.add_routine(numbers)
    flow.connect(source, flow.add_routine(stubborn))
    flow.connect(source, flow.add_routine(pay))
    job = flow.execute("numbers", {"n": 12})

    assert job.status == "completed"
    assert sorted(paid) == list(range(12))
    assert sorted(job.results["pay"]) == list(range(12))
    assert job.counts["stubborn"].skipped == 12


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
def test_a_job_ends_although_the_loop_that_waited_for_it_is_closed(mode):
    go = threading.Event()

    def held(x):
        assert go.wait(PATIENCE)
        return x

    flow = chain(numbers, held, mode=mode)

    async def look():
        job = flow.start("numbers", {"n": 3})
        assert not await job.wait_async(0.01)
        return job

    job = asyncio.run(look())
    go.set()
    assert job.wait(PATIENCE)
    assert sorted(job.results["held"]) == [0, 1, 2]
    wait_for_ours(PATIENCE)


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
def test_a_stream_that_is_dropped_cancels_its_job(mode):
    jobs = []

    async def main():
        async with chain(numbers, same, mode=mode) as flow:
            stream = flow.stream_async("numbers", {"n": 10**9})
            jobs.append(stream.job)
            async for _ in stream:
                break
            del stream
            assert await jobs[0].wait_async(PATIENCE)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert jobs[0].status == "cancelled"


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
def test_a_handler_that_something_it_awaits_cancels_has_failed_in_every_mode(mode):
    async def second_is_cancelled(x):
        if x == 1:
            never = asyncio.ensure_future(asyncio.Event().wait())
            never.cancel()
            await never
        return x

    flow = chain(numbers, routine(second_is_cancelled, error_strategy=Continue()), mode=mode)
    job = flow.execute("numbers", {"n": 3})
    assert job.status == "completed"
    assert sorted(job.results["second_is_cancelled"]) == [0, 2]
    assert [type(failure.error) for failure in job.errors] == [HandlerCancelledError]
    assert "second_is_cancelled" in str(job.errors[0].error)


@pytest.mark.parametrize("mode", ["sequential", "multiprocessing"])
def test_a_handler_that_returns_while_it_is_cancelled_has_failed_in_every_mode(mode):
    async def restless(x):
        asyncio.current_task().cancel()
        return x

    options = {"error_strategy": Continue(), "execution_mode": mode}
    job = chain(routine(restless, **options), mode="sequential").start("restless", {"x": 1})
    assert job.wait(PATIENCE)
    assert [type(failure.error) for failure in job.errors] == [HandlerCancelledError]


@pytest.mark.parametrize("begun", [True, False])
def test_a_dropped_async_stream_ends_its_threads(begun):
    flow = chain(numbers, lambda x: x)

    async def main():
        stream = flow.stream_async("numbers", {"n": 10**9})
        if begun:
            await anext(stream)
            assert ours() != []

    asyncio.run(main())
    wait_for_ours(PATIENCE)


class Ticking(SystemClock):
    """A clock on which a tenth of a millisecond passes each time that one looks at it."""

    def __init__(self):
        self._ticks = itertools.count(1)

    def now(self):
        return next(self._ticks) * 100_000


def test_coroutines_that_never_wait_let_others_have_the_loop_however_many_there_are():
    between, ran = [], [0]

    async def at_once(x):
        ran[0] += 1

    async def main():
        flow = Flow("greedy", execution_mode="asyncio", clock=Ticking())
        flow.add_routine(numbers)
        flow.chain("numbers", at_once)
        job = asyncio.ensure_future(flow.execute_async("numbers", {"n": 20_000}))
        while not job.done():
            before = ran[0]
            await asyncio.sleep(0)
            between.append(ran[0] - before)
        assert ran == [20_000]
        assert (await job).status == "completed"

    run(main)
    # A thousand that have been given their loop may each run one; what is ready besides has a hundredth of a second.
    assert max(between) <= 1_200


@pytest.mark.parametrize("together", [False, True], ids=["in two jobs", "in one job"])
def test_coroutines_that_never_wait_do_not_hold_up_others_that_do(together):
    here, all_here = [], asyncio.Event()

    async def meets(x):
        if x >= 1_000:
            here.append(x)
            if len(here) == 50:
                all_here.set()
            await all_here.wait()
        return x

    async def main():
        flow = Flow("meeting", execution_mode="asyncio", clock=Ticking())
        flow.chain(between, meets)
        async with flow:
            if together:
                jobs = [flow.start("between", {"first": 0, "last": 1_050})]
            else:
                jobs = [
                    flow.start("between", {"first": 1_000, "last": 1_050}),
                    flow.start("between", {"first": 0, "last": 1_000}),
                ]
            for job in jobs:
                assert await job.wait_async(PATIENCE), job.waiting()

    run(main)
    assert sorted(here) == list(range(1_000, 1_050))
