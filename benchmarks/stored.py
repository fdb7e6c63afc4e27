"""What it costs that a job survives its process, against one row a commit in the same kind of file."""

from __future__ import annotations

import importlib.util
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import Better, Figure, skipped, speed_up
from routilux import Context, Flow, routine

CHAIN = 100
BODY = b"x" * 200
MANY_JOBS = 20
WAVES = 5
"""So many times as many jobs as run at once, so that beginning and end, when fewer do, count for little."""
STEPS = 10


@routine
def no_op(x: int) -> int:
    """Does nothing."""
    return x


@routine
def burst(n: int, ctx: Context) -> None:
    """Emits `n` values at once."""
    for number in range(n):
        ctx.emit("output", number)


@routine
def source(n: int) -> Iterator[int]:
    """Gives `n` values, one by one."""
    yield from range(n)


@contextmanager
def rows(synchronous: str, folder: Path) -> Iterator[sqlite3.Connection]:
    """A file that takes one row a commit."""
    connection = sqlite3.connect(folder / f"rows-{synchronous}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, body BLOB)")
    yield connection
    connection.close()


def commits(connection: sqlite3.Connection, count: int) -> int:
    """So many commits of one row."""
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (body) VALUES (?)", (BODY,))
        connection.execute("COMMIT")
    return count


def chained(count: int, **settings: Any) -> Flow:
    """A chain of so many no-ops."""
    flow = Flow("chain", **settings)
    flow.chain(*[flow.add_routine(no_op, f"step_{number}") for number in range(count)])
    return flow


def stored_chain(scale: float, repetitions: int) -> list[Figure]:
    """Each step waits for the one before."""
    jobs = max(2, int(10 * scale))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rows("FULL", folder) as file, chained(CHAIN, store=folder / "chain.db") as flow:

            def execute() -> int:
                for _ in range(jobs):
                    assert flow.execute("step_0", {"x": 1}).result == 1
                return jobs * CHAIN

            measure = "stored, power: chain of 100 no-ops, against one row a commit"
            return [speed_up(measure, 0.6, execute, lambda: commits(file, jobs * CHAIN), repetitions)]


def stored_flight(scale: float, repetitions: int) -> list[Figure]:
    """A thousand activations that wait for nobody."""
    count, jobs = 1000, max(1, int(5 * scale))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flow = Flow("flight", store=folder / "flight.db", execution_mode="concurrent", max_workers=2)
        flow.chain(burst, no_op)
        with rows("FULL", folder) as file, flow:

            def execute() -> int:
                for _ in range(jobs):
                    assert len(flow.execute("burst", {"n": count}).results["no_op"]) == count
                return jobs * count

            measure = "stored, power: 1,000 activations in flight on threads, against one row a commit"
            return [speed_up(measure, 5, execute, lambda: commits(file, jobs * count), repetitions)]


def stored_stream(scale: float, repetitions: int) -> list[Figure]:
    """A source and a routine in sequence, at the level that survives a process."""
    count = max(200, int(10_000 * scale))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flow = Flow("stream", store=folder / "stream.db", durability="process")
        flow.chain(source, no_op)
        with flow:
            flow.execute("source", {"n": 10})
            rates = []
            for _ in range(repetitions):
                began = perf_counter()
                assert len(flow.execute("source", {"n": count}).results["no_op"]) == count
                rates.append(2 * count / (perf_counter() - began))
    rates.sort()
    measure = "stored, process: sequential stream, activations a second"
    median = rates[len(rates) // 2] / 1000
    return [Figure(measure, 20, "k/s", rates[-1] / 1000, median, f"{count:,} items", Better.LARGER)]


PENDING = """
import sys, time
from benchmarks.stored import pending_flow, resident
before, began = resident(), time.perf_counter()
def first(x):
    print(time.perf_counter() - began, (resident() - before) / 1e6, flush=True)
    raise SystemExit
pending_flow(sys.argv[1], first).execute("portions", {"n": int(sys.argv[2]), "each": int(sys.argv[3])}, key="pending")
"""


def resident() -> int:
    """The bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


@routine
def portions(n: int, each: int, ctx: Context) -> None:
    """Emits how many values are to be emitted at a time, as often as it takes."""
    for _ in range(n // each):
        ctx.emit("output", each)


def pending_flow(path: str, handler: Any) -> Flow:
    """A flow whose job has all of its activations open, but for those that emitted what they are given."""
    flow = Flow("pending", store=path, durability="process", max_payload=2**30)
    flow.chain(portions, flow.add_routine(burst, "burst"), flow.add_routine(handler, "work"))
    return flow


def stored_pending(scale: float, _repetitions: int) -> list[Figure]:
    """A fresh process takes up one job with a million open activations, each of which has a number as its input."""
    count, figures = max(1000, int(1_000_000 * scale)), []
    for each in (count, 1000):
        with tempfile.TemporaryDirectory() as folder:
            arguments = [sys.executable, "-c", PENDING, f"{folder}/pending.db", str(count), str(each)]
            found = [subprocess.run(arguments, capture_output=True, text=True, check=False).stdout for _ in range(4)]
        seconds, megabytes = (sorted(map(float, column)) for column in zip(*map(str.split, found[1:]), strict=True))
        where = f"the first of {count:,} open activations of one job, emitted {each:,} at a time"
        figures.append(Figure(f"stored: from opening a store to {where}", 1, "s", seconds[0], seconds[1]))
        figures.append(Figure(f"stored: memory taken up to {where}", 50, "MB", megabytes[0], megabytes[1]))
    return figures


def stored_dbos(scale: float, repetitions: int) -> list[Figure]:
    """The same job of ten steps in DBOS on SQLite: one job after another, and many at once.

    At `power`, one after another, a commit a step takes a twentieth of their time by itself, and nobody can do without;
    jobs that run side by side share commits.
    """
    measure = f"jobs of {STEPS} steps, against DBOS on SQLite"
    if importlib.util.find_spec("dbos") is None:
        return [skipped(f"stored: {measure}", "dbos")]
    from benchmarks.contenders.dbos_steps import dbos_jobs

    figures = []
    for durability, at_once, target in (("process", 1, 20.0), ("power", 1, None), ("power", MANY_JOBS, 20.0)):
        jobs = max(2, int((20 if at_once == 1 else WAVES * at_once) * scale))
        mode = "sequential" if at_once == 1 else "concurrent"
        with tempfile.TemporaryDirectory() as name, dbos_jobs(Path(name), STEPS) as theirs:
            flow = chained(STEPS, store=Path(name, "jobs.db"), durability=durability, execution_mode=mode)
            with flow:
                ours, others = partial(_jobs, flow, jobs, at_once), partial(theirs, jobs, at_once)
                title = f"stored, {durability}: {'' if at_once == 1 else f'{at_once} '}{measure}"
                figures.append(speed_up(title, target, ours, others, repetitions))
    return figures


def _jobs(flow: Flow, jobs: int, at_once: int) -> int:
    """Runs so many jobs, so many of them at once, and gives how many steps that were."""
    if at_once == 1:
        for _ in range(jobs):
            assert flow.execute("step_0", {"x": 1}).result == 1
    else:
        done = [job.result for job in flow.map("step_0", [{"x": 1}] * jobs, max_jobs=at_once)]
        assert done == [1] * jobs
    return jobs * STEPS
