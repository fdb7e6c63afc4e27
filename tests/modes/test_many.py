"""Many jobs of one flow: `map`, and jobs side by side in one block."""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import time
from statistics import median

import pytest
import rich

from routilux import Context, Flow, collect, routine
from routilux.errors import EntryParamsError, SettingError, UnknownRoutineError

pytestmark = pytest.mark.usefixtures("nothing_is_left")

PATIENCE = 30
MODES = pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "multiprocessing", "auto"])
AT_ONCE = pytest.mark.parametrize("mode", ["concurrent", "asyncio", "multiprocessing"])


@routine
def numbers(n):
    yield from range(n)


@routine(fires=collect())
def total(xs):
    return sum(xs)


def summing(mode) -> Flow:
    flow = Flow("sum", execution_mode=mode, max_workers=2)
    if mode == "asyncio":

        async def same(x):
            await asyncio.sleep(0)
            return x

        flow.chain(numbers, same, total)
    else:
        flow.chain(numbers, lambda x: x, total)
    return flow


@MODES
@pytest.mark.parametrize("block", [False, True])
def test_each_of_the_params_becomes_a_job(mode, block):
    flow = summing(mode)
    params = [{"n": n} for n in range(1, 20)]
    if block:
        with flow:
            jobs = list(flow.map("numbers", params))
    else:
        jobs = list(flow.map("numbers", params))
    assert sorted(job.result for job in jobs) == [sum(range(n)) for n in range(1, 20)]
    assert {str(job.status) for job in jobs} == {"completed"}
    assert len({job.job_id for job in jobs}) == 19
    assert flow._launch.under_way == {}


@MODES
def test_of_params_without_end_only_those_are_taken_that_are_needed(mode):
    taken = []

    def endless():
        for n in itertools.count(1):
            taken.append(n)
            yield {"n": n}

    flow = summing(mode)
    jobs = flow.map("numbers", endless(), max_jobs=3)
    assert taken == []
    for number in range(1, 11):
        assert next(jobs).result >= 0
        assert len(taken) <= number + 3 - 1
    jobs.close()
    assert len(taken) <= 12
    assert flow._launch.under_way == {}


def test_jobs_come_as_they_finish_and_not_as_they_began():
    gate = threading.Event()

    @routine
    def work(n):
        if n == 0:
            assert gate.wait(PATIENCE)
        return n

    flow = Flow("order", execution_mode="concurrent", max_workers=2)
    flow.add_routine(work)
    jobs = flow.map("work", ({"n": n} for n in range(20)))
    assert sorted(next(jobs).result for _ in range(19)) == list(range(1, 20))
    gate.set()
    assert next(jobs).result == 0
    assert list(jobs) == []


@AT_ONCE
def test_no_more_than_max_jobs_are_under_way_or_waiting_to_be_taken(mode):
    flow = summing(mode)
    for job in flow.map("numbers", [{"n": 5}] * 30, max_jobs=4):
        assert job.status == "completed"
        assert len(flow._launch.under_way) <= 3


@MODES
def test_a_failure_is_on_its_job_and_the_others_go_on(mode):
    def work(n):
        return 10 // n

    flow = Flow("failing", execution_mode=mode, max_workers=2)
    flow.add_routine(work)
    jobs = list(flow.map("work", [{"n": n} for n in (1, 0, 2, 0, 5)]))
    assert sorted(job.result for job in jobs if job.status == "completed") == [2, 5, 10]
    failed = [job for job in jobs if job.status == "failed"]
    assert len(failed) == 2
    for job in failed:
        with pytest.raises(ZeroDivisionError):
            job.raise_for_status()


@AT_ONCE
@pytest.mark.parametrize("block", [False, True])
def test_whoever_stops_taking_jobs_cancels_those_under_way(mode, block):
    flow = summing(mode)
    running = []

    def params():
        yield {"n": 3}
        while True:
            yield {"n": 10**9}

    def take_one():
        for job in flow.map("numbers", params(), max_jobs=4):
            running.extend(flow._launch.under_way.values())
            assert job.result == 3
            break

    if block:
        with flow:
            take_one()
            assert flow.execute("numbers", {"n": 4}).result == 6
    else:
        take_one()
    assert len(running) == 3
    assert {str(job.status) for job in running} == {"cancelled"}
    assert flow._launch.under_way == {}


@MODES
def test_params_that_raise_end_the_map_and_leave_nothing(mode):
    def params():
        yield {"n": 3}
        raise LookupError("no more params")

    flow = summing(mode)
    with pytest.raises(LookupError, match="no more params"):
        list(flow.map("numbers", params()))
    with pytest.raises(EntryParamsError, match="'numbers'"):
        list(flow.map("numbers", [{"n": 2}, {"m": 3}]))
    assert flow._launch.under_way == {}


@MODES
def test_what_is_done_is_given_before_what_was_wrong_is_raised(mode):
    given = []

    def params():
        yield {"n": 3}
        yield {"n": 4}
        raise LookupError("no more params")

    with pytest.raises(LookupError, match="no more params"):
        for job in summing(mode).map("numbers", params()):
            given.append(job.result)
    assert sorted(given) == [3, 6]


def test_in_sequence_a_job_begins_when_the_one_before_has_been_taken():
    begun = []
    flow = Flow("sum")
    flow.add_routine(lambda n: begun.append(n), "work")
    jobs = flow.map("work", [{"n": n} for n in range(5)], max_jobs=3)
    for number, job in enumerate(jobs, 1):
        assert job.status == "completed"
        assert begun == list(range(number))


def test_settings_hold_for_all_jobs_of_a_map():
    flow = summing("sequential")
    threads = set()
    flow.add_routine(lambda x: threads.add(threading.current_thread().name), "who")
    flow.connect("numbers", "who")
    jobs = list(flow.map("numbers", [{"n": 5}] * 4, execution_mode="concurrent", max_workers=1, max_history_size=1))
    assert [len(job.history) for job in jobs] == [1] * 4
    assert threads == {"routilux-sum-0"}


@pytest.mark.parametrize("max_jobs", [0, -1, 2.5, "4", True])
def test_a_number_of_jobs_that_means_nothing_is_refused(max_jobs):
    with pytest.raises(SettingError, match="max_jobs must be a whole number from 1, or None, not "):
        summing("sequential").map("numbers", [], max_jobs=max_jobs)


def test_what_is_wrong_with_a_map_is_said():
    flow = summing("sequential")
    with pytest.raises(UnknownRoutineError, match="'number'.* Did you mean 'numbers'"):
        list(flow.map("number", [{"n": 1}]))
    with pytest.raises(SettingError, match="no setting 'max_job'"):
        flow.map("numbers", [{"n": 1}], max_job=3)
    with pytest.raises(EntryParamsError, match="a mapping from names to values, not 3"):
        list(flow.map("numbers", [3]))
    for wrong in (None, 5):
        with pytest.raises(
            EntryParamsError, match=f"entry 'numbers': params must be an iterable of mappings, not {wrong}"
        ):
            flow.map("numbers", wrong)
    assert list(flow.map("numbers", [])) == []


@pytest.fixture
def written():
    """What is printed to the console of rich, which is made anew by the test."""
    yield io.StringIO()
    rich.reconfigure()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_moves_on_with_each_job_and_needs_no_terminal(written, known, terminal):
    rich.reconfigure(file=written, force_terminal=terminal, width=80)
    params = ({"n": 3} for _ in range(5))
    jobs = list(summing("concurrent").map("numbers", list(params) if known else params, progress=True))
    assert [job.result for job in jobs] == [3] * 5
    assert "Jobs" in written.getvalue()
    assert ("100%" in written.getvalue()) == known


def test_without_a_terminal_captured_output_is_no_trouble(capsys):
    jobs = summing("sequential").map("numbers", [{"n": 3}] * 5, progress=True)
    assert [job.result for job in jobs] == [3] * 5
    assert "Jobs" in capsys.readouterr().out


# --- several jobs in one block


@routine
def burst(ctx: Context, n):
    for number in range(n):
        ctx.emit("output", number)


async def waits(x):
    await asyncio.sleep(0)
    return x


def works(x):
    time.sleep(0.0005)
    return x


def works_long(x):
    """So long that nothing is gained by handing out many at once."""
    time.sleep(0.005)
    return x


def overtaken(small, large) -> int:
    """How many activations of the large job ended while the small one was under way."""
    began = min(record["start_time"] for record in small.history)
    ended = max(record["end_time"] for record in small.history)
    return sum(began <= record["end_time"] <= ended for record in large.history)


@pytest.mark.parametrize(
    ("mode", "source", "work"),
    [
        ("concurrent", burst, works),
        ("concurrent", numbers, works),
        ("asyncio", burst, waits),
        ("asyncio", numbers, waits),
        ("multiprocessing", numbers, works_long),
    ],
)
def test_a_job_of_a_hundred_thousand_activations_hardly_delays_one_of_three(mode, source, work):
    flow = Flow("fair", execution_mode=mode, max_workers=2, max_history_size=None)
    flow.chain(source, work)
    delays = []
    with flow:
        large = flow.start(source.name, {"n": 100_000})
        while len(large.history) < 100:
            assert not large.status.terminal
        for _ in range(5):
            small = flow.execute(source.name, {"n": 2})
            assert not large.status.terminal
            delays.append(overtaken(small, large))
        large.cancel()
    assert median(delays) <= 20, delays


def test_none_is_no_params_and_not_the_end_of_them():
    flow = Flow("test")
    flow.add_routine(lambda: 1, "one")
    assert [job.result for job in flow.map("one", [None, {}, None])] == [1, 1, 1]
