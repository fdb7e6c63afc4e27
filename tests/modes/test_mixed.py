"""Routines of one flow in different modes at once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from routilux import Context, Continue, Flow, Retry, Routine, Skip, collect, gather, keyed, routine
from routilux.errors import SettingError, WorkerLostError
from tests.effects import Effects
from tests.modes.contract import PATIENCE, SEQUENTIAL, WORKERS, Gate, multiset, numbers, same, wait_until

pytestmark = pytest.mark.usefixtures("nothing_is_left")

HOME = pytest.mark.parametrize("home", ["sequential", "concurrent", "asyncio", "multiprocessing", "distributed"])
LARGE = 3_000_000
"""Bytes that processes leave where they are."""


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    """Somebody's executor."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="somebody's") as executor:
        yield executor


class Meter:
    """How many are inside at once, at most."""

    def __init__(self):
        self.most = 0
        self._inside = 0
        self._counting = threading.Lock()

    def __enter__(self):
        with self._counting:
            self._inside += 1
            self.most = max(self.most, self._inside)

    def __exit__(self, *exception):
        with self._counting:
            self._inside -= 1


def where(x):
    """Where it runs."""
    return os.getpid(), threading.current_thread().name


async def where_awaited(x):
    """Where it runs."""
    return os.getpid(), threading.current_thread().name


# --- where handlers run


@HOME
def test_each_routine_runs_where_it_says(home, executor):
    flow = Flow("places", execution_mode=home, executor=executor, max_workers={"multiprocessing": 1})
    flow.add_routine(numbers)
    flow.add_routine(where, "sequential", execution_mode="sequential")
    flow.add_routine(where, "concurrent", execution_mode="concurrent")
    flow.add_routine(where_awaited, "asyncio", execution_mode="asyncio")
    flow.add_routine(routine(execution_mode="multiprocessing")(lambda x: where(x)), "multiprocessing")
    flow.add_routine(where, "distributed", execution_mode="distributed")
    flow.add_routine(where, "overridden", execution_mode="concurrent")
    for target in list(flow.routines)[1:]:
        flow.connect("numbers", target)
    job = flow.execute("numbers", {"n": 3})
    assert job.status == "completed"
    here = os.getpid()
    names = {target: {name for _, name in job.results[target]} for target in job.results}
    assert names["sequential"] == {"routilux-places-sequential-0"}
    assert all(name.startswith("routilux-places-") for name in names["concurrent"])
    assert names["asyncio"] == {"routilux-places-loop"}
    assert all(name.startswith("somebody's") for name in names["distributed"])
    assert {pid for pid, _ in job.results["multiprocessing"]}.isdisjoint({here})
    assert names["multiprocessing"] == {"MainThread"}


def test_what_a_routine_is_added_with_overrides_what_it_was_defined_with():
    defined = routine(execution_mode="multiprocessing")(where)
    flow = Flow("places")
    flow.add_routine(defined, "there")
    flow.add_routine(defined, "here", execution_mode="concurrent")
    flow.connect("there", "here")
    job = flow.execute("there", {"x": 1})
    assert job.result[0] == os.getpid()


def test_a_mode_that_does_not_exist_is_refused_with_the_nearest():
    flow = Flow("wrong")
    with pytest.raises(SettingError, match="there is no mode 'multiprocess'. Did you mean 'multiprocessing'"):
        flow.add_routine(same, execution_mode="multiprocess")
    with pytest.raises(SettingError, match="there is no mode 'async'. Did you mean 'asyncio'"):
        routine(execution_mode="async")(same)
    with pytest.raises(SettingError, match="there is no mode 'threads'"):
        Flow("wrong", max_workers={"threads": 3})
    with pytest.raises(SettingError, match="max_workers of concurrent must be a whole number from 1"):
        Flow("wrong", max_workers={"concurrent": 0})
    flow.add_routine(same)
    with pytest.raises(SettingError, match="there is no mode 'fastest'"):
        flow.execute("same", {"x": 1}, execution_mode="fastest")
    assert "same(x) -> output" in flow.describe()


# --- how many at once


@pytest.mark.parametrize("home", ["concurrent", "asyncio", "multiprocessing"])
def test_sequential_routines_run_one_at_a_time(home):
    meter, apart = Meter(), threading.Barrier(2)

    def alone(x):
        with meter:
            return x

    def together(x):
        apart.wait(PATIENCE)
        return x

    flow = Flow("alone", execution_mode=home, max_workers={"concurrent": 4, "multiprocessing": 1})
    flow.add_routine(numbers)
    for name in ("a", "b", "c"):
        flow.add_routine(alone, name, execution_mode="sequential")
        flow.connect("numbers", name)
    flow.add_routine(together, execution_mode="concurrent")
    flow.connect("numbers", "together")
    job = flow.execute("numbers", {"n": 100})
    assert job.status == "completed"
    assert all(sorted(job.results[name]) == list(range(100)) for name in ("a", "b", "c", "together"))
    assert meter.most == 1


def test_workers_are_counted_for_each_mode():
    threads, coroutines = Meter(), Meter()

    def on_thread(x):
        with threads:
            threading.Event().wait(0.002)

    async def on_loop(x):
        with coroutines:
            await asyncio.sleep(0.002)

    flow = Flow("counted", max_workers={"concurrent": 2, "asyncio": 3})
    flow.add_routine(numbers)
    flow.add_routine(on_thread, execution_mode="concurrent")
    flow.add_routine(on_loop, execution_mode="asyncio")
    flow.connect("numbers", "on_thread")
    flow.connect("numbers", "on_loop")
    for changed, most in (({}, (2, 3)), ({"max_workers": {"concurrent": 1, "asyncio": 1}}, (1, 1))):
        threads.most = coroutines.most = 0
        assert flow.execute("numbers", {"n": 30}, **changed).status == "completed"
        assert (threads.most, coroutines.most) == most


@pytest.mark.parametrize("slow", ["concurrent", "multiprocessing", "distributed", "sequential"])
def test_a_slow_mode_does_not_hold_the_others(slow, executor, tmp_path):
    gate = Gate(tmp_path)
    flow = Flow("slow", execution_mode="asyncio", executor=executor, max_workers={slow: 1})
    flow.add_routine(numbers, execution_mode="concurrent" if slow == "sequential" else "sequential")
    flow.add_routine(gate.handler(SEQUENTIAL), execution_mode=slow)

    async def fast(x):
        return x

    flow.add_routine(fast)
    flow.connect("numbers", "gated")
    flow.connect("numbers", "fast")
    job = flow.start("numbers", {"n": 5})
    gate.wait_arrived()
    wait_until(lambda: len(job.results.get("fast", [])) >= 3)
    assert "gated" not in job.results
    gate.open()
    assert job.wait(PATIENCE)
    assert sorted(job.results["gated"]) == sorted(job.results["fast"]) == list(range(5))


# --- results


class Sum(Routine):
    """Keeps a sum wherever it runs, and counts what it was given."""

    def __init__(self, **options):
        super().__init__(**options)
        self.define_slot("x", handler=self.add)
        self.define_event("output")

    def add(self, x):
        self.state["sum"] = self.state.get("sum", 0) + x
        self.state["count"] = self.state.get("count", 0) + 1
        if self.state["count"] == 40:
            self.emit("output", self.state["sum"])


def all_modes(mode_of, **settings):
    """A flow with most of what there is; `mode_of` says of each routine in which mode it runs."""

    async def awaited(x):
        await asyncio.sleep(0)
        return x, -x

    def spread(x):
        yield from ((x, item) for item in range(x % 3))

    def turn(x, ctx: Context):
        ctx.emit(*(("again", x - 7) if x > 6 else ("output", x)))

    def picky(x):
        if x % 5 == 0:
            raise ValueError(x)
        return x

    flow = Flow("all", **settings)
    handlers = {
        "numbers": numbers,
        "square": lambda x: (x, x * x),
        "awaited": awaited,
        "join": routine(fires=keyed(0))(lambda left, right: (*left, *right)),
        "spread": spread,
        "twice": lambda x: (x, 2),
        "gathered": routine(fires=gather(of="spread"))(lambda xs: tuple(xs)),
        "turn": routine(events=["output", "again"])(turn),
        "picky": routine(error_strategy=Retry(1, then=Continue()))(picky),
        "complaints": lambda failure: failure.message,
        "sum": Sum(),
        "all": routine(fires=collect())(lambda xs: (len(xs), sum(xs))),
    }
    for name, handler in handlers.items():
        mode = mode_of(name)
        flow.add_routine(handler, name, **({} if mode is None else {"execution_mode": mode}))
    for target in ("square", "awaited", "spread", "turn", "picky", "sum", "all"):
        flow.connect("numbers", target)
    flow.connect("square", "output", "join", "left")
    flow.connect("awaited", "output", "join", "right")
    flow.chain("spread", "twice", "gathered")
    flow.connect("turn", "again", "turn", "x")
    flow.connect("picky", "error", "complaints", "failure")
    return flow


PLACES = {
    "numbers": ["concurrent", "multiprocessing", "distributed", "sequential"],
    "square": ["multiprocessing", "concurrent", "sequential", "distributed"],
    "awaited": ["asyncio", None, "multiprocessing", "asyncio"],
    "join": ["concurrent", "asyncio", "multiprocessing", "sequential"],
    "spread": ["multiprocessing", "concurrent", "sequential", "distributed"],
    "twice": ["concurrent", "multiprocessing", None, "asyncio"],
    "gathered": ["distributed", "sequential", "multiprocessing", "concurrent"],
    "turn": ["multiprocessing", "distributed", "concurrent", "sequential"],
    "picky": ["distributed", "multiprocessing", "concurrent", "asyncio"],
    "complaints": ["multiprocessing", "concurrent", "distributed", "sequential"],
    "sum": ["multiprocessing", "distributed", "concurrent", "sequential"],
    "all": ["sequential", "asyncio", "distributed", "multiprocessing"],
}


@HOME
@pytest.mark.parametrize("column", range(4))
def test_results_and_counts_are_those_of_sequential_mode(home, column, executor):
    expected = all_modes(lambda name: None).execute("numbers", {"n": 40})
    settings = {"executor": executor, "max_workers": {"multiprocessing": WORKERS, "distributed": WORKERS}}
    flow = all_modes(lambda name: PLACES[name][column], execution_mode=home, **settings)
    job = flow.execute("numbers", {"n": 40})
    assert job.status == expected.status == "completed"
    assert multiset(job) == multiset(expected)
    assert job.counts == expected.counts
    assert job.error_count == expected.error_count == 8
    assert len(job.results["all"]) == 1


@routine
def first_few(n: int):
    yield from range(n)


def itself(x: int):
    return x


@routine(fires=collect())
def together(xs: list[int]):
    return sorted(xs)


@pytest.mark.parametrize("other", ["sequential", "concurrent", "asyncio"])
@HOME
def test_what_waits_for_the_end_of_all_runs_in_a_mode_of_its_own(home, other, executor):
    flow = Flow("last", execution_mode=home, executor=executor)
    flow.add_routine(first_few, execution_mode="sequential")
    flow.chain("first_few", flow.add_routine(itself), flow.add_routine(together, execution_mode=other))
    assert flow.execute("first_few", {"n": 5}).result == [0, 1, 2, 3, 4]


def test_jobs_of_every_mode_at_once_in_one_block(executor):
    flow = all_modes(lambda name: None, executor=executor, max_workers={"multiprocessing": 1, "distributed": 1})
    expected = multiset(flow.execute("numbers", {"n": 40}))
    with flow:
        jobs = [
            flow.start("numbers", {"n": 40}, execution_mode=mode)
            for mode in ("asyncio", "concurrent", "multiprocessing", "distributed", "asyncio", "sequential")
        ]
    for job in jobs:
        assert job.status == "completed"
        assert multiset(job) == expected


def test_a_mixed_job_inside_the_callers_loop(executor):
    expected = multiset(all_modes(lambda name: None).execute("numbers", {"n": 40}))
    seen = []

    async def main():
        settings = {"executor": executor, "max_workers": {"multiprocessing": 1}}
        flow = all_modes(lambda name: PLACES[name][0], execution_mode="asyncio", **settings)
        flow.add_routine(where_awaited, "here")
        flow.connect("numbers", "here")
        async with flow:
            for job in await asyncio.gather(*(flow.execute_async("numbers", {"n": 40}) for _ in range(3))):
                seen.extend(name for _, name in job.results["here"])
                found = multiset(job)
                assert {one: count for one, count in found.items() if one[0] != "here"} == expected

    asyncio.run(main())
    assert set(seen) == {"MainThread"}


# --- large values between modes


def test_large_values_pass_from_mode_to_mode(executor):
    def make(x):
        return {"id": x, "data": bytes([x]) * LARGE}

    def check(row):
        assert type(row["data"]) is bytes
        return {**row, "length": len(row["data"])}

    flow = Flow("large", max_workers={"multiprocessing": WORKERS}, executor=executor)
    flow.add_routine(numbers)
    flow.add_routine(make, execution_mode="multiprocessing")
    flow.add_routine(check, "process", execution_mode="multiprocessing")
    flow.add_routine(check, "thread", execution_mode="concurrent")
    flow.add_routine(check, "elsewhere", execution_mode="distributed")
    flow.add_routine(lambda data: data[:1], "part", execution_mode="multiprocessing")
    flow.add_routine(routine(fires=keyed("id"))(lambda a, b: (a["id"], a["length"], b["length"])), "joined")
    flow.add_routine(same, "whole", execution_mode="multiprocessing")
    flow.connect("numbers", "make")
    for target in ("process", "thread", "elsewhere", "whole"):
        flow.connect("make", target)
    flow.connect("make", "output", "part", "data", field="data")
    flow.connect("process", "output", "joined", "a")
    flow.connect("thread", "output", "joined", "b")
    job = flow.execute("numbers", {"n": 5})
    assert job.status == "completed", job.errors
    assert sorted(job.results["joined"]) == [(x, LARGE, LARGE) for x in range(5)]
    assert sorted(job.results["part"]) == [bytes([x]) for x in range(5)]
    assert sorted(row["length"] for row in job.results["elsewhere"]) == [LARGE] * 5
    assert sorted(row["data"][:1] for row in job.results["whole"]) == [bytes([x]) for x in range(5)]


def test_a_failure_over_a_large_value_gives_the_value_back():
    def make(x):
        return bytes([x]) * LARGE

    def fail(data):
        raise ValueError(len(data))

    flow = Flow("large", execution_mode="multiprocessing", max_workers=1)
    flow.add_routine(make)
    flow.add_routine(fail, error_strategy=Continue())
    flow.add_routine(lambda failure: failure.arguments["data"][:2], "complaint")
    flow.chain("make", "fail")
    flow.connect("fail", "error", "complaint", "failure")
    assert flow.execute("make", {"x": 7}).result == b"\x07\x07"


# --- failures


def test_a_worker_that_dies_fails_only_what_it_ran(tmp_path):
    def dies(x):
        if x == 3:
            os._exit(9)
        return x

    async def fast(x):
        await asyncio.sleep(0)
        return x

    flow = Flow("deaths", execution_mode="concurrent", max_workers={"multiprocessing": WORKERS})
    flow.add_routine(numbers)
    flow.add_routine(dies, execution_mode="multiprocessing", error_strategy=Skip(), crash_retries=1)
    flow.add_routine(fast)
    flow.chain("numbers", "dies", "fast")
    job = flow.execute("numbers", {"n": 20})
    assert job.status == "completed"
    assert sorted(job.results["fast"]) == [x for x in range(20) if x != 3]
    assert isinstance(job.errors[0].error, WorkerLostError)
    assert job.counts["dies"].retried == 1


def test_a_handler_that_is_ended_takes_no_generator_of_its_neighbours_with_it(tmp_path):
    opened = Effects(tmp_path / "opened")

    @routine
    def source(n):
        opened("opened")
        yield from range(n)

    @routine(timeout=0.3, error_strategy=Skip())
    def hangs(x):
        time.sleep(3600 if x % 10 == 3 else 0)
        return x

    flow = Flow("neighbours", execution_mode="multiprocessing", max_workers=1)
    flow.chain(source, hangs)
    job = flow.execute("source", {"n": 40})
    assert job.raise_for_status().results["hangs"] == [x for x in range(40) if x % 10 != 3]
    assert {error.routine_id for error in job.errors} == {"hangs"}
    assert job.counts["source"].retried == 0
    assert len(opened.all()) > 1


def test_a_cancelled_job_ends_its_handlers_in_every_mode(executor, tmp_path):
    gates = {}
    flow = Flow("cancelled", execution_mode="concurrent", executor=executor, max_workers={"multiprocessing": 1})
    flow.add_routine(numbers)
    for mode in ("sequential", "concurrent", "multiprocessing", "distributed"):
        (tmp_path / mode).mkdir()
        gates[mode] = Gate(Path(tmp_path / mode))
        flow.add_routine(gates[mode].handler(SEQUENTIAL), mode, execution_mode=mode)
        flow.connect("numbers", mode)
    ended = []

    async def stays(x):
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.append(x)

    flow.add_routine(stays)
    flow.connect("numbers", "stays")
    job = flow.start("numbers", {"n": 1})
    for gate in gates.values():
        gate.wait_arrived()
    job.cancel()
    assert job.wait(0.05) is False
    for mode, gate in gates.items():
        if mode != "multiprocessing":
            gate.open()
    assert job.wait(PATIENCE)
    assert job.status == "cancelled"
    assert job.results == {}
    assert ended == [0]
